"""Causal Transformer with local attention and a bounded cache.

Each frame sees itself and the `window` frames before it. The frames that a chunk still needs are in
the state as keys and values, so memory is constant; position enters only as a learned bias per
distance (Raffel et al. 2020, T5, without buckets), so step 2^31 equals step 1000.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ConfigError
from ..spec import BATCH, StateSpec, TensorSpec, Timing
from .base import State, StreamModel

__all__ = ["Transformer", "TransformerConfig"]

MASKED = -1e9
"""Score of a key that must not be seen: finite, since NaN and infinity survive a product with 0."""


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """Shape of the Transformer.

    Attributes:
        input_dim: numbers per frame coming in.
        dim: numbers per frame inside.
        layers: blocks.
        heads: attention heads; must divide `dim`.
        window: past frames each frame sees (= cache length).
        feed_forward: width of the feed-forward layer.
        conv: frames of the causal depthwise convolution before attention; 0 leaves it out. It gives
            each block local order, which small models trained on little data profit from
            (So et al. 2021, Primer).
        dropout: share of activations dropped in training.
    """

    input_dim: int = 40
    dim: int = 96
    layers: int = 4
    heads: int = 4
    window: int = 64
    feed_forward: int = 192
    conv: int = 0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        for field in ("input_dim", "dim", "layers", "heads", "window", "feed_forward"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field} is {getattr(self, field)}; it must be at least 1")
        if self.dim % self.heads:
            raise ConfigError(f"heads {self.heads} does not divide dim {self.dim}")
        if self.conv == 1 or self.conv < 0:
            raise ConfigError(f"conv is {self.conv}; it must be 0 (none) or at least 2")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; it must be in [0, 1)")

    def build(self) -> Transformer:
        """The layers."""
        return Transformer(self)


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


class LocalAttention(nn.Module):
    """Multi-head attention to the frame itself and the `window` frames before it.

    A clip of more than four windows is cut into blocks of `window` queries; each block meets its
    own keys and the `window` keys before it. Time and memory are O(T * window), for a step of one
    frame O(window).
    """

    def __init__(self, config: TransformerConfig) -> None:
        """Build the projections and the bias table."""
        super().__init__()
        self.heads, self.window = config.heads, config.window
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.out = nn.Linear(config.dim, config.dim)
        # Column d is the bias of a key d frames before the query.
        self.distance_bias = nn.Parameter(torch.zeros(config.heads, config.window + 1))

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def _bias(self, queries: int) -> tuple[Tensor, Tensor]:
        """Bias `[H, C, C+W]` by distance, and which of those pairs are inside the window."""
        keys = queries + self.window
        distance = self.window + torch.arange(queries)[:, None] - torch.arange(keys)[None, :]
        inside = (distance >= 0) & (distance <= self.window)
        return self.distance_bias[:, distance.clamp(0, self.window)], inside

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, filled: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Attend.

        Args:
            x: frames `[B, T, dim]`.
            keys: cache `[B, H, W, dim/H]`, the newest last.
            values: cache of the same shape.
            filled: valid slots of the cache `[B]`, counted from its end.

        Returns:
            Frames `[B, T, dim]` and the next caches.
        """
        batch, frames, _ = x.shape
        query, key, value = (self._split(part) for part in self.qkv(x).chunk(3, dim=-1))
        keys, values = torch.cat([keys, key], dim=2), torch.cat([values, value], dim=2)
        next_keys, next_values = keys[:, :, frames:], values[:, :, frames:]
        # Over a few windows the pairs that are masked cost less than cutting keys into blocks.
        size = frames if frames <= 4 * self.window else self.window
        blocks = -(-frames // size)
        if blocks > 1:
            extra = blocks * size - frames
            query = functional.pad(query, (0, 0, 0, extra))
            query = query.reshape(batch, self.heads, blocks, size, -1)
            keys = functional.pad(keys, (0, 0, 0, extra)).unfold(2, size + self.window, size)
            values = functional.pad(values, (0, 0, 0, extra)).unfold(2, size + self.window, size)
            values = values.transpose(-1, -2)
        else:
            query, keys, values = (
                query.unsqueeze(2),
                keys.unsqueeze(2).transpose(-1, -2),
                values.unsqueeze(2),
            )
        # Now [B, H, blocks, size, ...]: query ..., d; keys ..., d, size+W; values ..., size+W, d.
        bias, inside = self._bias(size)
        start = torch.arange(blocks)[:, None] * size + torch.arange(size + self.window)
        written = start[None] >= self.window - filled[:, None, None]
        visible = inside & written[:, None, :, None, :]
        scores = query @ keys * query.shape[-1] ** -0.5 + bias[:, None]
        weights = torch.softmax(torch.where(visible, scores, MASKED), dim=-1)
        mixed = (weights @ values).flatten(2, 3)[:, :, :frames]
        return self.out(mixed.transpose(1, 2).flatten(2)), next_keys, next_values


class Block(nn.Module):
    """Pre-norm block: (convolution), attention, feed-forward, each with a residual path."""

    def __init__(self, config: TransformerConfig) -> None:
        """Build the parts."""
        super().__init__()
        dim = config.dim
        self.conv = CausalConv(dim, config.conv) if config.conv else None
        self.norm_attention = nn.LayerNorm(dim)
        self.attention = LocalAttention(config)
        self.norm_feed = nn.LayerNorm(dim)
        self.feed = nn.Sequential(
            nn.Linear(dim, config.feed_forward), nn.ReLU(), nn.Linear(config.feed_forward, dim)
        )
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, own: State, filled: Tensor) -> tuple[Tensor, State]:
        """Frames `[B, T, dim]`; `own` holds this block's `k`, `v` and `conv`."""
        after: State = {}
        normed = self.norm_attention(x)
        if self.conv is not None:
            normed, after["conv"] = self.conv(normed, own["conv"])
        mixed, after["k"], after["v"] = self.attention(normed, own["k"], own["v"], filled)
        x = x + self.drop(mixed)
        return x + self.drop(self.feed(self.norm_feed(x))), after


