"""Bits per byte: how well a model foresees a text."""

from __future__ import annotations

from collections.abc import Iterable

from ..events import Event, Token

__all__ = ["BitsPerByte"]


class BitsPerByte:
    """Mean information of the bytes behind the first character, which nothing foresaw."""

    def __init__(self) -> None:
        """Begin before a text."""
        self._bits = 0.0
        self._from: float | None = None
        self._to = 0.0

    def push(self, events: Iterable[Event]) -> None:
        """Take the tokens among `events` in."""
        for event in events:
            if not isinstance(event, Token):
                continue
            if self._from is None:
                self._from = event.time
            elif event.bits is not None:
                self._bits += event.bits
            self._to = event.time

    @property
    def value(self) -> float | None:
        """Bits per byte so far; None before there is anything to judge."""
        if self._from is None or self._to <= self._from:
            return None
        return self._bits / (self._to - self._from)
