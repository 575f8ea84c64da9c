"""The one interface of every layer and every model, and how layers are put in a chain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..spec import StateSpec, TensorSpec, Timing

__all__ = ["Chain", "State", "StreamModel"]

State = dict[str, Tensor]
"""State as tensors by dotted name, in the order of the model's StateSpec."""

FRAMES = Timing(sample_rate=None, window=1, hop=1)
"""Timing of a layer that works on frames and knows nothing of samples."""


class StreamModel(nn.Module, ABC):
    """A causal sequence model whose memory is an argument.

    The contract, for any cut of `x` along time into `a` and `b` (chunks of `timing.subsampling`
    frames):

        y, s = model(cat(a, b), s0)
        ya, s1 = model(a, s0);  yb, s2 = model(b, s1)
        y == cat(ya, yb)  and  s == s2

    So training on whole clips and stepping on a device are the same call. The state has constant
    size, is never mutated, and holds no counter that grows with the stream.
    """

    input_dim: int
    output_dim: int

    @property
    @abstractmethod
    def state_spec(self) -> StateSpec:
        """Names, shapes and start values of the state."""

    @property
    def timing(self) -> Timing:
        """How frames and outputs lie in time."""
        return FRAMES

    @property
    def receptive_field(self) -> int | None:
        """Past frames that can change an output; None when without bound (recurrent)."""
        return 0

    @abstractmethod
    def macs_per_frame(self) -> int:
        """Multiply-accumulates for one input frame in the step use."""

    @abstractmethod
    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Frames `[B, T, input_dim]` to `[B, T/subsampling, output_dim]`, and the next state."""

    def initial_state(self, batch: int = 1) -> State:
        """The state at the start of a stream, on the device of the weights."""
        device = next((p.device for p in self.parameters()), torch.device("cpu"))
        return {
            t.name: torch.full(t.bound(batch), t.fill, dtype=getattr(torch, t.dtype), device=device)
            for t in self.state_spec
        }

    def parameter_count(self) -> int:
        """How many trained numbers the model has."""
        return sum(p.numel() for p in self.parameters())


def prefixed(spec: StateSpec, prefix: str) -> tuple[TensorSpec, ...]:
    """The tensors of `spec` with `prefix.` before each name."""
    return tuple(replace(t, name=f"{prefix}.{t.name}") for t in spec)


class Chain(StreamModel):
    """Layers one after the other; layer `n`'s state `h` becomes `<name n>.h`."""

    def __init__(self, layers: Sequence[tuple[str, StreamModel]]) -> None:
        """Chain `(name, layer)` pairs; the first layer fixes the timing in samples."""
        super().__init__()
        self.layers = nn.ModuleDict(dict(layers))
        self.input_dim = layers[0][1].input_dim
        self.output_dim = layers[-1][1].output_dim
        self._spec = StateSpec(
            tuple(t for name, layer in layers for t in prefixed(layer.state_spec, name))
        )

    def named_layers(self) -> list[tuple[str, StreamModel]]:
        """The layers with their names, in order."""
        return [
            (name, layer) for name, layer in self.layers.items() if isinstance(layer, StreamModel)
        ]

    @property
    def state_spec(self) -> StateSpec:
        """The layers' states, in chain order."""
        return self._spec

    @property
    def timing(self) -> Timing:
        """The first layer's window and hop, with what the later layers add."""
        layers = [layer for _, layer in self.named_layers()]
        first = layers[0].timing
        contexts = [layer.timing.left_context for layer in layers]
        longest = max((c for c in contexts if c is not None), default=0)
        recurrent = self.receptive_field is None
        return replace(
            first,
            lookahead=sum(layer.timing.lookahead for layer in layers),
            left_context=None if recurrent and not longest else longest,
        )

    @property
    def receptive_field(self) -> int | None:
        """Sum of the layers' fields, None as soon as one is without bound."""
        fields = [layer.receptive_field for _, layer in self.named_layers()]
        return None if None in fields else sum(f for f in fields if f is not None)

    def macs_per_frame(self) -> int:
        """Sum over the layers."""
        return sum(layer.macs_per_frame() for _, layer in self.named_layers())

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Run every layer with its own part of the state."""
        next_state: State = {}
        for name, layer in self.named_layers():
            own = {t.name: state[f"{name}.{t.name}"] for t in layer.state_spec}
            x, after = layer(x, own)
            next_state.update({f"{name}.{key}": value for key, value in after.items()})
        return x, next_state
