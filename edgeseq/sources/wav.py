"""WAV files and pipes, read without any library.

Not `wave` of the standard library: it knows neither float, extensible, G.711, RF64 nor the sizes
that programs write into a pipe.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..errors import AudioError
from .base import NOTHING, Block
from .bytestream import IDLE_SECONDS, ByteStream
from .channels import Channel
from .pcm import PcmDecoder, block_bytes

__all__ = ["WavHeader", "WavSource", "read_header"]

EXTENSIBLE = 0xFFFE
EXTENSIBLE_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""The rest of a sub-format GUID whose first two bytes are an ordinary format tag."""

FORMAT_BY_TAG = {
    (1, 1): "u8",
    (1, 2): "s16le",
    (1, 3): "s24le",
    (1, 4): "s32le",
    (3, 4): "f32le",
    (3, 8): "f64le",
    (6, 1): "alaw",
    (7, 1): "mulaw",
}
"""PCM format by format tag and bytes of a value."""

OTHER_TAGS = {
    0x0001: "PCM",
    0x0002: "Microsoft ADPCM",
    0x0003: "IEEE float",
    0x0006: "A-law",
    0x0007: "mu-law",
    0x0011: "IMA ADPCM",
    0x0031: "GSM 6.10",
    0x0040: "G.721 ADPCM",
    0x0050: "MPEG",
    0x0055: "MP3",
    0x00FF: "AAC",
    0xFFFE: "extensible",
}

MOST_CHUNKS = 10_000
"""A pipe that sends nothing but empty chunks must not be read for ever."""

USUAL_CHUNKS = (b"data", b"fmt ", b"LIST", b"fact")


@dataclass(frozen=True, slots=True)
class WavHeader:
    """What the header says.

    Attributes:
        format: a key of `pcm.FORMATS`.
        channels: channels in a frame.
        sample_rate: frames a second.
        data_bytes: size of the audio; None when the writer did not know it (a pipe).
    """

    format: str
    channels: int
    sample_rate: int
    data_bytes: int | None


def read_header(stream: ByteStream) -> WavHeader:
    """Read up to the first byte of audio; AudioError says in one line what is wrong."""
    name = stream.name
    head = stream.read_exact(12)
    if not head:
        raise AudioError(f"{name}: empty, 0 bytes")
    if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:] != b"WAVE":
        raise AudioError(f"{name}: no WAV header; it starts with {head!r}")
    wide_size: int | None = None
    parts: tuple[str, int, int] | None = None
    for _ in range(MOST_CHUNKS):
        label = stream.read_exact(8)
        if len(label) < 8:
            raise AudioError(f"{name}: broken WAV header: the file ends before the 'data' chunk")
        tag, size = label[:4], int.from_bytes(label[4:], "little")
        if tag == b"data":
            if parts is None:
                raise AudioError(f"{name}: broken WAV header: no 'fmt ' chunk before the audio")
            if head[:4] != b"RIFF" and size == 0xFFFFFFFF:
                return WavHeader(*parts, wide_size)
            return WavHeader(*parts, None if _is_unknown(size) else size)
        if tag in (b"fmt ", b"ds64"):
            body = stream.read_exact(min(size, 64))
            if len(body) == min(size, 64):
                if tag == b"fmt ":
                    parts = _parse_format(body, name)
                elif size >= 16:
                    wide_size = _known_wide_size(int.from_bytes(body[8:16], "little"))
            size_left = size - len(body)
        else:
            size_left = size
        if not stream.skip(size_left):
            raise AudioError(
                f"{name}: broken WAV header: the file ends inside the chunk {_label(tag)} "
                f"of {size} bytes"
            )
        # An odd chunk is followed by a pad byte, which some writers forget.
        if size % 2 and stream.peek(4) not in USUAL_CHUNKS:
            stream.skip(1)
    raise AudioError(f"{name}: broken WAV header: no audio after {MOST_CHUNKS:,} chunks")


def _is_unknown(size: int) -> bool:
    """Whether `size` is what programs write when they cannot come back to the header.

    0: a crashed recorder; 0xFFFFFFFF: ffmpeg; 0x7FFFF000 less a part of a frame: sox; 0x80000000
    and a little less: arecord.
    """
    return size == 0 or 0x7FFFE000 <= size <= 0x80000000 or size >= 0xFFFFF000


def _known_wide_size(size: int) -> int | None:
    return size if 0 < size < 1 << 62 else None


def _label(tag: bytes) -> str:
    return repr(tag.decode("latin-1"))


def _parse_format(body: bytes, name: str) -> tuple[str, int, int]:
    """Format, channels and sample rate of a `fmt ` chunk."""
    if len(body) < 16:
        raise AudioError(
            f"{name}: broken WAV header: the 'fmt ' chunk has {len(body)} bytes, at least 16 needed"
        )
    tag, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", body)
    if tag == EXTENSIBLE and len(body) >= 40:
        guid = body[24:40]
        if guid[2:] != EXTENSIBLE_TAIL:
            raise AudioError(
                f"{name}: WAV sub-format {guid.hex()} is unknown; convert it with: "
                "ffmpeg -i IN -c:a pcm_s16le OUT.wav"
            )
        tag = int.from_bytes(guid[:2], "little")
    if not channels or not 1000 <= rate <= 768_000:
        raise AudioError(
            f"{name}: broken WAV header: {channels} channels at {rate} samples a second; at least "
            "1 channel and 1000 to 768000 samples a second are needed"
        )
    width = (bits + 7) // 8
    # The frame size rules where it can be true: 20 bits may lie in 3 or in 4 bytes.
    if align % channels == 0 and align // channels >= width:
        width = align // channels
    format = FORMAT_BY_TAG.get((tag, width))
    if format is None:
        raise AudioError(
            f"{name}: WAV format 0x{tag:04X} ({OTHER_TAGS.get(tag, 'unknown')}, {bits} bits) is "
            "not supported; convert it with: ffmpeg -i IN -c:a pcm_s16le OUT.wav"
        )
    return format, channels, rate


class WavSource:
    """Audio of a WAV file or pipe; see Source for the attributes."""

    def __init__(
        self,
        stream: BinaryIO | ByteStream,
        channel: Channel = "mix",
        *,
        name: str = "WAV stream",
        live: bool = False,
    ) -> None:
        """Read the header, waiting for it on a pipe."""
        self.name = name
        self.live = live
        self.notes: list[str] = []
        self._bytes = stream if isinstance(stream, ByteStream) else ByteStream(stream, name)
        self.header = read_header(self._bytes)
        self.sample_rate = self.header.sample_rate
        self._decoder = PcmDecoder(
            self.header.format,
            self.header.channels,
            channel,
            name=name,
            notes=self.notes,
            refuse_wild=False,
        )

    def blocks(self) -> Iterator[Block]:
        """Samples as they come, at most 0.1 s a block."""
        decoder = self._decoder
        most = block_bytes(self.sample_rate, decoder.frame_bytes)
        size = self.header.data_bytes
        done = 0
        while size is None or done < size:
            while self.live and not self._bytes.ready(IDLE_SECONDS):
                yield Block(NOTHING)
            data = self._bytes.read_some(most if size is None else min(most, size - done))
            if not data:
                break
            done += len(data)
            samples = decoder.push(data)
            if len(samples):
                yield Block(samples)
        decoder.flush()
        if not decoder.frames:
            raise AudioError(f"{self.name}: a WAV header and then no audio")
        if size is not None and done < size:
            self.notes.append(
                f"{self.name}: cut short: the header says {size} bytes of audio, {done} are there"
            )

    def close(self) -> None:
        """Close the stream."""
        self._bytes.close()
