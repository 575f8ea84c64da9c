"""What all decoders have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..errors import StateError
from ..events import Event

__all__ = ["Decoder", "Logits", "check_keys"]

Logits = npt.NDArray[np.float32]


class Decoder(Protocol):
    """Logits in, events out. Memory is bounded, and any cut of the logits gives the same events.

    A row of logits that is not finite is no evidence for anything; it leaves no trace behind.
    """

    def push(self, logits: Logits, x: npt.NDArray[np.generic]) -> list[Event]:
        """Events that the output frames `logits` `[n, V]` complete; `x` is the step's input."""
        ...

    def flush(self) -> list[Event]:
        """Events that only waited for more input, at its end."""
        ...

    def reset(self, output: int = 0) -> None:
        """Forget everything; the next output frame has number `output`."""
        ...

    def state(self) -> dict[str, object]:
        """Everything the decoder remembers, as plain JSON values."""
        ...

    def restore(self, state: Mapping[str, object]) -> None:
        """Go on from what `state` gave."""
        ...


def check_keys(state: Mapping[str, object], expected: Mapping[str, object]) -> None:
    """Raise StateError unless `state` looks as `expected`: same keys, same list lengths."""
    for key in sorted(set(state) | set(expected)):
        if key not in state or key not in expected:
            word = "missing" if key not in state else "unknown"
            raise StateError(f"decoder state does not fit this model: {key!r} is {word}")
        old, new = expected[key], state[key]
        if isinstance(old, list) and (not isinstance(new, list) or len(new) != len(old)):
            raise StateError(
                f"decoder state does not fit this model: {key!r} must be a list of {len(old)}"
            )
