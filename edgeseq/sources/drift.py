"""How far the clock of a sound card runs from the clock of the machine."""

from __future__ import annotations

import math

__all__ = ["DriftMeter"]

WINDOW_SECONDS = 30.0
"""A busy machine hears of audio late, never early: the earliest news of a window tells the time."""


class DriftMeter:
    """Compares the samples that a device gave with the time that passed.

    Attributes:
        seconds: audio given beyond the time that passed (negative: too little); None until known.
        ppm: the same as a rate, in millionths: above 0 the device is fast; None until known.
    """

    def __init__(self, rate: int) -> None:
        """Watch a device that says it gives `rate` samples a second."""
        self._rate = rate
        self.reset()

    def reset(self) -> None:
        """Begin anew, after audio was lost or the device was opened again."""
        self.seconds: float | None = None
        self.ppm: float | None = None
        self._first: tuple[float, float] | None = None
        self._begin = math.inf
        self._least = self._least_at = math.inf

    def push(self, now: float, samples: int) -> None:
        """Say that at `now` the device had given `samples` in all."""
        lag = now - samples / self._rate
        if lag < self._least:
            self._least, self._least_at = lag, now
        self._begin = min(self._begin, now)
        if now - self._begin < WINDOW_SECONDS:
            return
        if self._first is None:
            self._first = self._least_at, self._least
        else:
            began, first = self._first
            self.seconds = first - self._least
            self.ppm = 1e6 * self.seconds / (self._least_at - began)
        self._begin, self._least = now, math.inf
