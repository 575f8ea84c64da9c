"""What a machine is: board, processor, memory, system, versions. What it does: condition.py."""

from __future__ import annotations

import os
import platform
import re
import struct
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

__all__ = [
    "FAST", "Machine", "cpu_flags", "emulator", "instruction_set", "read_text", "this_machine",
]  # fmt: skip

ROOT = Path("/")

LIBRARIES = ("edgeseq", "numpy", "onnxruntime", "soxr")

ARM_CORES = {
    "0xb76": "ARM1176", "0xc07": "Cortex-A7", "0xc08": "Cortex-A8", "0xc09": "Cortex-A9",
    "0xc0f": "Cortex-A15", "0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57", "0xd08": "Cortex-A72", "0xd09": "Cortex-A73", "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76", "0xd0c": "Neoverse-N1", "0xd0d": "Cortex-A77", "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78", "0xd44": "Cortex-X1", "0xd46": "Cortex-A510", "0xd47": "Cortex-A710",
    "0xd49": "Neoverse-N2", "0xd4f": "Neoverse-V2",
}  # fmt: skip
"""`CPU part` of /proc/cpuinfo (Arm's MIDR register): 64-bit kernels give no name."""

ELF_MACHINES = {3: "x86", 40: "arm", 62: "x86", 183: "arm", 243: "riscv"}
"""e_machine in the header of a program, by processors that run each other's programs."""

FAMILIES = {"x86": r"x86|i\d86|amd64", "arm": r"arm|aarch64", "riscv": r"riscv"}
"""The same by the names that uname gives."""

FAST = {
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "avx2": "AVX2",
    "asimddp": "NEON dot product",
    "i8mm": "NEON int8 matrix product",
    "asimd": "NEON",
}
"""Flags of /proc/cpuinfo that int8 models gain from."""

UNSAID = ("", "to be filled by o.e.m.", "default string", "system product name", "none")
"""What makers of PCs leave in the fields for the name."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where something was measured.

    Attributes:
        cpu: name of the board or of the processor.
        cores: cores that this process may use.
        system: operating system and architecture.
        python: version of Python.
        onnxruntime: version of onnxruntime, or "not installed".
        board: maker's name of the board or computer, or "".
        soc: system on a chip, such as bcm2711, or "".
        core: name of a processor core, or "".
        bits: word size of Python: 32 on a 32-bit system even where the kernel has 64.
        kernel: release and architecture of the kernel.
        memory_bytes: all memory that this process may use; 0 when unknown.
        container: docker, podman or another container; "" outside of one.
        libraries: versions by package name.
        emulator: the program that plays this processor, such as qemu-aarch64; "" on a real one.
    """

    cpu: str
    cores: int
    system: str
    python: str
    onnxruntime: str
    board: str = ""
    soc: str = ""
    core: str = ""
    bits: int = 64
    kernel: str = ""
    memory_bytes: int = 0
    container: str = ""
    libraries: dict[str, str] = field(default_factory=dict)
    emulator: str = ""

    def as_dict(self) -> dict[str, object]:
        """Plain values by name."""
        return asdict(self)

    def sentence(self) -> str:
        """The most important of it in one line."""
        return (
            f"{self.cpu}, {self.cores} core{'s' if self.cores > 1 else ''}, {self.system}, "
            f"Python {self.python}, onnxruntime {self.onnxruntime}"
        )


def this_machine(root: Path = ROOT) -> Machine:
    """Facts about the machine that this runs on; `root` is where /proc and /sys lie."""
    played_by = emulator(root)
    # An emulator of processes shows the /proc and /sys of the machine that it runs on.
    board, core = ("", "") if played_by else (_board(root), _core(root))
    name = f"{platform.machine()} emulated by {played_by}" if played_by else ""
    return Machine(
        cpu=name or _cpu(root, board, core),
        cores=_cores(),
        system=_system(),
        python=platform.python_version(),
        onnxruntime=_version("onnxruntime"),
        board=board,
        soc=_soc(root),
        core=core,
        bits=8 * struct.calcsize("P"),
        kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
        memory_bytes=_memory(root),
        container=_container(root),
        libraries={name: _version(name) for name in LIBRARIES},
        emulator=played_by,
    )


