"""Another sample rate, as a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import StreamClosedError
from .base import Floats
from .pcm import check_rate

if TYPE_CHECKING:
    import soxr

__all__ = ["Resampler"]

NOTHING = np.zeros(0, np.float32)


class Resampler:
    """Mono float32 at one rate to the same sound at another rate; any cut gives equal samples.

    The output is aligned with the input (no shift), and after flush `n` samples have become
    `n * to_rate / from_rate` to the nearest, halves up. Until then it lags behind by the length of
    the filter: up to 37 ms from 48 to 16 kHz, 115 ms from 8 to 16 kHz (soxr 1.1.0, 10 ms pushes).
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        """Convert from `from_rate` to `to_rate` samples a second; equal rates pass through."""
        self.from_rate = check_rate(from_rate, "resampling from")
        self.to_rate = check_rate(to_rate, "resampling to")
        self._ended = False
        self._stream: soxr.ResampleStream | None = None
        if from_rate != to_rate:
            import soxr

            self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")

    def push(self, samples: Floats) -> Floats:
        """What can be said for sure after `samples`; may be empty."""
        self._check_open("push")
        if self._stream is None:
            return samples
        converted: Floats = self._stream.resample_chunk(samples)
        return converted

    def flush(self) -> Floats:
        """The last samples; afterwards only reset is allowed."""
        self._check_open("flush")
        self._ended = True
        if self._stream is None:
            return NOTHING
        rest: Floats = self._stream.resample_chunk(NOTHING, last=True)
        return rest

    def reset(self) -> None:
        """Forget everything, as if new."""
        self._ended = False
        if self._stream is not None:
            self._stream.clear()

    def _check_open(self, verb: str) -> None:
        if self._ended:
            raise StreamClosedError(f"resampler: {verb} after flush; call reset first")
