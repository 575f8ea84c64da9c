"""The file of the native engine: manifest and integer program, with every size checked.

    0   8 bytes   b"edgeseq\\n"
    8   uint32    number of this layout, 1
    12  uint32    bytes of the manifest
    16  uint64    bytes of the section
    24  uint32    CRC-32 of the manifest and the section
    28  uint32    0
    32            the manifest, JSON in UTF-8, filled up with zeros to a multiple of 64
                  the section, which firmware_sim/host/es_host.h describes; the file ends with it

All numbers are little-endian.
"""

from __future__ import annotations

import struct
import zlib

from ..errors import ManifestError
from ..manifest import MOST_MANIFEST_BYTES

__all__ = ["ALIGN", "pack", "unpack"]

MAGIC = b"edgeseq\n"
LAYOUT = 1
HEAD = struct.Struct("<8sIIQII")
ALIGN = 64
"""The section begins at a multiple of this, and so does every array in it."""


def pack(manifest: str, section: bytes) -> bytes:
    """The bytes of a file."""
    text = manifest.encode()
    check = zlib.crc32(section, zlib.crc32(text))
    head = HEAD.pack(MAGIC, LAYOUT, len(text), len(section), check, 0)
    return head + text + bytes(_padding(len(text))) + section


def unpack(data: memoryview, where: str) -> tuple[str, memoryview]:
    """Manifest and section of the bytes of a file; `where` leads every message.

    Raises:
        ManifestError: not such a file, of another layout, or damaged.
    """
    if len(data) < HEAD.size or bytes(data[: len(MAGIC)]) != MAGIC:
        raise ManifestError(f"{where}: is not a model of the native engine, or is damaged")
    _, layout, text_size, size, check, zero = HEAD.unpack_from(data)
    if layout != LAYOUT:
        raise ManifestError(
            f"{where}: has layout {layout}, this edgeseq reads {LAYOUT}; export the model again"
        )
    if text_size > MOST_MANIFEST_BYTES:
        raise ManifestError(
            f"{where}: has a text of {text_size:,} bytes; at most {MOST_MANIFEST_BYTES:,} are "
            "allowed"
        )
    start = HEAD.size + text_size + _padding(text_size)
    if zero or len(data) != start + size:
        raise ManifestError(
            f"{where}: has {len(data):,} bytes, its head says {start + size:,}; fetch or export it "
            "again"
        )
    raw, section = data[HEAD.size : HEAD.size + text_size], data[start:]
    if zlib.crc32(section, zlib.crc32(raw)) != check:
        raise ManifestError(f"{where}: is damaged (its checksum differs); fetch or export it again")
    try:
        return bytes(raw).decode(), section
    except UnicodeDecodeError:
        raise ManifestError(f"{where}: is damaged: its manifest is not UTF-8") from None


def _padding(text_size: int) -> int:
    return -(HEAD.size + text_size) % ALIGN
