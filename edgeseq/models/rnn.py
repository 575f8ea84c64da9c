"""GRU and LSTM whose hidden state is an argument.

On whole clips the fused kernels of PyTorch run; while a graph is being exported the same equations
are written as matrix products and pointwise operations, because onnxruntime has no quantized GRU
operator (its int8 quantizer leaves `GRU` in float32 without a word). The contract test compares the
two spellings.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..spec import BATCH, StateSpec, TensorSpec
from .base import State, StreamModel

__all__ = ["Gru", "GruConfig", "Lstm", "LstmConfig"]


@dataclass(frozen=True, slots=True)
class _RecurrentConfig:
    input_dim: int = 40
    hidden: int = 128
    layers: int = 2
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for field in ("input_dim", "hidden", "layers"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field} is {getattr(self, field)}; it must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; it must be in [0, 1)")


@dataclass(frozen=True, slots=True)
class GruConfig(_RecurrentConfig):
    """A stack of GRU layers: `GruConfig(hidden=128, layers=2).build()`."""

    def build(self) -> Gru:
        """The layers."""
        return Gru(self)


@dataclass(frozen=True, slots=True)
class LstmConfig(_RecurrentConfig):
    """A stack of LSTM layers: `LstmConfig(hidden=128, layers=2).build()`."""

    def build(self) -> Lstm:
        """The layers."""
        return Lstm(self)


class _Recurrent(StreamModel):
    """What GRU and LSTM share: weights in PyTorch order, state per layer, cost O(T) in time."""

    GATES: int
    PARTS: tuple[str, ...]
    KIND: type[nn.GRU] | type[nn.LSTM]

    def __init__(self, config: _RecurrentConfig) -> None:
        super().__init__()
        self.config = config
        self.input_dim = config.input_dim
        self.output_dim = config.hidden
        self.rnn = self.KIND(
            config.input_dim,
            config.hidden,
            config.layers,
            batch_first=True,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.drop = nn.Dropout(config.dropout)

    @property
    def state_spec(self) -> StateSpec:
        """`<layer>.h` (and `<layer>.c`), each `[B, hidden]`."""
        return StateSpec(
            tuple(
                TensorSpec(f"{layer}.{part}", (BATCH, self.config.hidden))
                for layer in range(self.config.layers)
                for part in self.PARTS
            )
        )

    @property
    def receptive_field(self) -> int | None:
        """Without bound."""
        return None

    def macs_per_frame(self) -> int:
        """Input and recurrent products of every layer."""
        c = self.config
        inputs = [c.input_dim] + [c.hidden] * (c.layers - 1)
        return sum(self.GATES * c.hidden * (i + c.hidden) for i in inputs)

    def _weights(self, layer: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        w: list[Tensor] = [
            getattr(self.rnn, f"{kind}_l{layer}")
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]
        return w[0], w[1], w[2], w[3]

    def _cell(
        self, from_x: Tensor, from_h: Tensor, parts: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _cells(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The equations written out, for the exporter: `x` has a fixed small T."""
        after: State = {}
        for layer in range(self.config.layers):
            w_x, w_h, b_x, b_h = self._weights(layer)
            from_x = torch.matmul(x, w_x.t()) + b_x
            parts = tuple(state[f"{layer}.{part}"] for part in self.PARTS)
            outputs = []
            for t in range(x.shape[1]):
                from_h = torch.matmul(parts[0], w_h.t()) + b_h
                parts = self._cell(from_x[:, t], from_h, parts)
                outputs.append(parts[0])
            x = torch.stack(outputs, dim=1)
            after.update({f"{layer}.{n}": p for n, p in zip(self.PARTS, parts, strict=True)})
        return x, after

    def _fused(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        layers = range(self.config.layers)
        stacked = [torch.stack([state[f"{i}.{part}"] for i in layers]) for part in self.PARTS]
        y, last = self.rnn(x, stacked[0] if len(stacked) == 1 else tuple(stacked))
        parts = (last,) if isinstance(last, Tensor) else last
        return self.drop(y), {
            f"{i}.{name}": part[i]
            for i in layers
            for name, part in zip(self.PARTS, parts, strict=True)
        }

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Frames `[B, T, input_dim]` to `[B, T, hidden]`."""
        return self._cells(x, state) if torch.compiler.is_exporting() else self._fused(x, state)


class Gru(_Recurrent):
    """GRU (Cho et al. 2014, with the reset gate after the product as in cuDNN and PyTorch)."""

    GATES = 3
    PARTS = ("h",)
    KIND = nn.GRU

    def _cell(
        self, from_x: Tensor, from_h: Tensor, parts: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        x_rz, x_n = torch.split(from_x, [2 * self.config.hidden, self.config.hidden], dim=-1)
        h_rz, h_n = torch.split(from_h, [2 * self.config.hidden, self.config.hidden], dim=-1)
        reset, update = torch.sigmoid(x_rz + h_rz).chunk(2, dim=-1)
        candidate = torch.tanh(x_n + reset * h_n)
        return (candidate + update * (parts[0] - candidate),)


class Lstm(_Recurrent):
    """LSTM (Hochreiter and Schmidhuber 1997, with forget gate, without peepholes)."""

    GATES = 4
    PARTS = ("h", "c")
    KIND = nn.LSTM

    def _cell(
        self, from_x: Tensor, from_h: Tensor, parts: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        hidden = self.config.hidden
        gates, candidate, output = torch.split(
            from_x + from_h, [2 * hidden, hidden, hidden], dim=-1
        )
        enter, forget = torch.sigmoid(gates).chunk(2, dim=-1)
        cell = forget * parts[1] + enter * torch.tanh(candidate)
        return torch.sigmoid(output) * torch.tanh(cell), cell
