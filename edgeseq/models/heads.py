"""The last layer: scores per frame for keyword, voice activity or next byte."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..spec import StateSpec
from .base import State, StreamModel

__all__ = ["Head", "HeadConfig"]


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """A linear map from `input_dim` to `outputs` raw scores (logits)."""

    outputs: int
    input_dim: int

    def build(self) -> Head:
        """The layer."""
        return Head(self)


class Head(StreamModel):
    """Vectors `[B, T, input_dim]` to logits `[B, T, outputs]`; no state."""

    def __init__(self, config: HeadConfig) -> None:
        """Build the map."""
        super().__init__()
        self.config = config
        self.input_dim = config.input_dim
        self.output_dim = config.outputs
        self.linear = nn.Linear(config.input_dim, config.outputs)

    @property
    def state_spec(self) -> StateSpec:
        """Empty."""
        return StateSpec()

    def macs_per_frame(self) -> int:
        """One product."""
        return self.input_dim * self.output_dim

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Score each frame."""
        return self.linear(x), {}
