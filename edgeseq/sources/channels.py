"""One channel out of many, with a word of warning when a mix would be silent."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..errors import ConfigError
from .base import Floats

__all__ = ["Channel", "ChannelMix"]

Channel = int | Literal["mix"]
"""Which channel becomes the mono signal: an index from 0, or "mix" for their mean."""

CHECK_FRAMES = 8000
"""The mix is compared with its channels over at least this many frames (0.5 s at 16 kHz)."""

AUDIBLE_POWER = 1e-6
"""Mean power of a channel below -60 dBFS is taken as silence: noise may cancel by chance."""

CANCELLED = 0.05
"""A mix is called cancelled at this share of the power that unrelated channels would leave."""


class ChannelMix:
    """Interleaved frames to mono, frame by frame, so that any cut gives the same samples.

    Attributes:
        notes: gets one sentence when the channels cancel each other in the mix.
    """

    def __init__(
        self, channels: int, channel: Channel = "mix", *, name: str, notes: list[str]
    ) -> None:
        """Take `channel` out of `channels`, for the source called `name`."""
        known = channel == "mix" or (type(channel) is int and 0 <= channel < channels)
        if not known:
            some = "0" if channels == 1 else f"0 to {channels - 1}"
            raise ConfigError(
                f"{name}: channel {channel!r} does not exist; it has {channels} "
                f"channel{'s' if channels > 1 else ''}: take {some}, or 'mix'"
            )
        self.notes = notes
        self._name = name
        self._channels = channels
        self._channel = channel
        self._watching = channel == "mix" and channels > 1
        self._frames = 0
        self._mix_power = 0.0
        self._channel_power = 0.0

    def push(self, frames: Floats) -> Floats:
        """Mono samples `[n]` of the frames `[n, channels]`."""
        if self._channel != "mix":
            return np.ascontiguousarray(frames[:, self._channel])
        # Added channel by channel: np.mean may group the terms by the length of the block.
        mono = frames[:, 0].copy()
        for index in range(1, self._channels):
            mono += frames[:, index]
        if self._channels > 1:
            mono *= np.float32(1 / self._channels)
        if self._watching:
            self._watch(frames, mono)
        return mono

    def flush(self) -> None:
        """End of input: judge what has not been judged yet."""
        if self._watching and self._frames:
            self._judge()

    def _watch(self, frames: Floats, mono: Floats) -> None:
        self._mix_power += float(np.dot(mono, mono))
        flat = frames.reshape(-1)
        self._channel_power += float(np.dot(flat, flat)) / self._channels
        self._frames += len(mono)
        if self._frames >= CHECK_FRAMES:
            self._judge()

    def _judge(self) -> None:
        audible = self._channel_power > AUDIBLE_POWER * self._frames
        # n unrelated channels of equal power leave 1/n of it in their mean.
        if audible and self._mix_power < self._channel_power * CANCELLED / self._channels:
            self.notes.append(
                f"{self._name}: the {self._channels} channels cancel each other in the mix; "
                f"take one of them (channel 0 to {self._channels - 1})"
            )
            self._watching = False
        self._frames = 0
        self._mix_power = self._channel_power = 0.0
