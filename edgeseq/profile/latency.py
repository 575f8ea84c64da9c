"""Step times of a stream that may run for ever, in constant memory."""

from __future__ import annotations

import numpy as np

__all__ = ["StepClock"]

SUB_BITS = 6
"""Each doubling of time has 2^6 buckets, so a quantile is off by less than 1.6 %."""

TOP_BITS = 40
"""Longer times (2^40 ns are 18 minutes) count into the last bucket."""

SUB = 1 << SUB_BITS


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

    def quantile_ms(self, q: float) -> float:
        """Milliseconds that a share `q` of the steps did not exceed; 0 without steps."""
        if not self.steps:
            return 0.0
        rank = max(1, round(q * self.steps))
        index = int(np.searchsorted(np.cumsum(self._counts), rank))
        shift = max(0, (index >> SUB_BITS) - 1)
        low = index if shift == 0 else (index - (shift << SUB_BITS)) << shift
        middle = low + ((1 << shift) - 1) / 2
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
