"""Whether raw PCM was given with the wrong format or channel count, told by its sound."""

from __future__ import annotations

import numpy as np

from .base import Floats
from .formats import FORMATS

__all__ = ["FormatHint"]

USUAL = ("s16le", "s16be", "s24le", "s32le", "f32le", "u8", "mulaw", "alaw")
"""What is suggested: the rest of FORMATS is rare, and half of it sounds alike."""

WINDOW_BYTES = 24 * 1366
WINDOWS = 8
"""Stretches that are listened to, of whole frames: 8 s of s16le at 16 kHz, in case it begins with
silence."""

ROUGH, SMOOTH = 0.6, 0.3
"""Mean squared step from sample to sample, relative to that of white noise (1)."""

SUSPECT_RMS, LOUD_RMS = 0.1, 0.4
LEAST_RMS, MOST_RMS = 3e-3, 0.35
EQUAL = 0.1
"""Misread bytes are noise (rough and not quiet), or of 8 bits and then louder than nearly any
recording. Something else is suggested only when it is smooth and neither silent nor so loud.
Of speech in the eight usual formats, each read as each, all were told rightly or not at all."""


class FormatHint:
    """Listens to the first bytes of raw PCM; a note is added when another reading fits better."""

    def __init__(self, format: str, channels: int, name: str, notes: list[str]) -> None:
        """Judge the stream called `name`, which is read as `format` with `channels`."""
        self._given = format, channels
        self._name = name
        self._notes = notes
        self._data = b""
        self._left = WINDOWS

    def push(self, data: bytes) -> None:
        """Take the next bytes in."""
        if not self._left:
            return
        self._data += data
        while self._left and len(self._data) >= WINDOW_BYTES:
            window, self._data = self._data[:WINDOW_BYTES], self._data[WINDOW_BYTES:]
            self._left -= 1
            if self._judge(window):
                self._left = 0

    def _judge(self, window: bytes) -> bool:
        """Whether there was something to say."""
        format, channels = self._given
        values = _read(window, format)
        if channels == 1 and _is_doubled(values):
            self._note(f"every sample comes twice; is it --channels 2 --format {format}?")
            return True
        rough, loud = _sound(values, channels)
        if loud < LOUD_RMS and (rough < ROUGH or loud < SUSPECT_RMS):
            return False
        others = [
            (*_sound(_read(window, name), count), name, count)
            for count in sorted({1, 2, channels}, key=lambda n: n != channels)
            for name in USUAL
            if (name, count) != self._given
        ]
        likely = [o for o in others if o[0] < SMOOTH and LEAST_RMS < o[1] < MOST_RMS]
        if not likely:
            return False
        # Two channels of 16 bits are as smooth as one of 32: of two equals the given format.
        _, _, name, count = min(likely, key=lambda o: o[0] + (0 if o[2] == format else EQUAL))
        self._note(
            f"sounds like noise as {format} with {channels} channel(s), but not as {name} "
            f"with {count}; is it --format {name} --channels {count}?"
        )
        return True

    def _note(self, words: str) -> None:
        self._notes.append(f"{self._name}: {words}")


def _read(window: bytes, format: str) -> Floats:
    width = FORMATS[format].width
    with np.errstate(invalid="ignore", over="ignore"):
        return FORMATS[format].decode(window[: len(window) // width * width])


def _sound(values: Floats, channels: int) -> tuple[float, float]:
    """Roughness and RMS of all `channels` together; (1, 1) for what cannot be audio at all."""
    frames = values[: len(values) // channels * channels].reshape(-1, channels)
    if len(frames) < 2 or not np.isfinite(frames).all() or np.abs(frames).max() > 1.01:
        return 1.0, 1.0
    wide = frames.astype(np.float64)
    wide -= wide.mean(axis=0)
    power = float(np.mean(wide**2))
    rough = float(np.mean(np.diff(wide, axis=0) ** 2)) / (2 * power) if power else 1.0
    return rough, power**0.5


def _is_doubled(values: Floats) -> bool:
    pairs = values[: len(values) // 2 * 2].reshape(-1, 2)
    return bool(np.all(pairs[:, 0] == pairs[:, 1])) and len(np.unique(pairs)) > 100
