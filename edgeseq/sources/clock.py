"""Time as a source sees it, so that a simulation can let an hour pass in a moment."""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What a source asks of a clock; its zero means nothing."""

    def now(self) -> float:
        """Seconds, never going back."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for `event`, at most `seconds`; whether it came."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        """Seconds, never going back."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for `event`, at most `seconds`; whether it came."""
        return event.wait(seconds)
