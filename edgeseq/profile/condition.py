"""What a machine was doing while something was measured, and whether that spoils the figures."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .machine import ROOT, read_text

__all__ = [
    "DYNAMIC_DRIVERS", "MOST_SPREAD", "Condition", "condition_now", "vcgencmd", "warnings_about",
]  # fmt: skip

DYNAMIC_DRIVERS = ("intel_pstate", "amd-pstate", "amd-pstate-epp", "amd_pstate")
"""Their governor `powersave` still raises the clock under load."""

THROTTLED = {
    0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit",
    16: "under-voltage since the start", 17: "clock capped since the start",
    18: "throttled since the start", 19: "soft temperature limit since the start",
}  # fmt: skip
"""Bits of the Raspberry Pi firmware's get_throttled."""

NOW_BITS = 0xF

ZONES = ("cpu", "x86_pkg", "soc", "coretemp", "acpitz")
"""Beginnings of the thermal zones that tell the processor's temperature, the best first."""

FIRMWARE = ("sys/devices/platform/soc/soc:firmware/get_throttled",
            "sys/devices/platform/soc/soc:firmware/raspberrypi-hwmon/get_throttled")  # fmt: skip

TICKS = 100
"""Parts of a second in /proc/stat (USER_HZ, the same on every Linux)."""

HOT_C = 80.0
"""A Raspberry Pi lowers its clock from here."""

OTHER_CORES = 0.1
STOLEN_CORES = 0.02
FEW_MIB = 64

MOST_SPREAD = 0.05
"""Median steps of a quiet machine agree better than this from round to round and run to run."""


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of a machine at one moment; None or "" where it does not tell.

    Attributes:
        governor: what decides about the clock of core 0.
        driver: what sets it.
        clock_mhz: clock of core 0 now.
        clock_max_mhz: its highest.
        temperature_c: of the processor, in degrees Celsius.
        throttled: flags of a Raspberry Pi, by bit.
        throttle_count: how often an x86 processor lowered its clock since the start.
        on_battery: whether mains power is missing.
        load_1m: mean number of running processes over the last minute.
        free_bytes: memory that may still be used.
        busy_s: seconds that all cores have worked since the start.
        stolen_s: seconds in which the host of this virtual machine ran something else.
        at_s: when this was read, by a clock without a beginning.
    """

    governor: str
    driver: str
    clock_mhz: float | None
    clock_max_mhz: float | None
    temperature_c: float | None
    throttled: int | None
    throttle_count: int | None
    on_battery: bool | None
    load_1m: float | None
    free_bytes: int | None
    busy_s: float | None
    stolen_s: float | None
    at_s: float

    def as_dict(self) -> dict[str, object]:
        """Plain values by name, without the counts, which say nothing alone."""
        kept = asdict(self)
        for name in ("busy_s", "stolen_s", "at_s", "throttle_count"):
            del kept[name]
        return {**kept, "throttled": None if self.throttled is None else flags(self.throttled)}


def condition_now(root: Path = ROOT) -> Condition:
    """What the machine tells; `root` is where /proc and /sys lie."""
    cpu = root / "sys/devices/system/cpu/cpu0"
    busy, stolen = _stat(root)
    load = read_text(root / "proc/loadavg").split()
    return Condition(
        governor=read_text(cpu / "cpufreq/scaling_governor"),
        driver=read_text(cpu / "cpufreq/scaling_driver"),
        clock_mhz=_scaled(cpu / "cpufreq/scaling_cur_freq", 1000),
        clock_max_mhz=_scaled(cpu / "cpufreq/cpuinfo_max_freq", 1000),
        temperature_c=_temperature(root),
        throttled=_throttled(root),
        throttle_count=_count(cpu / "thermal_throttle"),
        on_battery=_on_battery(root),
        load_1m=float(load[0]) if load else None,
        free_bytes=_free(root),
        busy_s=busy,
        stolen_s=stolen,
        at_s=time.monotonic(),
    )


def flags(bits: int) -> list[str]:
    """The words for a Raspberry Pi's throttling flags."""
    return [words for bit, words in THROTTLED.items() if bits >> bit & 1]


