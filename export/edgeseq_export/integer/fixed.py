"""Fixed-point arithmetic of the integer program.

Numbers are int64 arrays here so that nothing can overflow in silence; the ranges stated for each
function are those that let C use int32, or int64 where it says so. Every rounding is half up,
`(v + 2^(s-1)) >> s` with an arithmetic shift, which C, numpy and every SIMD unit can do exactly.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeseq.errors import ExportError

__all__ = [
    "ALIGN", "GATE_BITS", "Ints", "Reals", "aligned", "exp2_negative", "integer_sqrt", "log2_q15",
    "multipliers", "product", "rescale", "saturate", "sigmoid", "tanh",
]  # fmt: skip

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

ALIGN = 8
"""Heads, rows of weights and parts of the arena are filled up to a multiple of this."""

GATE_BITS = 11
"""Fraction bits of a gate before its table: int16 spans -16..16."""

TABLE_LIMIT = 8
"""The sigmoid table spans -8..8; beyond it the value is that at the end."""

MAX_SHIFT = 62

SIGMOID: Ints = np.minimum(
    np.round(32768.0 / (1.0 + np.exp(-(np.arange(257) - 128) / 16.0))), 32767
).astype(np.int64)
"""Sigmoid at -8, -8+1/16, ... 8, in Q0.15."""

EXP2: Ints = np.round(32767.0 * 2.0 ** (-np.arange(256) / 256.0)).astype(np.int64)
"""2^-f for f = 0, 1/256, ... in Q0.15."""

LOG2: Ints = np.round(32768.0 * np.log2(1.0 + np.arange(65) / 64.0)).astype(np.int64)
"""log2(1 + f) for f = 0, 1/64, ... 1 in Q0.15."""


def aligned(size: int) -> int:
    """The next multiple of ALIGN."""
    return -(-size // ALIGN) * ALIGN


def rescale(value: Ints, multiplier: Ints | int, shift: Ints | int) -> Ints:
    """`value * multiplier / 2^shift`, rounded half up; |value| and multiplier below 2^31."""
    shifted: Ints = (value * multiplier + (np.int64(1) << (np.asarray(shift) - 1))) >> shift
    return shifted


def saturate(value: Ints, bits: int) -> Ints:
    """Clamp to a signed number of `bits` bits."""
    limit = 1 << (bits - 1)
    clamped: Ints = np.clip(value, -limit, limit - 1)
    return clamped


def multipliers(factors: npt.ArrayLike) -> tuple[Ints, int]:
    """Whole multipliers and one shift so that `multiplier / 2^shift` is near each factor.

    The largest multiplier has 31 bits, so a factor 2^16 times smaller still keeps 15.

    Raises:
        ExportError: a factor is not positive, not finite, or above 2^29.
    """
    real = np.asarray(factors, np.float64)
    largest = float(real.max())
    if not np.isfinite(real).all() or float(real.min()) <= 0 or largest >= 2.0**29:
        raise ExportError(
            f"scales of {real.min():g} to {largest:g} cannot be written as integer multipliers; "
            "weights must be finite and scales in (0, 2^29)"
        )
    shift = min(MAX_SHIFT, 30 - int(np.floor(np.log2(largest))))
    return np.minimum(np.round(real * 2.0**shift), 2**31 - 1).astype(np.int64), shift


def product(weight: Ints, x: Ints) -> Ints:
    """`x @ weight.T` of int8 values, exact: `[B, columns]` to `[B, rows]`."""
    # Sums stay below the largest whole number up to which floats are exact, and BLAS is fast.
    exact = np.float32 if weight.shape[1] * 2**14 < 2**24 else np.float64
    total: Ints = (x.astype(exact) @ weight.T.astype(exact)).astype(np.int64)
    return total


def sigmoid(x: Ints) -> Ints:
    """Q11 to Q0.15, between table entries on a line."""
    limit = TABLE_LIMIT << GATE_BITS
    at = np.clip(x, -limit, limit - 1) + limit
    low, part = SIGMOID[at >> 7], at & 127
    between: Ints = low + (((SIGMOID[(at >> 7) + 1] - low) * part + 64) >> 7)
    return between


def tanh(x: Ints) -> Ints:
    """Q11 to Q0.15, as `2 sigmoid(2x) - 1`."""
    doubled: Ints = 2 * sigmoid(2 * x) - 32768
    return doubled


def exp2_negative(u: Ints) -> Ints:
    """2^-u for u >= 0 in Q8, in Q0.15; zero from u = 16 on."""
    small = np.minimum(u, (16 << 8) - 1)
    power: Ints = EXP2[small & 255] >> (small >> 8)
    return power


def integer_sqrt(value: Ints) -> Ints:
    """The largest whole number whose square is at most `value`, for value below 2^32."""
    root: Ints = np.sqrt(value.astype(np.float64)).astype(np.int64)
    return root


def bit_length(value: Ints) -> Ints:
    """Bits of a positive number below 2^63."""
    # frexp rounds numbers above 2^53, which can carry into the next power of two.
    high, low = value >> 32, value & 0xFFFFFFFF
    part = np.where(high > 0, high, low).astype(np.float64)
    return np.frexp(part)[1].astype(np.int64) + np.where(high > 0, 32, 0)


def log2_q15(value: Ints) -> Ints:
    """log2 of a positive number below 2^63, in Q15, between table entries on a line."""
    top = bit_length(value) - 1
    # Sixteen bits after the leading one.
    fraction = np.where(
        top >= 16, value >> np.maximum(top - 16, 0), value << np.maximum(16 - top, 0)
    )
    fraction = fraction & 0xFFFF
    low, part = LOG2[fraction >> 10], fraction & 1023
    result: Ints = (top << 15) + low + (((LOG2[(fraction >> 10) + 1] - low) * part + 512) >> 10)
    return result
