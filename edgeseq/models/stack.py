"""Residual blocks of one width, of one kind or of several, behind one another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..spec import BATCH, StateSpec, TensorSpec, Timing
from .base import State, StreamModel, prefixed

__all__ = ["CausalConv", "Stack", "StackBlock", "check_sizes", "feed_forward"]


class CausalConv(nn.Module):
    """Depthwise convolution over the newest `width` frames, memory `[B, width-1, dim]`."""

    def __init__(self, dim: int, width: int) -> None:
        """Start as the identity: all weight on the newest frame."""
        super().__init__()
        self.width = width
        weight = torch.zeros(width, dim)
        weight[-1] = 1.0
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Frames `[B, T, dim]` and the frames before them."""
        frames = x.shape[1]
        seen = torch.cat([past, x], dim=1)
        y = self.bias + sum(seen[:, i : i + frames] * self.weight[i] for i in range(self.width))
        return y, seen[:, frames:]


def feed_forward(dim: int, width: int) -> nn.Sequential:
    """`dim` numbers to `width`, what is negative cut off, and back: O(dim * width) a frame."""
    return nn.Sequential(nn.Linear(dim, width), nn.ReLU(), nn.Linear(width, dim))


def check_sizes(config: object, *fields: str) -> None:
    """Refuse a size below 1, a convolution of one frame, and a share of dropout outside [0, 1).

    Raises:
        ConfigError: names the field, its value and what is allowed.
    """
    for field in fields:
        if getattr(config, field) < 1:
            raise ConfigError(f"{field} is {getattr(config, field)}; it must be at least 1")
    conv, dropout = getattr(config, "conv", 0), getattr(config, "dropout", 0.0)
    if conv == 1 or conv < 0:
        raise ConfigError(f"conv is {conv}; it must be 0 (none) or at least 2")
    if not 0 <= dropout < 1:
        raise ConfigError(f"dropout is {dropout}; it must be in [0, 1)")


class StackBlock(nn.Module, ABC):
    """One residual block whose memory is an argument.

    Attributes:
        state: its tensors, in order; empty at the start of a stream.
        reach: past frames that can change an output; None without bound.
        left_context: past frames that it keeps keys and values of.
        macs: multiply-accumulates a frame.
    """

    state: tuple[TensorSpec, ...]
    reach: int | None
    left_context: int | None
    macs: int

    @abstractmethod
    def forward(self, x: Tensor, own: State, filled: Tensor | None) -> tuple[Tensor, State]:
        """Frames `[B, T, dim]`, the block's state, and the valid slots of caches `[B]`."""


class Stack(StreamModel):
    """Frames `[B, T, input_dim]` to `[B, T, dim]`: a projection, blocks, a LayerNorm.

    State: `filled` (valid cache slots, saturating at the left context) where a block attends, then
    `<n>.<name>` of every block's tensors.
    """

    def __init__(self, input_dim: int, dim: int, blocks: Iterable[StackBlock]) -> None:
        """Put the blocks behind one another; a generator draws its weights in order."""
        super().__init__()
        self.input_dim, self.output_dim = input_dim, dim
        self.enter = nn.Linear(input_dim, dim)
        blocks = list(blocks)
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(dim)
        contexts = [b.left_context for b in blocks if b.left_context is not None]
        self.cache = max(contexts, default=0)
        self._macs = input_dim * dim + sum(b.macs for b in blocks)
        reaches = [b.reach for b in blocks]
        self._field = None if None in reaches else sum(r for r in reaches if r is not None)
        counter = [TensorSpec("filled", (BATCH,), "int64")] if self.cache else []
        own = [t for n, b in enumerate(blocks) for t in prefixed(StateSpec(b.state), str(n))]
        self._spec = StateSpec((*counter, *own))

    @property
    def state_spec(self) -> StateSpec:
        """Memory of every block, and how much of the caches is valid."""
        return self._spec

    @property
    def timing(self) -> Timing:
        """One frame a step; caches are the left context."""
        return Timing(None, 1, 1, left_context=self.cache or None)

    @property
    def receptive_field(self) -> int | None:
        """Sum of what the blocks reach; None as soon as one is recurrent."""
        return self._field

    def macs_per_frame(self) -> int:
        """Products of all blocks, attention over a full cache."""
        return self._macs

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Run the blocks over a clip or a chunk."""
        frames, filled, after = x.shape[1], state.get("filled"), State()
        if filled is not None:
            after["filled"] = (filled + frames).clamp(max=self.cache)
        x = self.enter(x)
        for n, block in enumerate(self.blocks):
            assert isinstance(block, StackBlock)
            own = {t.name: state[f"{n}.{t.name}"] for t in block.state}
            x, own_after = block(x, own, filled)
            after.update({f"{n}.{name}": own_after[name] for name in own})
        return self.norm(x), after
