"""Local attention with a bounded cache: one layer, whatever its options.

Each frame sees itself and `window` frames before it. The frames that a chunk still needs are in the
state as keys and values, so memory is constant; position enters only as a learned bias per distance
(Raffel et al. 2020, T5, without buckets), so step 2^31 equals step 1000.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["LocalAttention"]

MASKED = -1e9
"""Score of a key that must not be seen: finite, since NaN and infinity survive a product with 0."""

BLOCK = 64
"""Frames of one block of queries: at windows from 8 to 256 no other size tried (8 to 256) trained
faster on one thread by more than the noise (`benchmarks/training_speed.py --block`)."""

LONGEST_BLOCK = 256
"""Frames up to which one masked product beats blocks, which copy keys, at windows from 128 frames;
at shorter windows it is 2 * BLOCK + window."""


class LocalAttention(nn.Module):
    """Multi-head attention to the frame itself and `window` frames before it.

    Time and memory are O(T * window * dim) for a clip and O(window * dim) for a step of one frame,
    with a cache of O(window * dilation * dim / (heads / kv_heads)):

    - `kv_heads` below `heads`: that many keys and values are shared by groups of query heads
      (Ainslie et al. 2023, GQA). The cache and its projection shrink by heads / kv_heads; the
      scores cost what they did.
    - `latent`: one vector of so many numbers is key and value of a frame for all heads, which read
      it through maps of their own: the multi-head latent attention of DeepSeek-V2 (2024), with the
      maps up to keys and values taken into those of query and output (their section 2.1.2; there
      is no rotation here that would forbid it). The cache is O(window * dilation * latent); scores
      and mixing cost heads * latent / dim times as much, as do the query and output maps.
    - `sinks`: learned keys and values that every frame sees, O(sinks) more a frame, no state
      (Xiao et al. 2024, StreamingLLM, section 3.3). The first frames of the stream are no sinks
      here: they would make step 2^31 depend on step 0.
    - `dilation`: only every `dilation`-th frame is seen (Beltagy et al. 2020, Longformer), so that
      the reach is window * dilation at the cost of `window`. Frames whose distances are no multiple
      of it never meet in this layer.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        window: int,
        *,
        kv_heads: int = 0,
        sinks: int = 0,
        dilation: int = 1,
        latent: int = 0,
    ) -> None:
        """Build the projections, the bias table and the sinks."""
        super().__init__()
        self.heads, self.window, self.dilation = heads, window, dilation
        self.kv_heads = 1 if latent else kv_heads or heads
        self.head_dim = latent or dim // heads
        self.cache_names = ("kv",) if latent else ("k", "v")
        self.cache_shape = (self.kv_heads, window * dilation, self.head_dim)
        wide = heads * self.head_dim
        narrow = self.kv_heads * self.head_dim
        self.widths = [wide, *[narrow] * len(self.cache_names)]
        self.qkv = nn.Linear(dim, sum(self.widths))
        self.out = nn.Linear(wide, dim)
        # Column d is the bias of the d-th key before the query.
        self.distance_bias = nn.Parameter(torch.zeros(heads, window + 1))
        self.sink_keys: nn.Parameter | None = None
        self.sink_values: nn.Parameter | None = None
        if sinks:
            shape = (self.kv_heads, sinks, self.head_dim)
            self.sink_keys = nn.Parameter(torch.randn(shape) * self.head_dim**-0.5)
            self.sink_values = nn.Parameter(torch.zeros(shape))
        products = 2 * wide * (window + 1 + sinks)
        self.macs = dim * (sum(self.widths) + wide) + products

    def blocks(self, frames: int) -> int:
        """Into how many blocks of equal size the queries of a clip are cut."""
        if frames <= min(2 * BLOCK + self.window, LONGEST_BLOCK):
            return 1
        return -(-frames // BLOCK)

    def _split(self, x: Tensor, heads: int) -> Tensor:
        return x.reshape(*x.shape[:2], heads, self.head_dim).transpose(1, 2)

    def forward(self, x: Tensor, caches: Sequence[Tensor], filled: Tensor) -> list[Tensor]:
        """Attend.

        Args:
            x: frames `[B, T, dim]`.
            caches: keys and values, or latents, by `cache_names`, each `[B, *cache_shape]` with the
                newest last.
            filled: valid slots of the caches `[B]`, counted from their end.

        Returns:
            Frames `[B, T, dim]`, then the next caches.
        """
        frames = x.shape[1]
        query, *own = self.qkv(x).split(self.widths, dim=-1)
        query = self._split(query, self.heads)
        both = zip(caches, own, strict=True)
        seen = [torch.cat([old, self._split(new, self.kv_heads)], dim=2) for old, new in both]
        mix = self._attend if self.dilation == 1 else self._dilated
        mixed = mix(query, seen[0], seen[-1], filled)
        return [self.out(mixed.transpose(1, 2).flatten(2)), *(kept[:, :, frames:] for kept in seen)]

    def _dilated(self, query: Tensor, keys: Tensor, values: Tensor, filled: Tensor) -> Tensor:
        """Frames of one phase (time modulo dilation) see each other alone: phases become rows."""
        (batch, _, frames, _), step = query.shape, self.dilation
        phases, extra = min(frames, step), -frames % step

        def fold(x: Tensor) -> Tensor:
            """`[B, H, n * step, d]` to `[B * phases, H, n, d]`."""
            x = functional.pad(x, (0, 0, 0, extra))
            x = x.reshape(batch, x.shape[1], -1, step, x.shape[3])[:, :, :, :phases]
            return x.permute(0, 3, 1, 2, 4).flatten(0, 1)

        # Slot s of phase p is slot s * step + p of the whole cache, valid in its newest `filled`.
        valid = ((filled[:, None] + torch.arange(phases, device=filled.device)) // step).flatten()
        mixed = self._attend(fold(query), fold(keys), fold(values), valid)
        mixed = mixed.reshape(batch, phases, *mixed.shape[1:]).permute(0, 2, 3, 1, 4).flatten(2, 3)
        return mixed[:, :, :frames]

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor, filled: Tensor) -> Tensor:
        """`[B, H, T, d]` over `[B, kv_heads, window + T, d]`, by blocks of queries.

        A block meets its own keys and the `window` keys before it; a short clip is one block.
        """
        batch, heads, frames, dim = query.shape
        groups, window = self.kv_heads, self.window
        blocks = self.blocks(frames)
        size = -(-frames // blocks)
        # From here [B, groups, blocks, ...]: the query heads of one group are rows of one product.
        if blocks > 1:
            extra = blocks * size - frames
            query = functional.pad(query, (0, 0, 0, extra))
            query = query.reshape(batch, groups, -1, blocks, size, dim).transpose(2, 3)
            keys = functional.pad(keys, (0, 0, 0, extra)).unfold(2, size + window, size)
            values = functional.pad(values, (0, 0, 0, extra)).unfold(2, size + window, size)
            values = values.transpose(-1, -2)
        else:
            keys, values = keys.unsqueeze(2).transpose(-1, -2), values.unsqueeze(2)
        query = query.reshape(batch, groups, blocks, -1, dim)
        bias, visible = self._seen(size, blocks, filled)
        if self.sink_keys is not None and self.sink_values is not None:
            keys = torch.cat([_spread(self.sink_keys.transpose(-1, -2), keys), keys], dim=-1)
            values = torch.cat([_spread(self.sink_values, values), values], dim=-2)
            sinks = self.sink_keys.shape[1]
            bias = functional.pad(bias, (sinks, 0))
            visible = functional.pad(visible, (sinks, 0), value=True)
        # query ..., d; keys ..., d, size+W; values ..., size+W, d.
        scores = query @ keys * dim**-0.5 + bias
        mixed = torch.softmax(torch.where(visible, scores, MASKED), dim=-1) @ values
        if blocks > 1:
            mixed = mixed.reshape(batch, groups, blocks, -1, size, dim).transpose(2, 3)
        return mixed.reshape(batch, heads, blocks * size, dim)[:, :, :frames]

    def _seen(self, queries: int, blocks: int, filled: Tensor) -> tuple[Tensor, Tensor]:
        """Bias `[groups, 1, rows, C+W]` by distance, and which pairs are seen `[B, 1, N, .., C+W]`.

        Rows are the C queries of each head of a group, one head after the other.
        """
        shared, device = self.heads // self.kv_heads, filled.device
        at = torch.arange(queries + self.window, device=device)
        distance = self.window + at[:queries, None] - at
        inside = (distance >= 0) & (distance <= self.window)
        bias = self.distance_bias[:, distance.clamp(0, self.window)]
        start = torch.arange(blocks, device=device)[:, None] * queries + at
        written = start[None] >= self.window - filled[:, None, None]
        visible = inside & written[:, None, :, None, :]
        if shared > 1:
            bias = bias.reshape(self.kv_heads, shared * queries, -1)
            visible = visible.repeat(1, 1, 1, shared, 1)
        return bias[:, None], visible


def _spread(sinks: Tensor, like: Tensor) -> Tensor:
    """`[groups, ...]` for every batch row and block of `[B, groups, blocks, ...]`."""
    return sinks[None, :, None].expand(*like.shape[:3], -1, -1)
