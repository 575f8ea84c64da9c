"""How one PCM value lies in the bytes: every format that people pipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .base import Floats

__all__ = ["FORMATS", "Format"]


def _integers(dtype: str) -> Callable[[bytes], Floats]:
    scale = np.float32(2.0 ** (1 - 8 * np.dtype(dtype).itemsize))
    return lambda data: np.frombuffer(data, dtype).astype(np.float32) * scale


def _floats(dtype: str) -> Callable[[bytes], Floats]:
    return lambda data: np.frombuffer(data, dtype).astype(np.float32)


def _unsigned8(data: bytes) -> Floats:
    return (np.frombuffer(data, np.uint8).astype(np.float32) - np.float32(128)) * np.float32(2**-7)


def _unsigned(dtype: str) -> Callable[[bytes], Floats]:
    """Silence lies in the middle of the range; its top bit is the inverse of a sign."""
    kind = np.dtype(dtype)
    top = kind.type(1 << (8 * kind.itemsize - 1))
    signed = kind.str.replace("u", "i")
    scale = np.float32(2.0 ** (1 - 8 * kind.itemsize))
    return lambda data: (
        (np.frombuffer(data, kind) ^ top).astype(kind).view(signed).astype(np.float32) * scale
    )


def _integers24(order: str, flip: int = 0) -> Callable[[bytes], Floats]:
    """Three bytes; `flip` is xored to the first of them, to turn unsigned into signed."""

    def decode(data: bytes) -> Floats:
        # The bytes go to the top of an int32, so that the sign needs no care.
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        bytes_of = np.frombuffer(data, np.uint8).reshape(-1, 3)
        wide[:, 1:] = bytes_of if order == "<" else bytes_of[:, ::-1]
        wide[:, 3] ^= flip
        return wide.view("<i4")[:, 0].astype(np.float32) * np.float32(2.0**-31)

    return decode


def _table(values: Callable[[int], int]) -> Callable[[bytes], Floats]:
    table = np.array([values(code) for code in range(256)], np.float32) * np.float32(2**-15)
    return lambda data: table[np.frombuffer(data, np.uint8)]


def _mulaw(code: int) -> int:
    """Value of one mu-law byte on the 16-bit scale (ITU-T G.711)."""
    code ^= 0xFF
    size = ((((code & 15) << 3) + 132) << (code >> 4 & 7)) - 132
    return -size if code & 128 else size


def _alaw(code: int) -> int:
    """Value of one A-law byte on the 16-bit scale (ITU-T G.711)."""
    code ^= 0x55
    segment = code >> 4 & 7
    size = ((code & 15) << 4) + 8
    if segment:
        size = (size + 256) << (segment - 1)
    return size if code & 128 else -size


@dataclass(frozen=True, slots=True)
class Format:
    """How one PCM value lies in the bytes.

    Attributes:
        width: bytes of one value.
        decode: whole values as bytes to float32 in [-1, 1].
        is_float: whether the bytes may hold any number, so that a wrong guess can be seen.
    """

    width: int
    decode: Callable[[bytes], Floats]
    is_float: bool = False


FORMATS = {
    "s16le": Format(2, _integers("<i2")),
    "s16be": Format(2, _integers(">i2")),
    "s24le": Format(3, _integers24("<")),
    "s24be": Format(3, _integers24(">")),
    "s32le": Format(4, _integers("<i4")),
    "s32be": Format(4, _integers(">i4")),
    "f32le": Format(4, _floats("<f4"), is_float=True),
    "f32be": Format(4, _floats(">f4"), is_float=True),
    "f64le": Format(8, _floats("<f8"), is_float=True),
    "f64be": Format(8, _floats(">f8"), is_float=True),
    "s8": Format(1, _integers("i1")),
    "u8": Format(1, _unsigned8),
    "u16le": Format(2, _unsigned("<u2")),
    "u16be": Format(2, _unsigned(">u2")),
    "u24le": Format(3, _integers24("<", 0x80)),
    "u24be": Format(3, _integers24(">", 0x80)),
    "u32le": Format(4, _unsigned("<u4")),
    "u32be": Format(4, _unsigned(">u4")),
    "mulaw": Format(1, _table(_mulaw)),
    "alaw": Format(1, _table(_alaw)),
}
"""PCM formats by the name that `--format` takes."""
