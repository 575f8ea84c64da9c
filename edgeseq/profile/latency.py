"""Step times of a stream that may run for ever, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["StepClock", "time_steps"]

Times = npt.NDArray[np.int64]

SUB_BITS = 6
"""Each doubling of time has 2^6 buckets, so a quantile is off by less than 1.6 %."""

TOP_BITS = 40
"""Longer times (2^40 ns are 18 minutes) count into the last bucket."""

SUB = 1 << SUB_BITS

COARSE = 8
"""Buckets that make one bar of a histogram: eight bars for each doubling of time."""


def time_steps(step: Callable[[Any], object], inputs: Iterable[Any]) -> Times:
    """Nanoseconds of `step(x)` for each x, one clock reading a step (`[n]` for n inputs).

    Nothing is counted or sorted meanwhile. What remains, the reading, the loop and the call, is
    what an empty `step` shows: some 0.1 µs.
    """
    clock = perf_counter_ns
    stamps = [clock()]
    mark = stamps.append
    for x in inputs:
        step(x)
        mark(clock())
    read = np.array(stamps, np.int64)
    return read[1:] - read[:-1]


class StepClock:
    """Counts of step times in buckets whose width grows with the time (as in HdrHistogram)."""

    def __init__(self) -> None:
        """Start with no step."""
        self._counts = np.zeros((TOP_BITS - SUB_BITS + 1) * SUB, np.int64)
        self.reset()

    def reset(self) -> None:
        """Forget every step, for example those of the warm-up."""
        self._counts.fill(0)
        self.steps = 0
        self.total_ns = 0
        self.max_ns = 0

    def record(self, ns: int) -> None:
        """Count a step that took `ns` nanoseconds."""
        self.steps += 1
        self.total_ns += ns
        if ns > self.max_ns:
            self.max_ns = ns
        shift = ns.bit_length() - SUB_BITS - 1
        # Below 2^(SUB_BITS+1) ns every nanosecond has its own bucket.
        index = ns if shift <= 0 else (shift << SUB_BITS) + (ns >> shift)
        self._counts[min(index, self._counts.size - 1)] += 1

    def record_all(self, times: Times) -> None:
        """Count many steps at once."""
        if not len(times):
            return
        self.steps += len(times)
        self.total_ns += int(times.sum())
        self.max_ns = max(self.max_ns, int(times.max()))
        # The exponent of a float is the bit length, exact below 2^53 ns (104 days).
        shift = np.frexp(times.astype(np.float64))[1].astype(np.int64) - SUB_BITS - 1
        shift = np.maximum(shift, 0)
        index = np.minimum((shift << SUB_BITS) + (times >> shift), self._counts.size - 1)
        self._counts += np.bincount(index, minlength=self._counts.size)

    def merge(self, other: StepClock) -> None:
        """Count the steps of `other` as well."""
        self.steps += other.steps
        self.total_ns += other.total_ns
        self.max_ns = max(self.max_ns, other.max_ns)
        self._counts += other._counts

    def histogram_us(self) -> list[tuple[float, float, int]]:
        """From, to (both in microseconds) and count of every bar that is not empty, in order."""
        bars = self._counts.reshape(-1, COARSE).sum(axis=1)
        return [
            (_floor_ns(i * COARSE) / 1e3, _floor_ns((i + 1) * COARSE) / 1e3, int(bars[i]))
            for i in np.flatnonzero(bars).tolist()
        ]

    def quantile_ms(self, q: float) -> float:
        """Milliseconds that a share `q` of the steps did not exceed; 0 without steps."""
        if not self.steps:
            return 0.0
        rank = max(1, round(q * self.steps))
        index = int(np.searchsorted(np.cumsum(self._counts), rank))
        middle = (_floor_ns(index) + _floor_ns(index + 1) - 1) / 2
        return min(middle, self.max_ns) / 1e6

    @property
    def p50_ms(self) -> float:
        """Median step time."""
        return self.quantile_ms(0.50)

    @property
    def p99_ms(self) -> float:
        """Step time that one step in a hundred exceeds."""
        return self.quantile_ms(0.99)

    @property
    def max_ms(self) -> float:
        """The longest step, exact."""
        return self.max_ns / 1e6

    @property
    def total_s(self) -> float:
        """Compute time of all steps; divided by stream time it is the RTF."""
        return self.total_ns / 1e9


def _floor_ns(index: int) -> int:
    """The shortest time that counts into bucket `index`."""
    shift = max(0, (index >> SUB_BITS) - 1)
    return index if shift == 0 else (index - (shift << SUB_BITS)) << shift
