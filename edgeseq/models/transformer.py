"""Causal Transformer: blocks of local attention with a bounded cache, and feed-forward layers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..errors import ConfigError
from ..spec import BATCH, TensorSpec
from .attention import LocalAttention
from .base import State
from .stack import CausalConv, Stack, StackBlock, check_sizes, feed_forward

__all__ = ["Block", "Transformer", "TransformerConfig"]


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """Shape of the Transformer.

    Attributes:
        input_dim: numbers per frame coming in.
        dim: numbers per frame inside.
        layers: blocks.
        heads: attention heads; must divide `dim`.
        window: past frames each frame sees.
        feed_forward: width of the feed-forward layer.
        conv: frames of the causal depthwise convolution before attention; 0 leaves it out. It gives
            each block local order, which small models trained on little data profit from
            (So et al. 2021, Primer).
        dropout: share of activations dropped in training.
        kv_heads: heads of keys and values, which divide `heads`; 0 for as many.
        sinks: learned keys that every frame sees besides.
        dilation: see every `dilation`-th frame only; above 1 it needs a convolution, without which
            frames of different phases would never meet.
        latent: numbers of the one vector a frame that all heads read in place of keys and values; 0
            for keys and values.
    """

    input_dim: int = 40
    dim: int = 96
    layers: int = 4
    heads: int = 4
    window: int = 64
    feed_forward: int = 192
    conv: int = 0
    dropout: float = 0.0
    kv_heads: int = 0
    sinks: int = 0
    dilation: int = 1
    latent: int = 0

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        check_sizes(
            self, "input_dim", "dim", "layers", "heads", "window", "feed_forward", "dilation"
        )
        heads, kv_heads = self.heads, self.kv_heads
        if self.dim % heads:
            raise ConfigError(f"heads {heads} does not divide dim {self.dim}")
        if kv_heads < 0 or (kv_heads and heads % kv_heads):
            raise ConfigError(
                f"kv_heads is {kv_heads}; it must divide heads {heads}, or be 0 for as many"
            )
        if self.latent < 0 or (self.latent and kv_heads):
            raise ConfigError(
                f"latent is {self.latent} with kv_heads {kv_heads}; it must be 0 (none) or more, "
                "and with kv_heads 0, since all heads share one latent"
            )
        if self.sinks < 0:
            raise ConfigError(f"sinks is {self.sinks}; it must be 0 (none) or more")
        if self.dilation > 1 and not self.conv:
            raise ConfigError(
                f"dilation is {self.dilation} without a convolution, so that frames of different "
                "phases would never meet; set conv to 2 or more"
            )

    def build(self) -> Transformer:
        """The layers."""
        return Transformer(self)


class Block(StackBlock):
    """Pre-norm block: (convolution), attention, feed-forward, each with a residual path.

    State `k`, `v` `[B, kv_heads, window * dilation, dim / heads]`, or `kv`
    `[B, 1, window * dilation, latent]`, and, with a convolution, `conv` `[B, conv-1, dim]`.
    """

    def __init__(self, config: TransformerConfig) -> None:
        """Build the parts."""
        super().__init__()
        c, dim, conv = config, config.dim, config.conv
        self.conv = CausalConv(dim, conv) if conv else None
        self.norm_attention = nn.LayerNorm(dim)
        self.attention = LocalAttention(
            dim,
            c.heads,
            c.window,
            kv_heads=c.kv_heads,
            sinks=c.sinks,
            dilation=c.dilation,
            latent=c.latent,
        )
        self.norm_feed = nn.LayerNorm(dim)
        self.feed = feed_forward(dim, c.feed_forward)
        self.drop = nn.Dropout(c.dropout)
        cache = (BATCH, *self.attention.cache_shape)
        self.state = tuple(TensorSpec(name, cache) for name in self.attention.cache_names)
        if conv:
            self.state += (TensorSpec("conv", (BATCH, conv - 1, dim)),)
        self.left_context = self.attention.cache_shape[1]
        self.reach = self.left_context + max(0, conv - 1)
        self.macs = self.attention.macs + 2 * dim * c.feed_forward + conv * dim

    def forward(self, x: Tensor, own: State, filled: Tensor | None) -> tuple[Tensor, State]:
        """Frames `[B, T, dim]`; `own` holds this block's caches and `conv`."""
        assert filled is not None
        after: State = {}
        normed = self.norm_attention(x)
        if self.conv is not None:
            normed, after["conv"] = self.conv(normed, own["conv"])
        names = self.attention.cache_names
        mixed, *caches = self.attention(normed, [own[name] for name in names], filled)
        after.update(zip(names, caches, strict=True))
        x = x + self.drop(mixed)
        return x + self.drop(self.feed(self.norm_feed(x))), after


class Transformer(Stack):
    """Frames `[B, T, input_dim]` to `[B, T, dim]`; O(T * window) for a clip, O(window) a step.

    State: `filled` (valid cache slots, saturating) and per layer `<n>.k`, `<n>.v` (or
    `<n>.kv`) and `<n>.conv`.
    """

    def __init__(self, config: TransformerConfig) -> None:
        """Build the blocks."""
        blocks = (Block(config) for _ in range(config.layers))
        super().__init__(config.input_dim, config.dim, blocks)
        self.config = config
