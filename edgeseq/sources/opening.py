"""From a path or standard input to the source that can read it."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from ..errors import AudioError
from .base import Source
from .bytestream import ByteStream
from .channels import Channel
from .coded import CodedSource
from .pcm import PcmSource
from .sniff import HEAD_BYTES, coded_kind, is_wav, why_not_audio
from .text import TextSource
from .wav import WavSource

__all__ = ["open_audio", "open_text"]

MOST_CODED_BYTES = 256 * 2**20
"""Of compressed audio that is held in memory: some four hours of MP3."""


def open_audio(
    path: str | Path,
    channel: Channel = "mix",
    *,
    format: str | None = None,
    rate: int | None = None,
    channels: int | None = None,
) -> Source:
    """A source for the audio in `path`, or in standard input when it is "-".

    The first bytes decide how it is read. `format`, `rate` and `channels` describe raw PCM; without
    `format` an unknown file is refused, and unknown bytes on standard input are taken as s16le.
    """
    stream, live = _open(path)
    try:
        return _choose(stream, path == "-", live, channel, format, rate, channels)
    except BaseException:
        stream.close()
        raise


def open_text(path: str | Path) -> TextSource:
    """A source for the bytes in `path`, or in standard input when it is "-"."""
    stream, live = _open(path)
    return TextSource(stream, name=stream.name, live=live)


def _choose(
    stream: ByteStream,
    is_stdin: bool,
    live: bool,
    channel: Channel,
    format: str | None,
    rate: int | None,
    channels: int | None,
) -> Source:
    head = stream.peek(HEAD_BYTES)
    kind = coded_kind(head)
    source: Source
    if is_wav(head):
        kind = "WAV"
        source = WavSource(stream, channel, name=stream.name, live=live)
    elif kind is not None and not (format and kind == "MP3"):
        source = CodedSource(_seekable(stream), channel, name=stream.name, kind=kind)
    else:
        reason = why_not_audio(head)
        # A given format is believed: quiet mu-law looks like text.
        if reason is not None and (format is None or not head):
            raise AudioError(f"{stream.name}: {reason}")
        if format is None and not is_stdin:
            raise AudioError(
                f"{stream.name}: not a known audio format; it starts with {head!r}. "
                "For raw PCM say --format, --rate and --channels"
            )
        return PcmSource(
            stream,
            "s16le" if format is None else format,
            16000 if rate is None else rate,
            1 if channels is None else channels,
            channel,
            name=stream.name,
            live=live,
        )
    if format is not None or rate is not None or channels is not None:
        source.notes.append(
            f"{stream.name}: this is {kind}, which tells its own format: --format, --rate and "
            "--channels are for raw PCM and were ignored"
        )
    return source


def _open(path: str | Path) -> tuple[ByteStream, bool]:
    """The stream, and whether its bytes may come slowly (a pipe, a terminal)."""
    if path == "-":
        if sys.stdin is None or sys.stdin.closed:
            raise AudioError("standard input is closed; pipe audio into it or name a file")
        stream: BinaryIO = sys.stdin.buffer
        return ByteStream(stream, "stdin", keep_open=True), not _is_file(stream)
    try:
        stream = open(path, "rb")
    except OSError as error:
        raise AudioError(f"{path}: cannot be opened: {error.strerror or error}") from error
    return ByteStream(stream, str(path)), not _is_file(stream)


def _is_file(stream: BinaryIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except OSError:
        # io.UnsupportedOperation: a stream in memory.
        return True


def _seekable(stream: ByteStream) -> BinaryIO:
    """The stream from its start; a pipe is read into memory first, since libsndfile must seek."""
    if stream.stream.seekable() and not stream.keep_open:
        stream.stream.seek(0)
        return stream.stream
    data = stream.read_all(MOST_CODED_BYTES)
    if len(data) > MOST_CODED_BYTES:
        raise AudioError(
            f"{stream.name}: compressed audio through a pipe may have {MOST_CODED_BYTES:,} bytes; "
            "name the file, or pipe WAV or raw PCM, which have no limit"
        )
    return io.BytesIO(data)
