"""GRU and LSTM layers in integers.

Hidden state is int16 Q0.15 and rounded to int8 for the next product, so every matrix input after
the first has the fixed scale 1/128 and needs no calibration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseq.spec import BATCH, State, StateSpec, TensorSpec

from .dense import Dense
from .fixed import GATE_BITS, Ints, saturate, sigmoid, tanh

__all__ = ["HIDDEN_SCALE", "GruLayer", "LstmLayer", "narrow"]

HIDDEN_SCALE = 1.0 / 128.0


def narrow(hidden: Ints) -> Ints:
    """Q0.15 to int8 with scale 1/128."""
    return saturate((hidden + 128) >> 8, 8)


def _times(a: Ints, b: Ints, shift: int = 15) -> Ints:
    result: Ints = (a * b + (1 << (shift - 1))) >> shift
    return result


@dataclass(frozen=True)
class GruLayer:
    """One GRU layer; rows of both products are reset, update, candidate, in Q11.

    Attributes:
        from_x: int8 `[3 hidden, input]`.
        from_h: int8 `[3 hidden, hidden]`.
    """

    from_x: Dense
    from_h: Dense

    @property
    def hidden(self) -> int:
        """Size of the state."""
        return len(self.from_h.weight[0])

    @property
    def state_spec(self) -> StateSpec:
        """`h`, int16 Q0.15."""
        return StateSpec((TensorSpec("h", (BATCH, self.hidden), "int16"),))

    def step(self, x: Ints, state: State) -> tuple[Ints, State]:
        """int8 `[B, input]` to int8 `[B, hidden]`."""
        h = state["h"].astype(np.int64)
        x_r, x_z, x_n = np.split(self.from_x(x, 16), 3, axis=1)
        h_r, h_z, h_n = np.split(self.from_h(narrow(h), 16), 3, axis=1)
        reset, update = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        candidate = tanh(x_n + _times(reset, h_n))
        after = candidate + _times(update, h - candidate)
        return narrow(after), {"h": after.astype(np.int16)}


@dataclass(frozen=True)
class LstmLayer:
    """One LSTM layer; rows of both products are input, forget, candidate, output, in Q11.

    Attributes:
        from_x: int8 `[4 hidden, input]`.
        from_h: int8 `[4 hidden, hidden]`.
        cell_bits: fraction bits of the cell state, 11 to 14, chosen by calibration.
    """

    from_x: Dense
    from_h: Dense
    cell_bits: int

    @property
    def hidden(self) -> int:
        """Size of the state."""
        return len(self.from_h.weight[0])

    @property
    def state_spec(self) -> StateSpec:
        """`h`, int16 Q0.15, and `c`, int16 with `cell_bits`."""
        shape = (BATCH, self.hidden)
        return StateSpec((TensorSpec("h", shape, "int16"), TensorSpec("c", shape, "int16")))

    def step(self, x: Ints, state: State) -> tuple[Ints, State]:
        """int8 `[B, input]` to int8 `[B, hidden]`."""
        h, cell = state["h"].astype(np.int64), state["c"].astype(np.int64)
        gates = self.from_x(x, 16) + self.from_h(narrow(h), 16)
        enter, forget, candidate, output = np.split(gates, 4, axis=1)
        new = _times(sigmoid(enter), tanh(candidate), 30 - self.cell_bits)
        cell = saturate(_times(sigmoid(forget), cell) + new, 16)
        # Half up, and no shift at all where the cell has as many bits as the table's input.
        extra = self.cell_bits - GATE_BITS
        argument = (cell + ((1 << extra) >> 1)) >> extra
        after = _times(sigmoid(output), tanh(argument))
        return narrow(after), {"h": after.astype(np.int16), "c": cell.astype(np.int16)}
