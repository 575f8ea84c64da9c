"""Machines and their conditions, read from what the systems of four kinds of machine say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgeseq.profile.condition import Condition, condition_now, warnings_about
from edgeseq.profile.energy import EnergyMeter
from edgeseq.profile.machine import this_machine
from tests.profile.trees import CONTAINER, FIRMWARE, LAPTOP, PI4, PI_ZERO_2, plant


@pytest.fixture
def no_vcgencmd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A vcgencmd that runs `script`."""
    path = folder / "vcgencmd"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")


@pytest.mark.parametrize(
    ("files", "facts"),
    [
        (PI4, {"board": "Raspberry Pi 4 Model B Rev 1.4", "soc": "bcm2711", "core": "Cortex-A72"}),
        (PI4, {"cpu": "Raspberry Pi 4 Model B Rev 1.4", "memory_bytes": 3884376 * 1024}),
        (PI_ZERO_2, {"soc": "bcm2837", "core": "Cortex-A53", "memory_bytes": 437284 * 1024}),
        (LAPTOP, {"board": "LENOVO 21CB0000GE", "soc": "", "container": ""}),
        (LAPTOP, {"cpu": "12th Gen Intel(R) Core(TM) i7-1260P"}),
        (CONTAINER, {"cpu": "AMD EPYC 9B14", "board": "", "container": "docker"}),
        # What a container may use, not what its host has.
        (CONTAINER, {"memory_bytes": 512 * 2**20}),
    ],
)
def test_what_a_machine_is(tmp_path: Path, files: dict[str, str], facts: dict[str, object]) -> None:
    found = this_machine(plant(tmp_path, files)).as_dict()
    assert {name: found[name] for name in facts} == facts


@pytest.mark.usefixtures("no_vcgencmd")
@pytest.mark.parametrize(
    ("files", "facts"),
    [
        (PI4, {"governor": "ondemand", "clock_mhz": 1500, "clock_max_mhz": 1800, "throttled": 0}),
        (PI4, {"temperature_c": 48.686, "load_1m": 0.08, "on_battery": None, "busy_s": 15.05}),
        (PI_ZERO_2, {"throttled": 0x40001, "free_bytes": 41236 * 1024}),
        # The package, neither the case nor the wireless card that is off.
        (LAPTOP, {"temperature_c": 61.0, "throttled": None, "throttle_count": 7}),
        (LAPTOP, {"on_battery": True, "clock_mhz": 2100.342, "clock_max_mhz": None}),
        (CONTAINER, {"governor": "", "temperature_c": None, "load_1m": None, "stolen_s": 0.4}),
    ],
)
def test_what_a_machine_does(
    tmp_path: Path, files: dict[str, str], facts: dict[str, object]
) -> None:
    found = condition_now(plant(tmp_path, files))
    assert {name: getattr(found, name) for name in facts} == facts


@pytest.mark.usefixtures("no_vcgencmd")
def test_nothing_at_all_is_known_of_an_empty_system(tmp_path: Path) -> None:
    machine, condition = this_machine(tmp_path), condition_now(tmp_path)
    assert machine.cpu
    assert (machine.board, machine.memory_bytes) == ("", 0)
    assert set(condition.as_dict().values()) == {"", None}
    assert warnings_about(condition, condition, 0.0) == []
    assert EnergyMeter(tmp_path).source == ""
    assert EnergyMeter(tmp_path).stop() is None


@pytest.mark.usefixtures("no_vcgencmd")
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (PI4, []),
        (PI_ZERO_2, ["powersave", "reports: under-voltage;", "82 °C", "40 MiB"]),
        # intel_pstate raises the clock with the governor powersave, too.
        (LAPTOP, ["on battery"]),
        (CONTAINER, []),
    ],
)
def test_what_spoils_figures_is_told(
    tmp_path: Path, files: dict[str, str], expected: list[str]
) -> None:
    found = condition_now(plant(tmp_path, files))
    words = warnings_about(found, found, 0.0)
    assert len(words) == len(expected)
    for part, sentence in zip(expected, words, strict=True):
        assert part in sentence


@pytest.mark.usefixtures("no_vcgencmd")
@pytest.mark.parametrize(
    ("change", "own", "expected"),
    [
        ({"busy_s": 115.05}, 9.9, ["other programs used 9.0 cores"]),
        # All of it was our own work.
        ({"busy_s": 25.05}, 10.0, []),
        ({"stolen_s": 0.5}, 0.0, ["0.05 cores away"]),
        ({"throttle_count": 8}, 0.0, ["because of heat"]),
        ({"throttled": 1 << 18}, 0.0, ["reports: throttled since the start;"]),
    ],
)
def test_what_happened_meanwhile_is_told(
    tmp_path: Path, change: dict[str, float], own: float, expected: list[str]
) -> None:
    before = replace(condition_now(plant(tmp_path, PI4)), at_s=0.0, throttle_count=7)
    after: Condition = replace(before, at_s=10.0, **change)  # type: ignore[arg-type]
    words = warnings_about(before, after, own)
    assert len(words) == len(expected)
    for part, sentence in zip(expected, words, strict=True):
        assert part in sentence


def test_vcgencmd_is_asked_where_the_kernel_does_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = plant(tmp_path / "root", {k: v for k, v in PI4.items() if k != FIRMWARE})
    program(tmp_path, monkeypatch, 'test "$1" = get_throttled && echo throttled=0x50005')
    assert condition_now(root).throttled == 0x50005
    assert condition_now(root).as_dict()["throttled"] == [
        "under-voltage", "throttled", "under-voltage since the start", "throttled since the start",
    ]  # fmt: skip
    # A user outside of the group `video`.
    program(tmp_path, monkeypatch, "echo VCHI initialization failed; exit 255")
    assert condition_now(root).throttled is None


@pytest.mark.usefixtures("no_vcgencmd")
def test_energy_is_counted_over_the_end_of_the_range(tmp_path: Path) -> None:
    meter = EnergyMeter(plant(tmp_path, LAPTOP))
    assert meter.source == "rapl"
    meter.start()
    plant(tmp_path, {"sys/class/powercap/intel-rapl:0/energy_uj": "1671150\n"})
    assert meter.stop() == pytest.approx(2.0)


def test_the_power_chip_of_a_pi_5_is_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        "   VDD_CORE_A current(7)=2.00000000A", "   3V3_SYS_A current(1)=1.00000000A",
        "   VDD_CORE_V volt(15)=0.75000000V", "   3V3_SYS_V volt(9)=3.50000000V",
        "   EXT5V_V volt(24)=5.10000000V",
    ]  # fmt: skip
    program(tmp_path, monkeypatch, "\n".join(f"echo '{line}'" for line in lines))
    moments = iter([10.0, 11.0, 14.0])
    monkeypatch.setattr("edgeseq.profile.energy.time.monotonic", lambda: next(moments))
    meter = EnergyMeter(tmp_path)
    assert meter.source == "pmic"
    meter.start()
    meter.sample()
    # 5 W for 4 s.
    assert meter.stop() == pytest.approx(20.0)
