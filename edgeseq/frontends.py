"""From pieces of input of any length to the chunks that a model step takes.

Features such as log-mel are part of the exported graph, so a front end only cuts: its memory is one
chunk, whatever is pushed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from .errors import StateError
from .spec import Timing

__all__ = ["ByteFrontend", "Frontend", "PcmFrontend", "to_int16"]


def to_int16(x: npt.NDArray[np.generic]) -> npt.NDArray[np.int16]:
    """Samples in [-1, 1] as an integer program takes them, rounded half to even and clipped.

    Byte values stay as they are.
    """
    if x.dtype.kind != "f":
        return x.astype(np.int16)
    return np.clip(np.round(x.astype(np.float64) * 32768), -32768, 32767).astype(np.int16)


class Frontend:
    """Cuts input into chunks `x`; any cut of the input gives the same chunks.

    Every yielded `x` is the same array, filled anew: use it before asking for the next.
    """

    def __init__(self, timing: Timing, dtype: npt.DTypeLike) -> None:
        """Chunks of `timing.chunk` frames of `timing.hop` samples of type `dtype`."""
        self._x = np.zeros((1, timing.chunk, timing.hop), dtype)
        self._flat = self._x.reshape(-1)
        self._filled = 0

    @property
    def filled(self) -> int:
        """Samples that wait for the rest of their chunk."""
        return self._filled

    def push(self, samples: npt.NDArray[np.generic]) -> Iterator[npt.NDArray[np.generic]]:
        """Every chunk that `samples` completes; samples are taken in while iterating."""
        flat, size, at, count = self._flat, self._flat.size, 0, samples.size
        while at < count:
            start = self._filled
            end = min(size, start + count - at)
            flat[start:end] = samples[at : at + end - start]
            at += end - start
            self._filled = 0 if end == size else end
            if end == size:
                yield self._x

    def flush(self) -> Iterator[npt.NDArray[np.generic]]:
        """The last chunk, filled up with zeros, when samples are waiting."""
        if self._filled:
            self._flat[self._filled :] = 0
            self._filled = 0
            yield self._x

    def reset(self) -> None:
        """Forget the samples that wait."""
        self._filled = 0

    def state(self) -> npt.NDArray[np.generic]:
        """A copy of the samples that wait."""
        return self._flat[: self._filled].copy()

    def restore(self, waiting: npt.NDArray[np.generic]) -> None:
        """Go on from what `state` gave."""
        fits = isinstance(waiting, np.ndarray) and waiting.ndim == 1
        if not fits or waiting.dtype != self._x.dtype or waiting.size >= self._flat.size:
            raise StateError(
                f"waiting samples must be {self._x.dtype}[n] with n < {self._flat.size}, is "
                f"{getattr(waiting, 'dtype', type(waiting).__name__)}"
                f"{list(getattr(waiting, 'shape', ()))}"
            )
        self._flat[: waiting.size] = waiting
        self._filled = waiting.size


class PcmFrontend(Frontend):
    """Float samples to `x` `[1, chunk, hop]` of float32."""

    def __init__(self, timing: Timing) -> None:
        """Cut for a model of this timing."""
        super().__init__(timing, np.float32)


class ByteFrontend(Frontend):
    """Bytes (uint8) to `x` `[1, chunk, 1]` of int64 byte values."""

    def __init__(self, timing: Timing) -> None:
        """Cut for a model of this timing."""
        super().__init__(timing, np.int64)