class Transformer(StreamModel):
    """Frames `[B, T, input_dim]` to `[B, T, dim]`.

    State: `filled` (valid cache slots, saturating at `window`) and per layer `<n>.k`, `<n>.v`
    `[B, H, W, dim/H]` and, with a convolution, `<n>.conv` `[B, conv-1, dim]`.
    """

    def __init__(self, config: TransformerConfig) -> None:
        """Build the blocks."""
        super().__init__()
        self.config = config
        self.input_dim, self.output_dim = config.input_dim, config.dim
        self.enter = nn.Linear(config.input_dim, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)

    @property
    def state_spec(self) -> StateSpec:
        """Caches of every block and how much of them is valid."""
        c = self.config
        cache = (BATCH, c.heads, c.window, c.dim // c.heads)
        tensors = [TensorSpec("filled", (BATCH,), "int64")]
        for n in range(c.layers):
            tensors += [TensorSpec(f"{n}.k", cache), TensorSpec(f"{n}.v", cache)]
            if c.conv:
                tensors.append(TensorSpec(f"{n}.conv", (BATCH, c.conv - 1, c.dim)))
        return StateSpec(tuple(tensors))

    @property
    def timing(self) -> Timing:
        """One frame a step; the cache is the left context."""
        return Timing(None, 1, 1, left_context=self.config.window)

    @property
    def receptive_field(self) -> int | None:
        """Every block reaches `window` frames (and its convolution) further back."""
        c = self.config
        return c.layers * (c.window + max(0, c.conv - 1))

    def macs_per_frame(self) -> int:
        """Projections, feed-forward, and attention over a full cache."""
        c = self.config
        block = (
            4 * c.dim**2 + 2 * c.dim * c.feed_forward + 2 * (c.window + 1) * c.dim + c.conv * c.dim
        )
        return c.input_dim * c.dim + c.layers * block

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Run the blocks over a clip or a chunk."""
        frames, filled = x.shape[1], state["filled"]
        after: State = {"filled": (filled + frames).clamp(max=self.config.window)}
        x = self.enter(x)
        for n, block in enumerate(self.blocks):
            own = {
                part: state[f"{n}.{part}"] for part in ("k", "v", "conv") if f"{n}.{part}" in state
            }
            x, own_after = block(x, own, filled)
            after.update({f"{n}.{part}": own_after[part] for part in own})
        return self.norm(x), after
