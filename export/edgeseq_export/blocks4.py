"""Weights of four bits in blocks, as onnxruntime's operator MatMulNBits reads them.

A block is 16 or 32 weights of one output with one scale. They are rounded one input after the
other, and what a rounding does wrong on real input is made up for by the inputs not yet rounded
(Frantar et al. 2023, GPTQ), which moves less than rounding to the nearest (docs/quantization.md).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

__all__ = ["Rounder", "block_size", "dequantize", "pack", "round_blocks"]

BLOCKS = (32, 16)
"""Sizes tried, the preferred one first; larger ones save 4 % and round a fifth worse."""

LEAST, MOST = -8, 7
ZERO = 8
"""What the operator takes away from a stored number where it is given no zero points."""

SPREADS = np.concatenate([np.linspace(0.6, 1.2, 25), -np.linspace(0.6, 1.2, 25)])
"""Scales tried for a block, in eighths of its largest value; negative ones put the 8 above."""

DAMPING = 0.01
"""Share of the mean power that is added to every input's, so that rare inputs do not rule."""

Blocks = tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]

Reals = npt.NDArray[np.float64]


def block_size(width: int) -> int:
    """The block with which rows of `width` weights take the fewest bytes, scales included.

    The last block of a row is filled up: 40 weights take 30 bytes in blocks of 16, 36 in those
    of 32.
    """
    return min(BLOCKS, key=lambda size: -(-width // size) * (size // 2 + 2))


def round_blocks(
    weight: npt.NDArray[np.float32], block: int, inputs: npt.NDArray[np.float32] | None = None
) -> Blocks:
    """Four-bit weights `[outputs, inputs]` in -8..7, and scales `[outputs, blocks]`.

    Args:
        weight: `[outputs, inputs]`.
        block: weights with one scale.
        inputs: real inputs of the product `[n, inputs]`; None rounds to the nearest.
    """
    outputs, width = weight.shape
    rest = weight.astype(np.float64)
    spread = np.eye(width) if inputs is None else _factor(inputs.astype(np.float64))
    whole = np.zeros((outputs, width), np.int8)
    scales = np.zeros((outputs, -(-width // block)))
    for at in range(width):
        if at % block == 0:
            scales[:, at // block] = _scales(rest[:, at : at + block])
        scale = scales[:, at // block]
        whole[:, at] = np.clip(np.rint(rest[:, at] / scale), LEAST, MOST)
        wrong = (rest[:, at] - whole[:, at] * scale) / spread[at, at]
        rest[:, at + 1 :] -= wrong[:, None] * spread[at, at + 1 :]
    return whole, scales.astype(np.float32)


class Rounder:
    """Rounds each weight once, however many plans it is in."""

    def __init__(self, inputs: Mapping[str, npt.NDArray[np.float32]] | None = None) -> None:
        """`inputs`: of the products on real data, `[n, inputs]` by name; None for the nearest."""
        self._inputs = inputs
        self._done: dict[str, Blocks] = {}

    def inputs(self, name: str) -> npt.NDArray[np.float32] | None:
        """Real inputs `[n, inputs]` of the product `name`, if there are any."""
        return None if self._inputs is None else self._inputs[name]

    def round(self, name: str, weight: npt.NDArray[np.float32]) -> Blocks:
        """`round_blocks` of the weight `[outputs, inputs]` that is called `name`."""
        if name not in self._done:
            block = block_size(weight.shape[1])
            self._done[name] = round_blocks(weight, block, self.inputs(name))
        return self._done[name]


def _factor(inputs: Reals) -> Reals:
    """Upper triangular U with U^T U the inverse of the inputs' damped second moments."""
    moments = inputs.T @ inputs / max(1, len(inputs))
    power = float(np.mean(np.diag(moments)))
    moments += np.eye(len(moments)) * max(DAMPING * power, 1e-12)
    return np.asarray(np.linalg.cholesky(np.linalg.inv(moments)).T)


def _scales(block: Reals) -> Reals:
    """The scale of each row with the least squared error, as float16 can hold it."""
    largest = np.abs(block).max(axis=1)
    unit = np.where(largest > 0, largest, 1.0) / -LEAST
    best, least = unit, np.full(len(block), np.inf)
    for factor in SPREADS:
        scale = (unit * factor).astype(np.float16).astype(np.float64)
        scale = np.where(scale == 0, 1.0, scale)
        rounded = np.clip(np.rint(block / scale[:, None]), LEAST, MOST) * scale[:, None]
        error = np.square(rounded - block).sum(axis=1)
        best = np.where(error < least, scale, best)
        least = np.minimum(error, least)
    return best


def pack(whole: npt.NDArray[np.int8], block: int) -> npt.NDArray[np.uint8]:
    """`[outputs, inputs]` as the operator stores it: `[outputs, blocks, block / 2]`, low first."""
    outputs, width = whole.shape
    blocks = -(-width // block)
    stored = np.full((outputs, blocks * block), ZERO, np.uint8)
    stored[:, :width] = whole + ZERO
    halves = stored.reshape(outputs, blocks, block // 2, 2)
    return np.asarray(halves[..., 0] | (halves[..., 1] << 4), np.uint8)


def dequantize(
    whole: npt.NDArray[np.int8], scales: npt.NDArray[np.float32], block: int
) -> npt.NDArray[np.float32]:
    """The weights `[outputs, inputs]` that the operator multiplies with."""
    wide = np.repeat(scales, block, axis=1)[:, : whole.shape[1]]
    return np.asarray(whole * wide, np.float32)
