"""Random changes to training audio: speed, room, noise, band, level, colour, and masks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..models import State
from ..models.frontend import LogMel
from .config import Augment

__all__ = ["SpecAugment", "active_region", "change_speed", "finish_batch"]

Samples = npt.NDArray[np.float32]

SWELLS_PER_SECOND = 7

BELOW_PEAK_DB = (22.0, 19.0, 16.0, 13.0, 10.0, 7.0)
"""How far below its loudest part a word may fall, tried in this order."""


def active_region(
    samples: Samples, sample_rate: int, longest_s: float | None = None
) -> tuple[int, int]:
    """First and last sample of the loud part, with 0.12 s kept on both sides.

    A recording of one word is mostly the room around it; the word is where the 20 ms energy comes
    within 22 dB of the loudest 20 ms. Where that is longer than `longest_s`, the room is loud or
    somebody goes on talking: then only what comes nearer to the loudest counts.
    """
    frame = sample_rate // 50
    count = len(samples) // frame
    if count < 3:
        return 0, len(samples)
    energy = np.square(samples[: count * frame]).reshape(count, frame).mean(axis=1)
    smooth = np.convolve(energy, np.ones(3) / 3, mode="same")
    margin = int(0.12 * sample_rate)
    for below_peak_db in BELOW_PEAK_DB:
        loud = np.flatnonzero(smooth >= smooth.max() * 10 ** (-below_peak_db / 10))
        first = max(0, int(loud[0]) * frame - margin)
        last = min(len(samples), (int(loud[-1]) + 1) * frame + margin)
        if longest_s is None or last - first <= longest_s * sample_rate:
            break
    return first, last


def change_speed(samples: Samples, factor: float) -> Samples:
    """Play faster (`factor` > 1) or slower; pitch moves along, as with another speaker.

    Cubic (Catmull-Rom) interpolation: a straight line between samples would take 4 dB off all that
    lies above 5 kHz, and off training clips only.
    """
    count = max(1, int(len(samples) / factor))
    at = np.arange(count, dtype=np.float64) * factor
    index = at.astype(np.int64)
    f = (at - index).astype(np.float32)
    padded = np.pad(samples, (1, 3), mode="edge")
    a, b, c, d = (padded[index + i] for i in range(4))
    cubic = b + 0.5 * f * (c - a + f * (2 * a - 5 * b + 4 * c - d + f * (3 * (b - c) + d - a)))
    return np.asarray(cubic, dtype=np.float32)


def coloured_noise(length: int, rate: int, rng: np.random.Generator) -> Samples:
    """Noise of a random slope (0 to -9 dB an octave) and band that swells and fades, RMS 0.05.

    Taps, engines, wind and rain are near it; a small model takes them for the fricatives of a word.
    """
    hertz = np.fft.rfftfreq(length, 1 / rate)
    gain = np.maximum(hertz, 50.0) ** (-rng.uniform(0.0, 1.5))
    low, high = 50.0 * 2 ** rng.uniform(0, 5), rate / 2 * 2 ** -rng.uniform(0, 1.5)
    gain *= ((hertz > low) & (hertz < max(high, 2 * low))) + 0.03
    phases = rng.standard_normal((2, len(hertz)))
    noise = np.fft.irfft(gain * (phases[0] + 1j * phases[1]), n=length)
    knots = max(2, round(SWELLS_PER_SECOND * length / rate))
    swells = np.interp(
        np.arange(length) / length,
        np.linspace(0, 1, knots),
        rng.uniform(-1, 1, knots) * rng.uniform(0, 20),
    )
    noise *= 10 ** (swells / 20)
    return np.asarray(0.05 * noise / np.sqrt(np.square(noise).mean()), dtype=np.float32)


def finish_batch(
    clean: Tensor,
    noise: Tensor,
    noise_gain: Tensor,
    rooms: Tensor | None,
    in_room: Tensor,
    config: Augment,
    rate: int,
    generator: torch.Generator,
) -> Tensor:
    """Room, noise, band limit, noise floor and level for a batch of clips `[B, N]`.

    Args:
        clean: placed clips.
        noise: noise of the same length.
        noise_gain: factor for the noise `[B]`, 0 for none.
        rooms: impulse responses `[R, N]`, or None.
        in_room: which response each clip is played in `[B]`, -1 for none.
        config: ranges.
        rate: samples a second.
        generator: source of randomness.
    """
    batch, length = clean.shape

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch, 1, generator=generator)

    mixed = clean.clone()
    chosen = torch.nonzero(in_room >= 0).flatten()
    if rooms is not None and len(chosen):
        wet = torch.fft.rfft(clean[chosen], n=2 * length) * torch.fft.rfft(
            rooms[in_room[chosen]], n=2 * length
        )
        mixed[chosen] = torch.fft.irfft(wet, n=2 * length)[:, :length]
    mixed.addcmul_(noise, noise_gain[:, None])
    limited = torch.nonzero(torch.rand(batch, generator=generator) < config.band_limit_p).flatten()
    if len(limited):
        cut = uniform(*config.band_limit_hz)[limited]
        hertz = torch.fft.rfftfreq(length, 1 / rate)
        passed = torch.sigmoid((cut - hertz) / 100.0)
        spectrum = torch.fft.rfft(mixed[limited]) * passed
        mixed[limited] = torch.fft.irfft(spectrum, n=length)
    mixed *= 10 ** (uniform(*config.gain_db) / 20)
    floor = 10 ** (uniform(*config.floor_dbfs) / 20)
    # One hiss, of which each row gets another part: drawing all of them costs a tenth of a step.
    hiss = torch.randn(batch + length, generator=generator)
    mixed.addcmul_(hiss.unfold(0, length, 1)[:batch], floor)
    return mixed.clamp_(-1.0, 1.0)


class SpecAugment:
    """Changes to log-mel frames in training, as a forward hook of the frontend.

    A random tilt and ripple stand for another microphone and room: without them a speaker recorded
    15 dB brighter than the rest was not understood. Bands move along the mel axis (vocal tract
    length perturbation, Jaitly and Hinton 2013: other speakers); then a stretch of frames and a
    group of bands are set to the mean (Park et al. 2019).
    """

    def __init__(self, config: Augment) -> None:
        """Keep the ranges."""
        self.config = config

    def __call__(
        self, module: nn.Module, inputs: object, output: tuple[Tensor, State]
    ) -> tuple[Tensor, State] | None:
        """Replace the frontend's features while it trains."""
        if not module.training or not isinstance(module, LogMel):
            return None
        features, state = output
        return self._mask(self._warp(self._colour(features, module))), state

    def _colour(self, features: Tensor, frontend: LogMel) -> Tensor:
        """Filter each row by a smooth random curve, under the same floor as before."""
        c = self.config
        batch, _, bands = features.shape
        across = torch.linspace(-1, 1, bands)
        tilt = (2 * torch.rand(batch, 1) - 1) * c.tilt_db * across
        period, phase = 0.5 + 2.5 * torch.rand(batch, 1), 2 * torch.pi * torch.rand(batch, 1)
        ripple = torch.rand(batch, 1) * c.ripple_db * torch.cos(torch.pi * period * across + phase)
        gain = 10 ** ((tilt + ripple) / 10)
        floor = frontend.config.floor
        power = torch.exp(features / frontend.scale + frontend.mean) - floor
        coloured = torch.log(power.clamp_min(0) * gain[:, None] + floor)
        return (coloured - frontend.mean) * frontend.scale

    def _warp(self, features: Tensor) -> Tensor:
        """Read each band from `scale * band + shift`, each row with its own scale and shift."""
        batch, _, bands = features.shape
        c = self.config
        shift = (2 * torch.rand(batch, 1) - 1) * c.warp_bands
        scale = 1 + (2 * torch.rand(batch, 1) - 1) * c.warp_scale
        at = (scale * torch.arange(bands) + shift).clamp(0, bands - 1)
        low = at.floor().long().clamp(max=bands - 2)
        part = (at - low)[:, None]
        left = torch.gather(features, 2, low[:, None].expand_as(features))
        right = torch.gather(features, 2, low[:, None].expand_as(features) + 1)
        return left + part * (right - left)

    def _mask(self, features: Tensor) -> Tensor:
        c = self.config
        batch, frames, bands = features.shape
        for size, limit, chance, axis in (
            (frames, c.time_mask_frames, c.time_mask_p, 1),
            (bands, c.band_mask_bands, c.band_mask_p, 2),
        ):
            width = torch.randint(0, limit + 1, (batch, 1)) * (torch.rand(batch, 1) < chance)
            start = torch.randint(0, max(1, size - limit), (batch, 1))
            at = torch.arange(size)
            masked = (at >= start) & (at < start + width)
            features = features * (~masked).float().unsqueeze(3 - axis)
        return features
