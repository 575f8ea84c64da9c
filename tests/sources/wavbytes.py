"""WAV files byte by byte, as other programs write them."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def chunk(tag: bytes, body: bytes, *, pad: bool = True) -> bytes:
    """One RIFF chunk, with its pad byte unless told otherwise."""
    return tag + struct.pack("<I", len(body)) + body + (b"\0" if pad and len(body) % 2 else b"")


def fmt(
    tag: int = 1, channels: int = 1, rate: int = 16000, bits: int = 16, guid_tail: bytes = b""
) -> bytes:
    """A `fmt ` chunk; extensible when `guid_tail` is given."""
    align = channels * ((bits + 7) // 8)
    head = struct.pack(
        "<HHIIHH", 0xFFFE if guid_tail else tag, channels, rate, rate * align, align, bits
    )
    if guid_tail:
        head += struct.pack("<HHIH", 22, bits, 0, tag) + guid_tail
    return chunk(b"fmt ", head)


def wav(data: bytes, header: bytes = b"", *, before: bytes = b"", size: int | None = None) -> bytes:
    """A whole file; `size` is written as the size of the audio in place of the true one."""
    body = b"WAVE" + (header or fmt()) + before + chunk(b"data", data)
    file = b"RIFF" + struct.pack("<I", len(body)) + body
    if size is None:
        return file
    at = file.index(b"data") + 4
    return (
        file[:4] + struct.pack("<I", size) + file[8:at] + struct.pack("<I", size) + file[at + 4 :]
    )


def speech(count: int = 4000, seed: int = 0) -> npt.NDArray[np.int16]:
    """16-bit values of noise, all different enough to find a shift."""
    return np.random.default_rng(seed).integers(-20000, 20000, count).astype("<i2")
