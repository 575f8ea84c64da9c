"""Bounded audio between the callback of a sound card and the program that reads it."""

from __future__ import annotations

from collections import deque

import numpy as np

from .base import Floats

__all__ = ["AudioRing"]


class AudioRing:
    """A fixed number of frames; what does not fit is counted and its place is remembered.

    One thread pushes and one takes. They share no lock: each counter has one writer, and a mark is
    stored before the counter that makes it visible.

    Attributes:
        lost: frames that were lost so far, before the ring or because it was full.
        overflows: how often the ring was full.
    """

    def __init__(self, frames: int, channels: int) -> None:
        """Room for `frames` frames of `channels` values, all of it taken now."""
        self.lost = 0
        self.overflows = 0
        self._data = np.zeros((frames, channels), np.float32)
        self._written = 0
        self._read = 0
        self._pending = 0
        self._marks: deque[tuple[int, int]] = deque()

    def push(self, frames: Floats, lost: int = 0) -> None:
        """Copy `frames` `[n, channels]` in; `lost` frames went missing just before them."""
        size = len(self._data)
        fits = min(len(frames), size - (self._written - self._read))
        self.lost += lost
        self._pending += lost
        if fits:
            if self._pending:
                self._marks.append((self._written, self._pending))
                self._pending = 0
            begin = self._written % size
            first = min(fits, size - begin)
            self._data[begin : begin + first] = frames[:first]
            self._data[: fits - first] = frames[first:fits]
            self._written += fits
        if fits < len(frames):
            dropped = len(frames) - fits
            self.overflows += 1
            self.lost += dropped
            self._pending += dropped

    def take(self, most: int) -> tuple[Floats, int] | None:
        """Up to `most` frames and how many were lost just before them; None when there is nothing.

        The frames are a copy, and nothing is missing inside them.
        """
        end = min(self._written, self._read + most)
        if end == self._read:
            return None
        lost = 0
        if self._marks and self._marks[0][0] == self._read:
            lost = self._marks.popleft()[1]
        if self._marks:
            end = min(end, self._marks[0][0])
        size = len(self._data)
        begin, count = self._read % size, end - self._read
        first = min(count, size - begin)
        frames = np.concatenate(
            (self._data[begin : begin + first], self._data[: count - first]), axis=0
        )
        self._read = end
        return frames, lost
