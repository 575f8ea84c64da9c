"""What a Session asks of a backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..spec import State

__all__ = ["Array", "Backend", "Stepper"]

Array = npt.NDArray[np.generic]


class Stepper(Protocol):
    """One stream's place in a model: its own state and buffers, nothing allocated per step.

    Steppers of one Session are independent and may run in different threads; one Stepper belongs to
    one thread at a time.
    """

    def step(self, x: Array) -> npt.NDArray[np.float32]:
        """Logits `y` `[1, chunk/subsampling, V]` for the chunk `x`, which is not changed.

        The array is the stepper's own and is overwritten by the next step: copy what must stay.
        """
        ...

    def state(self) -> State:
        """A copy of the state."""
        ...

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on from `state`, which is copied."""
        ...

    def reset(self) -> None:
        """Go back to the state at the start of a stream."""
        ...


class Backend(Protocol):
    """A loaded model that any number of streams share."""

    def step(self, x: Array, state: Mapping[str, Array]) -> tuple[npt.NDArray[np.float32], State]:
        """The pure step: new arrays out, arguments unchanged."""
        ...

    def stepper(self) -> Stepper:
        """A new place in the model, with the state at the start of a stream."""
        ...
