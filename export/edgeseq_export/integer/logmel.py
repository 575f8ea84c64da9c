"""Log-mel features in fixed point: int16 PCM to int8 frames.

The window is multiplied with Hann in Q15 and transformed by one complex FFT of half its length
(32-bit data, Q30 twiddles). Without scaling between the stages no sum can pass 2^30, since the
scaled window's absolute sum cannot. Powers and mel sums are 64-bit: they span ten decades.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseq.errors import ExportError
from edgeseq.models import LogMelConfig
from edgeseq.models.frontend import mel_filters
from edgeseq.spec import BATCH, State, StateSpec, TensorSpec

from .fixed import Ints, Reals, log2_q15, multipliers, rescale, saturate

__all__ = ["LogMelLayer", "make_logmel"]

TWIDDLE_BITS = 30
POWER_SHIFT = 13
WINDOWS = (64, 128, 256, 512, 1024, 2048)


@dataclass(frozen=True)
class LogMelLayer:
    """Tables of the frontend.

    Attributes:
        window, hop: samples.
        hann: Q15 `[window]`.
        twiddles: Q30 `[window/2, 2]`, cos and -sin of 2 pi k / window.
        first: first bin of each band `[mels]`.
        filters: Q15 weights of each band from its first bin on.
        floor: added to each band's power.
        center: Q15 log2 of the power that becomes zero `[mels]`.
        multiplier: per band, with `shift`, from log2 to the int8 feature.
    """

    window: int
    hop: int
    hann: Ints
    twiddles: Ints
    first: Ints
    filters: tuple[Ints, ...]
    floor: int
    center: Ints
    multiplier: Ints
    shift: int

    @property
    def state_spec(self) -> StateSpec:
        """`tail`, int16: samples that later frames still see."""
        tail = self.window - self.hop
        return StateSpec((TensorSpec("tail", (BATCH, tail), "int16"),) if tail else ())

    def step(self, x: Ints, state: State) -> tuple[Ints, State]:
        """PCM `[B, hop]` to int8 `[B, mels]`."""
        seen = np.concatenate([state["tail"].astype(np.int64), x], axis=1) if state else x
        after: State = {"tail": seen[:, self.hop :].astype(np.int16)} if state else {}
        power = self.power(seen)
        bands = np.stack(
            [
                (power[:, start : start + len(weights)] * weights).sum(axis=1)
                for start, weights in zip(self.first, self.filters, strict=True)
            ],
            axis=1,
        )
        level = log2_q15(bands + self.floor) - self.center
        return saturate(rescale(level, self.multiplier, self.shift), 8), after

    def power(self, samples: Ints) -> Ints:
        """int16 `[B, window]` to the power of every bin that a band reads."""
        bits = 15 - fraction_bits(self.window)
        scaled = (samples * self.hann + (1 << (bits - 1))) >> bits
        half = self.window // 2
        re, im = fft(scaled[:, 0::2], scaled[:, 1::2], self.twiddles)
        bins = int(max(s + len(w) for s, w in zip(self.first, self.filters, strict=True)))
        k = np.arange(bins)
        mirror = -k % half
        k = k % half
        even_re, even_im = re[:, k] + re[:, mirror], im[:, k] - im[:, mirror]
        odd_re, odd_im = im[:, k] + im[:, mirror], re[:, mirror] - re[:, k]
        # Bin window/2 is the bin 0 of the mirrored half: its twiddle is -1.
        cos, sin = self.twiddles[k, 0], self.twiddles[k, 1]
        sign = np.where(np.arange(bins) == half, -1, 1)
        cos, sin = cos * sign, sin * sign
        one = np.int64(1) << TWIDDLE_BITS
        out_re = (even_re * one + (cos * odd_re - sin * odd_im) + one) >> (TWIDDLE_BITS + 1)
        out_im = (even_im * one + (cos * odd_im + sin * odd_re) + one) >> (TWIDDLE_BITS + 1)
        power: Ints = (out_re * out_re + out_im * out_im) >> POWER_SHIFT
        return power


def fraction_bits(window: int) -> int:
    """Bits below one PCM step that a window of this length leaves room for."""
    return 16 - (window.bit_length() - 1)


def fft(re: Ints, im: Ints, twiddles: Ints) -> tuple[Ints, Ints]:
    """Radix-2 FFT, decimation in time, over the last axis; `twiddles` for twice its length."""
    size = re.shape[1]
    order = bit_reversed(size)
    re, im = re[:, order], im[:, order]
    length = 2
    while length <= size:
        half = length // 2
        table = twiddles[(np.arange(half) * (2 * size // length))]
        cos, sin = table[:, 0], table[:, 1]
        re, im = (v.reshape(v.shape[0], -1, length) for v in (re, im))
        b_re, b_im = re[..., half:], im[..., half:]
        one = np.int64(1) << (TWIDDLE_BITS - 1)
        t_re = (cos * b_re - sin * b_im + one) >> TWIDDLE_BITS
        t_im = (cos * b_im + sin * b_re + one) >> TWIDDLE_BITS
        a_re, a_im = re[..., :half], im[..., :half]
        re = np.concatenate([a_re + t_re, a_re - t_re], axis=-1).reshape(len(re), size)
        im = np.concatenate([a_im + t_im, a_im - t_im], axis=-1).reshape(len(im), size)
        length *= 2
    return re, im


def bit_reversed(size: int) -> Ints:
    """Position of each input of a radix-2 FFT."""
    bits = size.bit_length() - 1
    order = np.zeros(size, np.int64)
    for bit in range(bits):
        order |= ((np.arange(size) >> bit) & 1) << (bits - 1 - bit)
    return order


def make_logmel(config: LogMelConfig, mean: Reals, scale: Reals, out_scale: float) -> LogMelLayer:
    """Tables from the settings and the fitted normalisation.

    Raises:
        ExportError: the window is no power of two between 64 and 2048.
    """
    window = config.window
    if window not in WINDOWS:
        raise ExportError(
            f"model.frontend.window is {window}; the integer frontend takes "
            f"{', '.join(map(str, WINDOWS))}"
        )
    hann = np.hanning(window + 1)[:-1]
    angle = 2 * np.pi * np.arange(window // 2) / window
    filters = np.round(mel_filters(config).astype(np.float64) * 32768).astype(np.int64)
    first = np.array([int(np.flatnonzero(column)[0]) for column in filters.T])
    weights = tuple(
        column[start : np.flatnonzero(column)[-1] + 1]
        for start, column in zip(first, filters.T, strict=True)
    )
    # Real power of 1 in the integer sum: PCM step and window scale squared, Hann's power, Q15.
    unit = 2.0 ** (30 + 2 * fraction_bits(window) - POWER_SHIFT + 15) * float(np.sum(hann**2))
    multiplier, shift = multipliers(np.log(2.0) / 32768.0 * scale / out_scale)
    return LogMelLayer(
        window=window,
        hop=config.hop,
        hann=np.minimum(np.round(hann * 32768), 32767).astype(np.int64),
        twiddles=np.round(
            np.stack([np.cos(angle), -np.sin(angle)], axis=1) * 2.0**TWIDDLE_BITS
        ).astype(np.int64),
        first=first,
        filters=weights,
        floor=max(1, round(config.floor * unit)),
        center=np.round((mean / np.log(2.0) + np.log2(unit)) * 32768).astype(np.int64),
        multiplier=multiplier,
        shift=shift,
    )
