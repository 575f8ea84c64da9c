"""From model time, which knows only the input that arrived, to stream time with its gaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .errors import StateError

__all__ = ["Timeline"]

KEPT = 256
"""Gaps kept one by one; older ones count for every event, which no event can look back across."""


class Timeline:
    """Where gaps lie. A gap at position `p` shifts everything that ends after `p`.

    Attributes:
        gaps: (model seconds at which input is missing, seconds missing), in order.
        lost: seconds missing in all.
    """

    def __init__(self) -> None:
        """Without gaps the two times are equal."""
        self.gaps: list[tuple[float, float]] = []
        self.lost = 0.0

    def add_gap(self, position: float, seconds: float) -> None:
        """Say that `seconds` of input are missing at model time `position`."""
        self.lost += seconds
        self.gaps.append((position, seconds))
        if len(self.gaps) > KEPT:
            (first, missing), (_, more) = self.gaps[:2]
            self.gaps[:2] = [(first, missing + more)]

    def stream(self, time: float) -> float:
        """Stream time of the model time `time`."""
        # Input that has been pushed up to a gap ends where the gap has not begun yet.
        return time + sum(missing for position, missing in self.gaps if position < time)

    def state(self) -> list[list[float]]:
        """The gaps, as plain JSON values."""
        return [list(gap) for gap in self.gaps]

    @classmethod
    def restored(cls, gaps: Sequence[Any]) -> Timeline:
        """What `state` gave, as a timeline."""
        timeline = cls()
        try:
            for position, missing in gaps:
                timeline.add_gap(float(position), float(missing))
        except (TypeError, ValueError):
            raise StateError("timeline state must be a list of [position, seconds]") from None
        return timeline
