"""Shapes, state and time of a streaming model, without any framework.

`StateSpec` fixes which tensors go from step to step and in which order; the same order is used for
ONNX inputs, reports and every other place. `Timing` is the only place that converts between
samples, frames and seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import ConfigError, StateError

__all__ = ["BATCH", "State", "StateSpec", "TensorSpec", "Timing"]

BATCH = "B"
"""How the batch axis is written in a shape; every other axis is a number."""

DTYPES = ("float32", "float16", "int64", "int32", "int16", "int8", "uint8")

State = dict[str, npt.NDArray[np.generic]]
"""State as numpy arrays by name, in the order of its StateSpec."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, shape and dtype of one tensor; `fill` is its value at the start of a stream."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str = "float32"
    fill: float = 0.0

    def __post_init__(self) -> None:
        """Refuse an axis that is neither `"B"` nor a positive number, and an unknown dtype."""
        for axis in self.shape:
            if axis != BATCH and not (isinstance(axis, int) and axis > 0):
                raise ConfigError(
                    f"tensor {self.name!r}: axis {axis!r} in shape {self.shape} is not allowed; "
                    f"write {BATCH!r} for the batch axis and a number >= 1 for any other"
                )
        if self.dtype not in DTYPES:
            raise ConfigError(
                f"tensor {self.name!r}: dtype {self.dtype!r} is not one of {', '.join(DTYPES)}"
            )
        if not self._holds(self.fill):
            raise ConfigError(f"tensor {self.name!r}: fill {self.fill:g} is no {self.dtype}")

    def _holds(self, value: float) -> bool:
        kind = np.dtype(self.dtype)
        if kind.kind == "f":
            return abs(value) <= float(np.finfo(kind).max)
        return value == int(value) and np.iinfo(kind).min <= int(value) <= np.iinfo(kind).max

    def bound(self, batch: int) -> tuple[int, ...]:
        """The shape with the batch axis replaced by `batch`."""
        return tuple(batch if isinstance(axis, str) else axis for axis in self.shape)

    def zeros(self, batch: int = 1) -> npt.NDArray[np.generic]:
        """A new array that holds `fill` everywhere."""
        return np.full(self.bound(batch), self.fill, dtype=self.dtype)

    def nbytes(self, batch: int = 1) -> int:
        """Bytes of this tensor at the given batch size."""
        # Not np.prod: the axes of a hostile file overflow 64 bits.
        return math.prod(self.bound(batch)) * np.dtype(self.dtype).itemsize

    def check(self, array: npt.NDArray[np.generic], batch: int = 1) -> None:
        """Raise StateError when `array` has another shape or dtype than this spec."""
        if array.shape != self.bound(batch) or array.dtype != np.dtype(self.dtype):
            raise StateError(
                f"tensor {self.name!r} is {array.dtype}{list(array.shape)}, "
                f"expected {self.dtype}{list(self.bound(batch))}"
            )


@dataclass(frozen=True, slots=True)
class StateSpec:
    """The ordered tensors that a model carries from step to step."""

    tensors: tuple[TensorSpec, ...] = ()

    def __post_init__(self) -> None:
        """Refuse two tensors of one name."""
        names = [tensor.name for tensor in self.tensors]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ConfigError(f"state names must differ; given twice: {', '.join(double)}")

    def __iter__(self) -> Iterator[TensorSpec]:
        """The tensors in their fixed order."""
        return iter(self.tensors)

    def __len__(self) -> int:
        """How many tensors there are."""
        return len(self.tensors)

    @property
    def names(self) -> tuple[str, ...]:
        """The dotted names, in order."""
        return tuple(tensor.name for tensor in self.tensors)

    def zeros(self, batch: int = 1) -> State:
        """The state at the start of a stream."""
        return {tensor.name: tensor.zeros(batch) for tensor in self.tensors}

    def nbytes(self, batch: int = 1) -> int:
        """Bytes of the whole state."""
        return sum(tensor.nbytes(batch) for tensor in self.tensors)

    def check(self, state: Mapping[str, npt.NDArray[np.generic]], batch: int = 1) -> None:
        """Raise StateError unless `state` holds exactly these tensors."""
        missing = [name for name in self.names if name not in state]
        extra = [name for name in state if name not in self.names]
        if missing or extra:
            raise StateError(
                "state does not fit this model: "
                f"missing {', '.join(missing) or 'nothing'}, "
                f"unknown {', '.join(extra) or 'nothing'}"
            )
        for tensor in self.tensors:
            tensor.check(state[tensor.name], batch)


@dataclass(frozen=True, slots=True)
class Timing:
    """How frames, chunks and outputs of a model lie in time.

    Attributes:
        sample_rate: samples a second; None for text, where a sample is one byte and has no time.
        window: samples that one frame sees.
        hop: samples between the starts of two frames.
        chunk: frames given to the model in one step.
        subsampling: input frames per output frame.
        lookahead: future frames an output waits for.
        left_context: past frames that attention can see in one layer (= cache length); None where
            recurrences alone remember. In a hybrid the past has no bound all the same.
    """

    sample_rate: int | None
    window: int
    hop: int
    chunk: int = 1
    subsampling: int = 1
    lookahead: int = 0
    left_context: int | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that cannot describe a stream."""
        least = {"window": 1, "hop": 1, "chunk": 1, "subsampling": 1, "lookahead": 0}
        for field, low in least.items():
            value = getattr(self, field)
            if value < low:
                raise ConfigError(f"timing.{field} is {value}; it must be at least {low}")
        if self.sample_rate is not None and self.sample_rate < 1:
            raise ConfigError(f"timing.sample_rate is {self.sample_rate}; it must be at least 1")
        if self.window < self.hop:
            raise ConfigError(
                f"timing.window {self.window} is shorter than hop {self.hop}: samples would be lost"
            )
        if self.chunk % self.subsampling:
            raise ConfigError(
                f"timing.chunk {self.chunk} is no multiple of subsampling {self.subsampling}"
            )

    @property
    def step_samples(self) -> int:
        """New samples that one step consumes."""
        return self.chunk * self.hop

    @property
    def step_seconds(self) -> float:
        """Stream time that one step consumes, in seconds (bytes for text)."""
        return self.seconds(self.step_samples)

    @property
    def algorithmic_latency(self) -> float:
        """Seconds from the start of a frame until its output can exist, without compute time."""
        return self.seconds(self.window + (self.lookahead + self.chunk - 1) * self.hop)

    def seconds(self, samples: int) -> float:
        """Stream time of a sample count: seconds, or the count itself for text."""
        return samples / (self.sample_rate or 1)

    def output_seconds(self, output: int) -> float:
        """Stream time at which the input of output frame `output` (from 0) ends."""
        return self.seconds((output + 1) * self.subsampling * self.hop)

    def frames(self, seconds: float) -> int:
        """Output frames that cover `seconds`, rounded to the nearest, never negative."""
        per_frame = self.subsampling * self.hop / (self.sample_rate or 1)
        return max(0, round(seconds / per_frame))
