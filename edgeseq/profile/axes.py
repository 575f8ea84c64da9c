"""Scales and marks of a picture: from values to places, and where to write numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Axis", "fit", "short"]


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high` on places from `start` to `end`; `log` for powers of ten."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a value, kept inside the picture."""
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Where numbers belong: 1, 2 and 5 of few decades, powers of ten of many, else even."""
        if not self.log:
            return _even(self.low, self.high)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1, 2, 5) if len(decades) <= 3 else (1,)
        # Every second or third power when there are many.
        chosen = decades[:: max(1, len(decades) // 6)]
        marks = [step * 10.0**decade for decade in chosen for step in steps]
        return [mark for mark in marks if self.low <= mark <= self.high]


def _even(low: float, high: float) -> list[float]:
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def fit(values: Sequence[float], start: float, end: float, log: bool = False) -> Axis:
    """An axis that holds all `values` with a little room; a linear one of positives begins at 0."""
    good = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    low, high = (min(good), max(good)) if good else (1.0, 10.0)
    if log:
        # A single value still needs a width.
        return Axis(low / 1.25, max(high * 1.25, low * 2), start, end, True)
    if low >= 0:
        return Axis(0.0, high * 1.08 or 1.0, start, end)
    room = (high - low) * 0.08 or 1.0
    return Axis(low - room, high + room, start, end)


def short(value: float) -> str:
    """A number in few characters: 0.05, 1.5, 20, 1.5k, 2M."""
    size = abs(value)
    for limit, divisor, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e3, 1e3, "k")):
        if size >= limit:
            return f"{value / divisor:.3g}{letter}"
    return f"{value:.3g}"
