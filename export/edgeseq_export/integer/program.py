"""A chain of integer layers with the same step and state contract as every model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgeseq.errors import StateError
from edgeseq.frontends import to_int16
from edgeseq.spec import State, StateSpec, Timing

from .fixed import Ints

__all__ = ["IntegerLayer", "IntegerProgram"]


class IntegerLayer(Protocol):
    """One layer on one frame."""

    @property
    def state_spec(self) -> StateSpec:
        """Names, shapes and dtypes of the state."""
        ...

    def step(self, x: Ints, state: State) -> tuple[Ints, State]:
        """`[B, in]` to `[B, out]`, and the next state."""
        ...


@dataclass(frozen=True)
class IntegerProgram:
    """Layers by name, in order; state names are those of the float model.

    Attributes:
        layers: `(name, layer)`; layer `n`'s state `h` is `<name n>.h`.
        timing: of the float model.
        output_fraction: bits after the point of the int16 logits.
        macs_per_frame: multiply-accumulates of one step.
    """

    layers: tuple[tuple[str, IntegerLayer], ...]
    timing: Timing
    input_dim: int
    output_dim: int
    output_fraction: int
    macs_per_frame: int

    @property
    def state_spec(self) -> StateSpec:
        """The layers' states, in order: the order of the bytes in the C arena."""
        return StateSpec(
            tuple(
                replace(tensor, name=f"{name}.{tensor.name}")
                for name, layer in self.layers
                for tensor in layer.state_spec
            )
        )

    @property
    def bytes_input(self) -> bool:
        """Whether x holds byte values, not PCM."""
        return self.timing.sample_rate is None

    def quantize_input(self, x: npt.NDArray[np.generic]) -> npt.NDArray[np.int16]:
        """PCM as floats in [-1, 1] to int16; byte values as they are."""
        return to_int16(x)

    def step(
        self, x: npt.NDArray[np.generic], state: Mapping[str, npt.NDArray[np.generic]]
    ) -> tuple[npt.NDArray[np.int16], State]:
        """Frames `[B, T, input_dim]` of int16 to logits `[B, T, output_dim]` of int16.

        Raises:
            StateError: `x` or `state` has another shape or dtype.
        """
        if x.dtype != np.int16 or x.ndim != 3 or x.shape[2] != self.input_dim:
            raise StateError(
                f"x is {x.dtype}{list(x.shape)}, expected int16[B, T, {self.input_dim}]; "
                "quantize_input gives it"
            )
        self.state_spec.check(state, len(x))
        state, outputs = dict(state), []
        for t in range(x.shape[1]):
            y, after = x[:, t].astype(np.int64), {}
            for name, layer in self.layers:
                own = {s.name: state[f"{name}.{s.name}"] for s in layer.state_spec}
                y, own_after = layer.step(y, own)
                after.update({f"{name}.{key}": own_after[key] for key in own})
            state = after
            outputs.append(y.astype(np.int16))
        return np.stack(outputs, axis=1), state

    def logits(self, y: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
        """int16 logits as real numbers."""
        return (y / np.float32(2.0**self.output_fraction)).astype(np.float32)
