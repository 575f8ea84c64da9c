"""What a file is, told by its first bytes and never by its name."""

from __future__ import annotations

import codecs

__all__ = ["HEAD_BYTES", "coded_kind", "is_wav", "why_not_audio"]

HEAD_BYTES = 12
"""Bytes that the questions below look at; few, because a slow pipe must deliver them first."""

CODED = {
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"ID3": "MP3",
    b"FORM": "AIFF",
    b".snd": "AU",
    b"caff": "CAF",
    b"riff": "Wave64",
    b"RIFX": "big-endian WAV",
}
"""Formats that libsndfile reads, by how they begin."""

FOREIGN = {
    b"\x1aE\xdf\xa3": "WebM or Matroska",
    b"#!AMR": "AMR",
    b"0&\xb2u": "WMA",
    b"PK\x03\x04": "ZIP",
    b"\x1f\x8b": "gzip",
    b"\x89PNG": "PNG",
    b"%PDF": "PDF",
}
"""Formats that nothing here reads."""


def is_wav(head: bytes) -> bool:
    """Whether this is a WAV file, or the beginning of one that was cut off."""
    return head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] in (b"WAVE"[: len(head) - 8], b"")


def coded_kind(head: bytes) -> str | None:
    """Name of the compressed or foreign format that libsndfile may read; None for any other."""
    for start, kind in CODED.items():
        if head.startswith(start):
            return kind
    # An MP3 without tags: 11 bits set, layer III, and neither bit rate nor sample rate "bad".
    sync = len(head) >= 4 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2
    return "MP3" if sync and head[2] & 0xF0 != 0xF0 and head[2] & 0x0C != 0x0C else None


def why_not_audio(head: bytes) -> str | None:
    """A sentence about something that is surely no audio; None when it may be raw PCM."""
    if not head:
        return "empty, 0 bytes"
    if head.startswith(b"version http"):
        return "a Git LFS pointer, not the audio itself; fetch it with: git lfs pull"
    kind = next((kind for start, kind in FOREIGN.items() if head.startswith(start)), None)
    if head[4:8] == b"ftyp":
        kind = "MP4"
    if head[:4] == b"RIFF":
        kind = f"RIFF file of type {head[8:12]!r}"
    if kind is not None:
        return f"{kind}, which is not read here; convert it with: ffmpeg -i IN -ac 1 OUT.wav"
    text = _as_text(head)
    return None if text is None else f"text, not audio; it begins with {text!r}"


def _as_text(head: bytes) -> str | None:
    """The beginning of a UTF-8 text; None when it holds what no text does."""
    try:
        # Incremental: the last character may be cut.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return None
    return text if all(c.isprintable() or c in "\t\n\r\f" for c in text) else None
