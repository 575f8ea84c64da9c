"""Energy of the whole processor, where a machine tells it."""

from __future__ import annotations

import re
import time
from pathlib import Path

from .condition import vcgencmd
from .machine import ROOT, read_text

__all__ = ["EnergyMeter"]

RAIL = re.compile(r"(\S+)_([AV])\s+(?:current|volt)\(\d+\)=([0-9.]+)[AV]")
"""A line of `vcgencmd pmic_read_adc`, as a Raspberry Pi 5 writes it."""


class EnergyMeter:
    """Joules between `start` and `stop`, everything that the machine does included.

    Intel and AMD processors count them (RAPL; Linux lets only root read the count). The power chip
    of a Raspberry Pi 5 tells volts and amperes of its rails, which are sampled by `sample`.

    Attributes:
        source: "rapl", "pmic", or "" where the machine does not tell.
    """

    def __init__(self, root: Path = ROOT) -> None:
        """Look for what `root`, where /sys lies, offers."""
        zones = sorted((root / "sys/class/powercap").glob("intel-rapl:*"))
        # Packages only: their parts (intel-rapl:0:0) are in them.
        whole = [zone for zone in zones if zone.name.count(":") == 1]
        self._zones = [zone for zone in whole if read_text(zone / "energy_uj").isdecimal()]
        self.source = "rapl" if self._zones else "pmic" if _rails() is not None else ""
        self._before: list[int] = []
        self._power: list[tuple[float, float]] = []

    def start(self) -> None:
        """Begin to count."""
        self._before = [int(read_text(zone / "energy_uj")) for zone in self._zones]
        self._power = []
        self.sample()

    def sample(self) -> None:
        """Look at the power, which a Raspberry Pi tells for this moment only."""
        if self.source == "pmic" and (watts := _rails()) is not None:
            self._power.append((time.monotonic(), watts))

    def stop(self) -> float | None:
        """Joules since `start`; None where the machine does not tell."""
        if self.source == "rapl":
            return sum(map(self._joules, self._zones, self._before))
        self.sample()
        if len(self._power) < 2:
            return None
        pairs = zip(self._power, self._power[1:], strict=False)
        return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairs)

    def _joules(self, zone: Path, before: int) -> float:
        spent = int(read_text(zone / "energy_uj")) - before
        if spent < 0:
            # The count begins anew at its range.
            spent += int(read_text(zone / "max_energy_range_uj") or 0)
        return spent / 1e6


def _rails() -> float | None:
    """Watts of all rails that tell both current and voltage."""
    rails: dict[str, dict[str, float]] = {}
    for name, unit, value in RAIL.findall(vcgencmd("pmic_read_adc")):
        rails.setdefault(name, {})[unit] = float(value)
    full = [rail["A"] * rail["V"] for rail in rails.values() if len(rail) == 2]
    return sum(full) if full else None
