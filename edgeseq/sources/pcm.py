"""Raw PCM: bytes of a stream to mono float32 samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from ..errors import AudioError, ConfigError
from .base import NOTHING, Block, Floats
from .bytestream import IDLE_SECONDS, ByteStream
from .channels import Channel, ChannelMix
from .formats import FORMATS
from .hints import FormatHint

__all__ = ["PcmDecoder", "PcmSource", "block_bytes", "check_rate"]

BLOCK_SECONDS = 0.1

MOST_BLOCK_BYTES = 1 << 20
"""A header may promise 65535 channels at 768 kHz: 0.1 s of them would be 40 GB."""

WILD = 1e6
"""No float recording comes near this; other bytes read as floats do within a few samples."""


def block_bytes(rate: int, frame_bytes: int) -> int:
    """Bytes of whole frames to read at a time: 0.1 s, or less where that is much."""
    frames = min(round(rate * BLOCK_SECONDS), MOST_BLOCK_BYTES // frame_bytes)
    return max(1, frames) * frame_bytes


def check_rate(rate: int, name: str) -> int:
    """`rate`, or ConfigError when no sound card knows it."""
    if not 1000 <= rate <= 768_000:
        raise ConfigError(f"{name}: {rate} samples a second; allowed are 1000 to 768000")
    return rate


class PcmDecoder:
    """Interleaved PCM bytes to mono float32 samples; any cut of the bytes gives the same samples.

    Attributes:
        format: a key of FORMATS.
        frame_bytes: bytes of one sample of all channels.
        frames: frames decoded so far.
        notes: sentences about cut frames and cancelling channels.
    """

    def __init__(
        self,
        format: str = "s16le",
        channels: int = 1,
        channel: Channel = "mix",
        *,
        name: str = "PCM",
        notes: list[str] | None = None,
        refuse_wild: bool = True,
    ) -> None:
        """Decode `channels` interleaved channels, and keep `channel`.

        `refuse_wild` makes float values that are no audio an AudioError: nothing else tells that
        the format was guessed wrong.
        """
        if format not in FORMATS:
            raise ConfigError(
                f"{name}: PCM format {format!r} is unknown; allowed are {', '.join(FORMATS)}"
            )
        if channels < 1:
            raise ConfigError(f"{name}: {channels} channels; at least 1 is needed")
        self.notes: list[str] = [] if notes is None else notes
        self.format = format
        self.frame_bytes = FORMATS[format].width * channels
        self.frames = 0
        self._name = name
        self._channels = channels
        self._channel = channel
        self._refuse_wild = refuse_wild and FORMATS[format].is_float
        self._rest = b""
        self._mix = self._new_mix()

    def push(self, data: bytes) -> Floats:
        """Mono samples of the whole frames in `data` and what earlier calls left over."""
        data = self._rest + data if self._rest else data
        whole = len(data) // self.frame_bytes * self.frame_bytes
        self._rest = data[whole:]
        # Bytes that are no floats may hold signalling NaN or overflow in the sum of channels.
        with np.errstate(invalid="ignore", over="ignore"):
            values = FORMATS[self.format].decode(data[:whole])
            if self._refuse_wild:
                self._check(values)
            samples = self._mix.push(values.reshape(-1, self._channels))
        self.frames += len(samples)
        return samples

    def flush(self) -> None:
        """End of input: note an incomplete last frame, which is dropped."""
        if self._rest:
            self.notes.append(
                f"{self._name}: dropped {len(self._rest)} of the {self.frame_bytes} bytes of an "
                "incomplete last frame"
            )
            self._rest = b""
        self._mix.flush()

    def reset(self) -> None:
        """Forget left-over bytes and begin a new stream."""
        self._rest = b""
        self._mix = self._new_mix()
        self.frames = 0

    def _new_mix(self) -> ChannelMix:
        return ChannelMix(self._channels, self._channel, name=self._name, notes=self.notes)

    def _check(self, values: Floats) -> None:
        wild = ~(np.abs(values) < WILD)
        if wild.any():
            value = float(values[np.argmax(wild)])
            raise AudioError(
                f"{self._name}: read as {self.format}, a sample is {value:.3g}, but audio lies in "
                f"[-1, 1]; wrong --format? Known are {', '.join(FORMATS)}"
            )


class PcmSource:
    """Raw PCM of a file or pipe; see Source for the attributes."""

    def __init__(
        self,
        stream: BinaryIO | ByteStream,
        format: str = "s16le",
        rate: int = 16000,
        channels: int = 1,
        channel: Channel = "mix",
        *,
        name: str = "PCM stream",
        live: bool = False,
    ) -> None:
        """Read `stream` as `format` at `rate` samples a second; nothing is read yet."""
        self.name = name
        self.sample_rate = check_rate(rate, name)
        self.live = live
        self.notes: list[str] = []
        self._bytes = stream if isinstance(stream, ByteStream) else ByteStream(stream, name)
        self._channels = channels
        self._decoder = PcmDecoder(format, channels, channel, name=name, notes=self.notes)

    def blocks(self) -> Iterator[Block]:
        """Samples as they come, at most 0.1 s a block."""
        decoder = self._decoder
        most = block_bytes(self.sample_rate, decoder.frame_bytes)
        hint = FormatHint(decoder.format, self._channels, self.name, self.notes)
        while True:
            while self.live and not self._bytes.ready(IDLE_SECONDS):
                yield Block(NOTHING)
            data = self._bytes.read_some(most)
            if not data:
                break
            hint.push(data)
            samples = decoder.push(data)
            if len(samples):
                yield Block(samples)
        decoder.flush()
        if not decoder.frames:
            raise AudioError(f"{self.name}: the stream ended before it gave any audio")

    def close(self) -> None:
        """Close the stream."""
        self._bytes.close()
