"""Bytes as the first layer of a text model."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..spec import StateSpec, Timing
from .base import State, StreamModel

__all__ = ["ByteEmbedding", "ByteEmbeddingConfig"]

BYTES = 256


@dataclass(frozen=True, slots=True)
class ByteEmbeddingConfig:
    """`dim` numbers for each of the 256 byte values."""

    dim: int = 64

    def build(self) -> ByteEmbedding:
        """The layer."""
        return ByteEmbedding(self)


class ByteEmbedding(StreamModel):
    """Byte values `[B, T, 1]` (int64, 0..255) to vectors `[B, T, dim]`; no state."""

    input_dim = 1

    def __init__(self, config: ByteEmbeddingConfig) -> None:
        """Build the table."""
        super().__init__()
        self.config = config
        self.output_dim = config.dim
        self.table = nn.Embedding(BYTES, config.dim)
        nn.init.normal_(self.table.weight, std=config.dim**-0.5)

    @property
    def state_spec(self) -> StateSpec:
        """Empty."""
        return StateSpec()

    @property
    def timing(self) -> Timing:
        """One byte a frame, without time."""
        return Timing(None, 1, 1, left_context=0)

    def macs_per_frame(self) -> int:
        """A look-up multiplies nothing."""
        return 0

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Look the bytes up."""
        return self.table(x.squeeze(-1)), {}
