"""A gated linear recurrence: stepped with a state of `dim` numbers, trained on whole clips at once.

No gate looks at the state (Feng et al. 2024, "Were RNNs all we needed?", minGRU), so all gates of a
clip come from one matrix product and the states from a parallel scan; there is no product with the
state at all. Around it is the residual block of Griffin (De et al. 2024): a short causal
convolution, an output gate, a feed-forward layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..spec import BATCH, TensorSpec
from .base import State
from .scan import linear_scan
from .stack import CausalConv, Stack, StackBlock, check_sizes, feed_forward

__all__ = ["GatedRecurrence", "LinearBlock", "LinearRnn", "LinearRnnConfig"]

SHORTEST, LONGEST = 1.5, 128.0
"""Frames after which a state has faded to 1/e, at the start of training (chrono initialisation,
Tallec and Ollivier 2018): 30 ms to 2.5 s of speech."""


@dataclass(frozen=True, slots=True)
class LinearRnnConfig:
    """A stack of linear recurrences: `LinearRnnConfig(dim=128, layers=2).build()`.

    Attributes:
        input_dim: numbers per frame coming in.
        dim: numbers per frame inside, and of each state.
        layers: blocks.
        feed_forward: width of the feed-forward layer.
        conv: frames of the causal depthwise convolution before the recurrence; 0 leaves it out.
        dropout: share of activations dropped in training.
    """

    input_dim: int = 40
    dim: int = 96
    layers: int = 4
    feed_forward: int = 192
    conv: int = 4
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        check_sizes(self, "input_dim", "dim", "layers", "feed_forward")

    def build(self) -> LinearRnn:
        """The layers."""
        return LinearRnn(self)


class GatedRecurrence(nn.Module):
    """`h[t] = h[t-1] + z[t] * (v[t] - h[t-1])`, and out goes `W (h * silu(g))`.

    z (through a sigmoid), v and g are one linear map of the frame. A state is a weighted mean of
    the v so far, never larger than the largest of them, whatever the stream, and needs a sigmoid
    and products alone: both suit eight bits. The RG-LRU of Griffin, `a h + sqrt(1 - a^2) v`, also
    needs an exponential and a root, and at a = 0.999 a constant v grows to 45 times its size in it.
    O(T dim^2) for a clip, in parallel; O(dim^2) for a step.
    """

    def __init__(self, dim: int) -> None:
        """Build the maps; the time constants are spread evenly over their logarithm."""
        super().__init__()
        self.enter = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.macs = 4 * dim * dim + dim
        frames = torch.exp(torch.linspace(math.log(SHORTEST), math.log(LONGEST), dim))
        with torch.no_grad():
            self.enter.bias[:dim] = -torch.log(frames - 1)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Frames `[B, T, dim]` and the state `[B, dim]` before them."""
        update, value, gate = self.enter(x).chunk(3, dim=-1)
        update = torch.sigmoid(update)
        states = linear_scan(1 - update, update * value, state)
        return self.out(states * functional.silu(gate)), states[:, -1]


class LinearBlock(StackBlock):
    """Pre-norm block: (convolution), recurrence, feed-forward, each with a residual path.

    State `h` `[B, dim]` and, with a convolution, `conv` `[B, conv-1, dim]`.
    """

    def __init__(self, dim: int, width: int, conv: int, dropout: float) -> None:
        """Build the parts; `width` is that of the feed-forward layer."""
        super().__init__()
        self.conv = CausalConv(dim, conv) if conv else None
        self.norm_recurrence = nn.LayerNorm(dim)
        self.recurrence = GatedRecurrence(dim)
        self.norm_feed = nn.LayerNorm(dim)
        self.feed = feed_forward(dim, width)
        self.drop = nn.Dropout(dropout)
        self.state = (TensorSpec("h", (BATCH, dim)),)
        if conv:
            self.state += (TensorSpec("conv", (BATCH, conv - 1, dim)),)
        self.reach = self.left_context = None
        self.macs = self.recurrence.macs + 2 * dim * width + conv * dim

    def forward(self, x: Tensor, own: State, filled: Tensor | None) -> tuple[Tensor, State]:
        """Frames `[B, T, dim]`; `own` holds this block's `h` and `conv`."""
        after: State = {}
        normed = self.norm_recurrence(x)
        if self.conv is not None:
            normed, after["conv"] = self.conv(normed, own["conv"])
        mixed, after["h"] = self.recurrence(normed, own["h"])
        x = x + self.drop(mixed)
        return x + self.drop(self.feed(self.norm_feed(x))), after


class LinearRnn(Stack):
    """Frames `[B, T, input_dim]` to `[B, T, dim]`; O(T) for a clip, O(1) a step, in time.

    State: `<n>.h` and `<n>.conv` of every block.
    """

    def __init__(self, config: LinearRnnConfig) -> None:
        """Build the blocks."""
        c = config
        blocks = (LinearBlock(c.dim, c.feed_forward, c.conv, c.dropout) for _ in range(c.layers))
        super().__init__(c.input_dim, c.dim, blocks)
        self.config = config
