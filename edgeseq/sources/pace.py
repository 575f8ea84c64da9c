"""A file played at the speed of the clock, as a microphone would give it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from ..errors import ConfigError
from .base import Block, Source

__all__ = ["RealtimeSource", "realtime"]

BLOCK_SECONDS = 0.02


class RealtimeSource:
    """Another source's blocks, cut to 20 ms and each held back until its sound would have ended."""

    live = True

    def __init__(
        self,
        source: Source,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Pace `source` by `clock` and `sleep`, both in seconds."""
        if source.sample_rate is None:
            raise ConfigError(f"{source.name}: text has no clock, so it cannot run in real time")
        self.name = source.name
        self.sample_rate = source.sample_rate
        self.notes = source.notes
        self._source = source
        self._clock = clock
        self._sleep = sleep

    def blocks(self) -> Iterator[Block]:
        """Blocks of 20 ms; a caller that falls behind gets the late ones at once."""
        started = self._clock()
        done = 0
        for piece in self._cut():
            done += len(piece.samples) + piece.lost
            # From the sample count, not by adding up sleeps: those run late a little each time.
            wait = started + done / self.sample_rate - self._clock()
            if wait > 0:
                self._sleep(wait)
            yield piece

    def close(self) -> None:
        """Close the source below."""
        self._source.close()

    def _cut(self) -> Iterator[Block]:
        most = max(1, round(self.sample_rate * BLOCK_SECONDS))
        for block in self._source.blocks():
            lost = block.lost
            for begin in range(0, max(1, len(block.samples)), most):
                yield Block(block.samples[begin : begin + most], lost, block.cause)
                lost = 0


def realtime(source: Source) -> RealtimeSource:
    """`source` at the speed of the clock."""
    return RealtimeSource(source)
