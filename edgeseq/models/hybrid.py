"""Recurrent blocks and a few local-attention blocks in one stack, in any order.

A recurrence carries the gist of all that was heard in a state of `dim` numbers, attention looks up
exactly what lay within its window; a few attention blocks among recurrent ones are about as good
as attention alone (De et al. 2024, Griffin) with a fraction of its cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from ..errors import ConfigError
from .linear_rnn import LinearBlock
from .stack import Stack, StackBlock
from .transformer import Block, TransformerConfig

__all__ = ["Hybrid", "HybridConfig"]

KINDS = ("linear", "attention")


@dataclass(frozen=True, slots=True)
class HybridConfig:
    """Shape of a hybrid stack.

    Attributes:
        input_dim: numbers per frame coming in.
        dim: numbers per frame inside, and of each recurrent state.
        layers: `linear` or `attention` for each block, from input to output.
        heads: attention heads; must divide `dim`.
        window: past frames each frame sees in an attention block.
        feed_forward: width of the feed-forward layer of every block.
        conv: frames of the causal convolution before every recurrence or attention; 0 for none.
        dropout: share of activations dropped in training.
        kv_heads: heads of keys and values, which divide `heads`; 0 for as many.
        sinks: learned keys that every frame sees besides.
        dilation: see every `dilation`-th frame only; above 1 it needs `conv`.
        latent: numbers a frame that all heads read in place of keys and values; 0 for these.
    """

    input_dim: int = 40
    dim: int = 96
    layers: tuple[str, ...] = ("linear", "linear", "attention")
    heads: int = 4
    window: int = 64
    feed_forward: int = 192
    conv: int = 4
    dropout: float = 0.0
    kv_heads: int = 0
    sinks: int = 0
    dilation: int = 1
    latent: int = 0

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        self.attention()
        odd = [kind for kind in self.layers if kind not in KINDS]
        if odd or not self.layers:
            raise ConfigError(
                f"layers is {list(self.layers)}; it must name one block or more, each of "
                f"{', '.join(KINDS)}"
            )

    def build(self) -> Hybrid:
        """The layers."""
        return Hybrid(self)

    def attention(self) -> TransformerConfig:
        """The shape of an attention block."""
        shared = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "layers"}
        return TransformerConfig(**shared)


class Hybrid(Stack):
    """Frames `[B, T, input_dim]` to `[B, T, dim]`.

    A clip costs O(T) for each recurrent block and O(T * window) for each attention block; state:
    `filled` if a block attends, `<n>.h` of a recurrent block, `<n>.k`, `<n>.v` (or `<n>.kv`) of an
    attention block, and `<n>.conv`.
    """

    def __init__(self, config: HybridConfig) -> None:
        """Build the blocks."""
        blocks: Iterator[StackBlock] = (
            LinearBlock(config.dim, config.feed_forward, config.conv, config.dropout)
            if kind == "linear"
            else Block(config.attention())
            for kind in config.layers
        )
        super().__init__(config.input_dim, config.dim, blocks)
        self.config = config
