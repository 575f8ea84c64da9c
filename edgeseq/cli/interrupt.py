"""Ctrl-C and SIGTERM as a wish to end, so that what was heard is still told."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, Self

from ..sources import Block, Source

__all__ = ["Interrupt"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """While entered, the first signal ends the input and a second one ends everything.

    A signal that comes while a model computes or a line is written waits for that to be whole; one
    that comes while waiting for input ends the wait at once.

    Attributes:
        requested: whether a signal came.
    """

    def __init__(self) -> None:
        """Change nothing until entered."""
        self.requested = False
        self._waiting = False
        self._before: dict[int, Any] = {}

    def blocks(self, source: Source) -> Iterator[Block]:
        """The blocks of `source`, until a signal comes."""
        blocks = iter(source.blocks())
        while True:
            try:
                # Set before the question: a signal between the two must not be slept over.
                self._waiting = True
                if self.requested:
                    return
                block = next(blocks, None)
            except KeyboardInterrupt:
                return
            finally:
                self._waiting = False
            if block is None:
                return
            yield block

    def __enter__(self) -> Self:
        """Take over the signals."""
        for number in SIGNALS:
            # Ignored by whoever started this (nohup, a job in the background): stays ignored.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        impatient = self.requested
        self.requested = True
        if impatient or self._waiting:
            raise KeyboardInterrupt
