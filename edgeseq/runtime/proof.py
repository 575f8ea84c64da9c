"""What a comparison of two lives of a model found, and the golden test that needs no trainer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .session import Session

__all__ = ["Difference", "Proof", "verify_golden"]


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one tensor is from what it should be over all steps, and what is allowed.

    Attributes:
        tensor: its name.
        largest: largest absolute difference.
        relative: the difference that is judged; relative to the tensor's size against torch,
            absolute against the golden.
        limit: what is allowed.
    """

    tensor: str
    largest: float
    relative: float
    limit: float

    @property
    def good(self) -> bool:
        """Whether it is within the limit."""
        return self.relative <= self.limit


@dataclass(frozen=True, slots=True)
class Proof:
    """What was compared over how many steps."""

    what: str
    steps: int
    differences: tuple[Difference, ...]

    @property
    def good(self) -> bool:
        """Whether every tensor is within its limit."""
        return all(d.good for d in self.differences)

    def sentence(self, where: Path) -> str:
        """The worst tensor in words."""
        worst = max(self.differences, key=lambda d: d.relative / d.limit)
        return (
            f"{where}: {self.what}: {worst.tensor} differs by {worst.relative:.3g} "
            f"(allowed {worst.limit:.3g}) over {self.steps} steps"
        )


def verify_golden(session: Session) -> Proof:
    """Replay the golden of a file through its own session."""
    manifest = session.manifest
    gap = session.golden_error()
    steps = manifest.golden.x.shape[1] // manifest.timing.chunk
    return Proof("golden", steps, (Difference("y", gap, gap, manifest.golden.tolerance),))