def warnings_about(before: Condition, after: Condition, own_cpu_s: float) -> list[str]:
    """What spoils figures taken between two moments, in which this took `own_cpu_s` seconds."""
    words: list[str] = []
    if before.governor == "powersave" and before.driver not in DYNAMIC_DRIVERS:
        words.append(
            "the governor powersave keeps the clock at its lowest; "
            "sudo cpupower frequency-set -g performance"
        )
    if before.on_battery:
        words.append("on battery power, which lowers the clock of most computers; plug it in")
    if after.throttled:
        now = flags(after.throttled & NOW_BITS) or flags(after.throttled)
        advice = "use a stronger power supply or cooling"
        words.append(f"the firmware reports: {', '.join(now)}; {advice}")
    if (after.throttle_count or 0) > (before.throttle_count or 0):
        words.append("the processor lowered its clock because of heat while this was measured")
    if after.temperature_c is not None and after.temperature_c >= HOT_C:
        words.append(f"the processor has {after.temperature_c:.0f} °C; let it cool")
    words += _load_warnings(before, after, own_cpu_s)
    if after.free_bytes is not None and after.free_bytes < FEW_MIB * 2**20:
        words.append(f"only {after.free_bytes / 2**20:.0f} MiB of memory are free; end something")
    return words


def _load_warnings(before: Condition, after: Condition, own_cpu_s: float) -> list[str]:
    seconds = after.at_s - before.at_s
    if seconds <= 0 or before.busy_s is None or after.busy_s is None:
        return []
    words: list[str] = []
    # A tick is rounded, which matters for a short run.
    other = (after.busy_s - before.busy_s - own_cpu_s - 2 / TICKS) / seconds
    if other > OTHER_CORES:
        words.append(f"other programs used {other:.1f} cores meanwhile; end them")
    stolen = ((after.stolen_s or 0) - (before.stolen_s or 0)) / seconds
    if stolen > STOLEN_CORES:
        words.append(f"the host took {stolen:.2f} cores away from this virtual machine meanwhile")
    return words


def vcgencmd(*words: str) -> str:
    """What the Raspberry Pi's firmware answers, or "" where there is none."""
    # Imported here: a process whose memory is measured should hold no more than a stream needs.
    import shutil
    import subprocess

    program = shutil.which("vcgencmd")
    if program is None:
        return ""
    try:
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=2)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    # A user who is not in the group `video` gets an error.
    return done.stdout.strip() if done.returncode == 0 else ""


def _throttled(root: Path) -> int | None:
    for name in FIRMWARE:
        if text := read_text(root / name):
            return _hexadecimal(text)
    return _hexadecimal(vcgencmd("get_throttled").partition("=")[2])


def _hexadecimal(text: str) -> int | None:
    try:
        return int(text, 16)
    except ValueError:
        return None


def _scaled(path: Path, divisor: float) -> float | None:
    try:
        return float(read_text(path)) / divisor
    except ValueError:
        return None


def _temperature(root: Path) -> float | None:
    best: tuple[int, float] | None = None
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        kind = read_text(zone / "type").lower()
        rank = next((i for i, start in enumerate(ZONES) if kind.startswith(start)), len(ZONES))
        value = _scaled(zone / "temp", 1000)
        # Zones that are switched off tell nonsense, such as -274.
        if value is not None and value > 0 and (best is None or rank < best[0]):
            best = rank, value
    return None if best is None else best[1]


def _count(folder: Path) -> int | None:
    counts = [read_text(folder / f"{part}_throttle_count") for part in ("core", "package")]
    known = [int(count) for count in counts if count.isdecimal()]
    return sum(known) if known else None


def _on_battery(root: Path) -> bool | None:
    supplies = (root / "sys/class/power_supply").glob("*")
    mains = [read_text(s / "online") for s in supplies if read_text(s / "type") == "Mains"]
    return None if not mains else "1" not in mains


def _free(root: Path) -> int | None:
    for line in read_text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _stat(root: Path) -> tuple[float | None, float | None]:
    """Seconds that all cores worked, and that a host took away."""
    first = read_text(root / "proc/stat").partition("\n")[0].split()
    if len(first) < 9 or first[0] != "cpu":
        return None, None
    user, nice, system, _, _, irq, soft, steal = map(int, first[1:9])
    return (user + nice + system + irq + soft) / TICKS, steal / TICKS
