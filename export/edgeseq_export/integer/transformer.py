"""The causal Transformer in integers.

The residual path is int16 with one scale for all blocks; matrix inputs are int8 with calibrated
scales; keys and values are cached int8 in a ring of `window + 1` slots, the newest included.
Integer sums do not depend on their order, so the ring is never turned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeseq.errors import ExportError
from edgeseq.spec import BATCH, State, StateSpec, TensorSpec

from .dense import Dense
from .fixed import (
    Ints,
    Reals,
    bit_length,
    exp2_negative,
    integer_sqrt,
    multipliers,
    rescale,
    saturate,
)

__all__ = [
    "BlockLayer", "Conv", "Norm", "TransformerLayer", "make_attention", "make_conv", "make_norm",
]  # fmt: skip

MAX_WINDOW = 510
"""(window + 1) weights below 2^15 times int8 values must stay below 2^31."""

MAX_DIM = 1024
NORM_BITS = 10
SCORE_BITS, SCORE_WIDTH = 8, 24
LAYER_NORM_EPS = 1e-5
NORM_MAX_SHIFT = 22


@dataclass(frozen=True)
class Norm:
    """LayerNorm from int16 to int8.

    Attributes:
        gain: int16 `[dim]`.
        bias: int32 `[dim]`.
        shift: after gain and bias.
        eps: added to the variance of `dim * x - sum(x)`.
    """

    gain: Ints
    bias: Ints
    shift: int
    eps: int

    def __call__(self, x: Ints) -> Ints:
        """int16 `[B, dim]` to int8 `[B, dim]`."""
        dim = x.shape[1]
        centered = dim * x - x.sum(axis=1, keepdims=True)
        variance = (centered * centered).sum(axis=1, keepdims=True) // dim + self.eps
        # An even shift brings the variance to 31 or 32 bits, so its root has 16.
        up = 31 - bit_length(variance)
        up = up + (up & 1)
        scaled = np.where(up >= 0, variance << np.maximum(up, 0), variance >> np.maximum(-up, 0))
        inverse = (np.int64(1) << 31) // integer_sqrt(scaled)
        unit = saturate(rescale(centered, inverse, 31 - NORM_BITS - (up >> 1)), 16)
        half = 1 << (self.shift - 1)
        return saturate((unit * self.gain + self.bias + half) >> self.shift, 8)


def make_norm(gain: Reals, bias: Reals, residual_scale: float, out_scale: float) -> Norm:
    """Quantize gain and bias of a LayerNorm whose input has `residual_scale`."""
    real = gain / out_scale / 2.0**NORM_BITS
    largest = float(np.abs(real).max())
    shift = NORM_MAX_SHIFT if largest == 0 else 14 - int(np.floor(np.log2(largest)))
    shift = min(NORM_MAX_SHIFT, shift)
    if shift < 1:
        raise ExportError(f"a LayerNorm gain of {float(np.abs(gain).max()):g} is too large")
    limit = 1 << 29
    return Norm(
        np.clip(np.round(real * 2.0**shift), -32767, 32767).astype(np.int64),
        np.clip(np.round(bias / out_scale * 2.0**shift), -limit, limit).astype(np.int64),
        shift,
        min(1 << 60, max(1, round(LAYER_NORM_EPS * (len(gain) / residual_scale) ** 2))),
    )


@dataclass(frozen=True)
class Conv:
    """Causal depthwise convolution, int8 to int8: weight `[width, dim]`, the newest frame last."""

    weight: Ints
    bias: Ints
    multiplier: Ints
    shift: int

    def __call__(self, seen: Ints) -> Ints:
        """The newest frames `[B, width, dim]` to `[B, dim]`."""
        total = (seen * self.weight).sum(axis=1) + self.bias
        return saturate(rescale(total, self.multiplier, self.shift), 8)


def make_conv(weight: Reals, bias: Reals, in_scale: float, out_scale: float) -> Conv:
    """Quantize with one scale per channel."""
    row = np.maximum(np.abs(weight).max(axis=0) / 127.0, np.abs(bias) / in_scale / 2**24)
    row = np.maximum(row, 1e-9)
    multiplier, shift = multipliers(row * in_scale / out_scale)
    return Conv(
        np.clip(np.round(weight / row), -127, 127).astype(np.int64),
        np.round(bias / (row * in_scale)).astype(np.int64),
        multiplier,
        shift,
    )


@dataclass(frozen=True)
class Attention:
    """Numbers of softmax and mixing.

    Attributes:
        score_multiplier: per head, with `score_shift`: products of q and k to log2 in Q8.
        distance_bias: int16 `[heads, window+1]`, log2 in Q8; column d is a key d frames back.
        mix_multiplier: per head, with `mix_shift`: the scale of v over that of the mixed vector.
    """

    score_multiplier: Ints
    score_shift: int
    distance_bias: Ints
    mix_multiplier: Ints
    mix_shift: int

    def __call__(
        self, query: Ints, keys: Ints, values: Ints, distance: Ints, valid: npt.NDArray[np.bool_]
    ) -> Ints:
        """Attend.

        Args:
            query: int8 `[B, heads, d]`.
            keys: int8 `[B, heads, window+1, d]`.
            values: of the same shape.
            distance: frames between each slot and now `[B, window+1]`.
            valid: which slots hold a frame `[B, window+1]`.

        Returns:
            int8 `[B, heads, d]`.
        """
        dots = np.einsum("bhd,bhwd->bhw", query, keys)
        # A sharp head's scores pass int16: 24 bits hold 32,768 octaves either way.
        scores = rescale(dots, self.score_multiplier[:, None], self.score_shift)
        scores = saturate(scores, SCORE_WIDTH)
        heads = np.arange(query.shape[1])
        scores = scores + self.distance_bias[heads[:, None], distance[:, None, :]]
        lowest = np.int64(-(1 << 30))
        scores = np.where(valid[:, None, :], scores, lowest)
        weights = exp2_negative(scores.max(axis=2, keepdims=True) - scores)
        weights = np.where(valid[:, None, :], weights, 0)
        total = weights.sum(axis=2)
        mixed = np.einsum("bhw,bhwd->bhd", weights, values)
        inverse = (np.int64(1) << 45) // total
        factor = rescale(inverse, self.mix_multiplier, 31)
        return saturate(rescale(mixed, factor[:, :, None], self.mix_shift), 8)


def make_attention(
    scores: Reals, distance_bias: Reals, value_scales: Reals, mixed_scale: float
) -> Attention:
    """Quantize the numbers of attention.

    Args:
        scores: real score of one unit of the int8 product, per head.
        distance_bias: `[heads, window+1]`.
        value_scales: real value of 1 in v, per head.
        mixed_scale: real value of 1 in the mixed vector.
    """
    if distance_bias.shape[1] - 1 > MAX_WINDOW:
        raise ExportError(
            f"model.encoder.window is {distance_bias.shape[1] - 1}; the integer attention takes "
            f"at most {MAX_WINDOW}"
        )
    log2 = np.log2(np.e) * 2.0**SCORE_BITS
    score_multiplier, score_shift = multipliers(scores * log2)
    mix_multiplier, mix_shift = multipliers(value_scales / mixed_scale)
    # The inverse of the sum has 45 bits, of which the product with the multiplier drops 31.
    return Attention(
        score_multiplier,
        score_shift,
        saturate(np.round(distance_bias * log2).astype(np.int64), 16),
        mix_multiplier,
        mix_shift + 14,
    )


@dataclass(frozen=True)
class BlockLayer:
    """One block: norm, (convolution), attention, norm, feed-forward."""

    norm_attention: Norm
    conv: Conv | None
    qkv: Dense
    attention: Attention
    out: Dense
    norm_feed: Norm
    feed_in: Dense
    feed_out: Dense

    def step(self, x: Ints, own: State, newest: Ints, filled: Ints) -> tuple[Ints, State]:
        """The residual `[B, dim]`; `newest` is the slot to write, `filled` counts past frames."""
        after: State = {}
        normed = self.norm_attention(x)
        if self.conv is not None:
            seen = np.concatenate([own["conv"].astype(np.int64), normed[:, None]], axis=1)
            normed, after["conv"] = self.conv(seen), seen[:, 1:].astype(np.int8)
        heads, slots = self.attention.distance_bias.shape
        rows = np.arange(len(x))
        query, key, value = self.qkv(normed, 8).reshape(len(x), 3, heads, -1).transpose(1, 0, 2, 3)
        keys, values = own["k"].astype(np.int64), own["v"].astype(np.int64)
        keys[rows, :, newest], values[rows, :, newest] = key, value
        slot = np.arange(slots)
        distance = (newest[:, None] - slot) % slots
        mixed = self.attention(query, keys, values, distance, slot <= filled[:, None])
        x = saturate(x + self.out(mixed.reshape(len(x), -1), 16), 16)
        wide = np.maximum(self.feed_in(self.norm_feed(x), 8), 0)
        x = saturate(x + self.feed_out(wide, 16), 16)
        after |= {"k": keys.astype(np.int8), "v": values.astype(np.int8)}
        return x, after


@dataclass(frozen=True)
class TransformerLayer:
    """The whole encoder; heads are padded to `head_dim`, a multiple of 8.

    State: `filled` (past frames in the ring, saturating at `window`), `next` (slot of the next
    frame), and per block `k`, `v` int8 `[heads, window+1, head_dim]` and `conv` int8.
    """

    enter: Dense
    blocks: tuple[BlockLayer, ...]
    norm: Norm
    window: int
    heads: int
    head_dim: int

    @property
    def state_spec(self) -> StateSpec:
        """Caches of every block and how much of them is valid."""
        tensors = [TensorSpec("filled", (BATCH,), "int32"), TensorSpec("next", (BATCH,), "int32")]
        cache = (BATCH, self.heads, self.window + 1, self.head_dim)
        for n, block in enumerate(self.blocks):
            tensors += [TensorSpec(f"{n}.k", cache, "int8"), TensorSpec(f"{n}.v", cache, "int8")]
            if block.conv is not None and len(block.conv.weight) > 1:
                width, dim = block.conv.weight.shape
                tensors.append(TensorSpec(f"{n}.conv", (BATCH, width - 1, dim), "int8"))
        return StateSpec(tuple(tensors))

    def step(self, x: Ints, state: State) -> tuple[Ints, State]:
        """int8 `[B, input]` to int8 `[B, dim]`."""
        filled, newest = state["filled"].astype(np.int64), state["next"].astype(np.int64)
        after: State = {
            "filled": np.minimum(filled + 1, self.window).astype(np.int32),
            "next": ((newest + 1) % (self.window + 1)).astype(np.int32),
        }
        x = self.enter(x, 16)
        for n, block in enumerate(self.blocks):
            own = {
                part: state[f"{n}.{part}"] for part in ("k", "v", "conv") if f"{n}.{part}" in state
            }
            x, own_after = block.step(x, own, newest, filled)
            after.update({f"{n}.{part}": own_after[part] for part in own})
        return self.norm(x), after
