"""Matrix products with int8 weights, the head, and the byte table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseq.errors import ExportError
from edgeseq.spec import State, StateSpec

from .fixed import Ints, Reals, multipliers, product, rescale, saturate

__all__ = ["ByteTable", "Dense", "HeadLayer", "make_dense"]

MAX_COLUMNS = 1 << 15
BIAS_LIMIT = 1 << 30


@dataclass(frozen=True)
class Dense:
    """`saturate((weight @ x + bias) * multiplier / 2^shift)`.

    Attributes:
        weight: int8 `[rows, columns]`, symmetric, never -128.
        bias: int32 `[rows]`, in units of the accumulator.
        multiplier: int32 `[rows]`.
        shift: one for all rows.
    """

    weight: Ints
    bias: Ints
    multiplier: Ints
    shift: int

    def __call__(self, x: Ints, bits: int) -> Ints:
        """int8 `[B, columns]` to `[B, rows]` of `bits` bits."""
        return saturate(
            rescale(product(self.weight, x) + self.bias, self.multiplier, self.shift), bits
        )


def make_dense(weight: Reals, bias: Reals, in_scale: float, out_scale: float | Reals) -> Dense:
    """Quantize a real matrix, one weight scale per row.

    Args:
        weight: `[rows, columns]`.
        bias: `[rows]`.
        in_scale: real value of 1 in the int8 input.
        out_scale: real value of 1 in the output, one or one per row.
    """
    if weight.shape[1] > MAX_COLUMNS:
        raise ExportError(
            f"a matrix has {weight.shape[1]} columns; int32 sums allow at most {MAX_COLUMNS}"
        )
    if not np.isfinite(weight).all() or not np.isfinite(bias).all():
        raise ExportError("a weight or bias is not finite; train again")
    # The last term keeps the bias of a row of zeros within the accumulator.
    row = np.maximum(np.abs(weight).max(axis=1) / 127.0, np.abs(bias) / in_scale / 2**24)
    row = np.maximum(row, 1e-9)
    multiplier, shift = multipliers(row * in_scale / out_scale)
    return Dense(
        np.clip(np.round(weight / row[:, None]), -127, 127).astype(np.int64),
        np.clip(np.round(bias / (row * in_scale)), -BIAS_LIMIT, BIAS_LIMIT).astype(np.int64),
        multiplier,
        shift,
    )


@dataclass(frozen=True)
class HeadLayer:
    """The last product: int8 vectors to int16 logits with `fraction` bits after the point."""

    dense: Dense
    fraction: int

    @property
    def state_spec(self) -> StateSpec:
        """Empty."""
        return StateSpec()

    def step(self, x: Ints, state: State) -> tuple[Ints, State]:
        """`[B, columns]` to `[B, outputs]`."""
        return self.dense(x, 16), {}


@dataclass(frozen=True)
class ByteTable:
    """int8 vectors `[256, dim]` of the byte values."""

    table: Ints

    @property
    def state_spec(self) -> StateSpec:
        """Empty."""
        return StateSpec()

    def step(self, x: Ints, state: State) -> tuple[Ints, State]:
        """Byte values `[B, 1]` to `[B, dim]`."""
        return self.table[x[:, 0]], {}