def cpu_flags(cpuinfo: Path = ROOT / "proc" / "cpuinfo") -> set[str]:
    """What the processor can do, as the kernel calls it; empty where that is not told."""
    return {
        word
        for line in read_text(cpuinfo).splitlines()
        if line.split(":")[0].strip() in ("flags", "Features")
        for word in line.split(":", 1)[1].split()
    }


def instruction_set() -> str:
    """The instructions that integer products may run on here, in words."""
    flags = cpu_flags()
    return ", ".join(words for flag, words in FAST.items() if flag in flags) or "none of " + (
        ", ".join(FAST.values())
    )


def read_text(path: Path) -> str:
    """What a file of /proc or /sys says, without NUL bytes and blanks at its ends, or ""."""
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""


def emulator(root: Path = ROOT, machine: str | None = None) -> str:
    """The program that plays this processor for this process, or "" on a real one.

    It is what the kernel runs here, made for another processor than `machine` (that of uname when
    it is None). /proc/self is not asked: qemu answers that itself, as if it were not there.
    """
    exe = root / "proc/thread-self/exe"
    wanted = _family(platform.machine() if machine is None else machine)
    try:
        with exe.open("rb") as program:
            header = program.read(20)
        name = exe.readlink().name
    except OSError:
        return ""
    order: Literal["little", "big"] = "big" if header[5:6] == b"\2" else "little"
    found = ELF_MACHINES.get(int.from_bytes(header[18:20], order), "")
    known = header[:4] == b"\x7fELF" and bool(wanted and found)
    # qemu may run on a processor of the same family, and for one that is not known here.
    return name if name.startswith("qemu-") or (known and found != wanted) else ""


def _family(machine: str) -> str:
    """Processors that run each other's programs, by a name of uname; "" for one not known."""
    return next((family for family in FAMILIES if re.match(FAMILIES[family], machine)), "")


def _board(root: Path) -> str:
    # The device tree names boards such as a Raspberry Pi; PCs have DMI.
    if model := read_text(root / "proc/device-tree/model"):
        return model
    dmi = root / "sys/devices/virtual/dmi/id"
    names = [read_text(dmi / name) for name in ("sys_vendor", "product_name")]
    return " ".join(name for name in names if name.lower() not in UNSAID)


def _soc(root: Path) -> str:
    # From the most special to the most general: raspberrypi,4-model-b then brcm,bcm2711.
    compatible = read_text(root / "proc/device-tree/compatible").split("\0")
    last = compatible[-1].rpartition(",")[2]
    return last or read_text(root / "sys/devices/soc0/soc_id")


def _cpuinfo(root: Path) -> dict[str, str]:
    """The first value of each key."""
    values: dict[str, str] = {}
    for line in read_text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if value.strip():
            values.setdefault(key.strip(), " ".join(value.split()))
    return values


def _core(root: Path) -> str:
    info = _cpuinfo(root)
    return ARM_CORES.get(info.get("CPU part", ""), info.get("model name", ""))


def _cpu(root: Path, board: str, core: str) -> str:
    if (root / "proc/device-tree/model").exists():
        return board
    named = core or _cpuinfo(root).get("Model", "")
    return named or platform.processor() or platform.machine() or "unknown processor"


def _cores() -> int:
    # The cores of a container or of taskset, not those of the whole machine.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory(root: Path) -> int:
    total = 0
    for line in read_text(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            total = int(line.split()[1]) * 1024
    # cgroup 2, then 1; "max" and 2^63 both mean no limit.
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = read_text(root / "sys/fs/cgroup" / name)
        if limit.isdecimal():
            total = min(total, int(limit)) if total else int(limit)
    return total


def _container(root: Path) -> str:
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    named = read_text(root / "run/systemd/container")
    return named or next(
        (k for k in ("kubepods", "docker", "lxc") if k in read_text(root / "proc/1/cgroup")), ""
    )


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError, AttributeError):
        name = f"{platform.system()} {platform.release()}"
    return f"{name} {platform.machine()}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
