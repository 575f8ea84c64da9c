"""How far the states of two forms of a model are apart, early and late in a long stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from ..runtime import Session
from ..runtime.backend import Array
from ..spec import State

__all__ = ["Drift", "follow_drift"]

EVERY = 5
"""Steps between two looks at a state, which is copied for it."""

BLOCK = 1000


@dataclass(frozen=True, slots=True)
class Drift:
    """Difference of all float states, RMS, relative to the states of the reference.

    Attributes:
        early: over the first pass through the input.
        late: over the last pass through the same input.
        finite: whether every number of the last state is finite.
    """

    early: float
    late: float
    finite: bool = True


@dataclass(slots=True)
class _Sum:
    gap: float = 0.0
    size: float = 0.0

    def add(self, state: State, wanted: State) -> None:
        for name, value in wanted.items():
            if value.dtype.kind == "f":
                size = value.astype(np.float64)
                self.gap += float(np.square(state[name].astype(np.float64) - size).sum())
                self.size += float(np.square(size).sum())

    @property
    def relative(self) -> float:
        return float(np.sqrt(self.gap / max(self.size, 1e-12)))


def follow_drift(
    reference: Session,
    others: Mapping[str, Session],
    chunks: Sequence[Array],
    steps: int,
    tell: Callable[[float], None] = lambda share: None,
) -> dict[str, Drift]:
    """Drift by name after `steps` steps over `chunks` again and again, each from its own state.

    Args:
        reference: the float form.
        others: what is compared with it, by name.
        chunks: inputs `x`.
        steps: length of the stream; at least two passes through `chunks` keep early and late apart.
        tell: takes the share that is done.
    """
    chunks = chunks[: max(1, steps // 2)]
    own = reference.stepper()
    steppers = {name: session.stepper() for name, session in others.items()}
    sums = {name: (_Sum(), _Sum()) for name in others}
    late_from = (steps // len(chunks) - 1) * len(chunks)
    for n, x in enumerate(islice(cycle(chunks), steps)):
        own.step(x)
        for stepper in steppers.values():
            stepper.step(x)
        early, late = n < len(chunks), late_from <= n < late_from + len(chunks)
        if (early or late) and n % EVERY == 0:
            wanted = own.state()
            for name, stepper in steppers.items():
                sums[name][0 if early else 1].add(stepper.state(), wanted)
        if n % BLOCK == 0:
            tell(n / steps)
    return {
        name: Drift(early.relative, late.relative, _finite(steppers[name].state()))
        for name, (early, late) in sums.items()
    }


def _finite(state: State) -> bool:
    return all(np.isfinite(v).all() for v in state.values() if v.dtype.kind == "f")
