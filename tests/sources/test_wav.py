"""The WAV reader against libsndfile, against broken files and through real pipes."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseq.errors import AudioError, ConfigError
from edgeseq.sources import WavSource
from tests.sources.wavbytes import GUID_TAIL, chunk, fmt, speech, wav

soundfile = pytest.importorskip("soundfile")

SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
CASES = [
    (container, subtype, channels)
    for container in ("WAV", "WAVEX", "RF64")
    for subtype in SUBTYPES
    for channels in (1, 2, 6)
    if soundfile.check_format(container, subtype)
]


def read(source: WavSource) -> npt.NDArray[np.float32]:
    """All samples of a source."""
    parts = [block.samples for block in source.blocks()]
    return np.concatenate(parts).astype(np.float32)


def read_bytes(data: bytes, **options: Any) -> npt.NDArray[np.float32]:
    return read(WavSource(io.BytesIO(data), name="a.wav", **options))


class Pieces(io.RawIOBase):
    """A pipe that gives the given numbers of bytes, then one at a time."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data = io.BytesIO(data)
        self._sizes = iter(sizes)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._data.read(min(len(buffer), next(self._sizes, 1)))
        buffer[: len(piece)] = piece
        return len(piece)


def through_pipe(data: bytes, take: Callable[[BinaryIO], Any]) -> Any:
    """What `take` makes of the reading end of a pipe into which `data` is written."""
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as end:
            end.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with open(reading, "rb") as end:
            return take(end)
    finally:
        thread.join()


@pytest.mark.parametrize(("container", "subtype", "channels"), CASES)
def test_reads_what_libsndfile_writes(container: str, subtype: str, channels: int) -> None:
    """F12, F18: any width, float, G.711, plain, extensible and RF64, one channel or many."""
    written = np.random.default_rng(1).uniform(-0.9, 0.9, (1000, channels))
    file = io.BytesIO()
    soundfile.write(file, written, 8000, subtype, format=container)
    expected, _ = soundfile.read(io.BytesIO(file.getvalue()), dtype="float32", always_2d=True)

    for channel in range(channels):
        np.testing.assert_array_equal(
            read_bytes(file.getvalue(), channel=channel), expected[:, channel]
        )
    mixed = read_bytes(file.getvalue())
    np.testing.assert_allclose(mixed, expected.mean(axis=1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("guid", [b"", GUID_TAIL], ids=["plain", "extensible"])
@pytest.mark.parametrize(
    ("tag", "bits", "dtype", "scale"),
    [(1, 16, "<i2", 2**15), (1, 32, "<i4", 2**31), (3, 32, "<f4", 1), (3, 64, "<f8", 1)],
)
def test_every_width_gives_the_same_signal(
    guid: bytes, tag: int, bits: int, dtype: str, scale: int
) -> None:
    """F12: float bits are never read as integers; the error stays below one step of 16 bits."""
    signal = speech() / 2**15
    values = (signal * scale).astype(dtype).tobytes()
    header = fmt(tag, bits=bits, guid_tail=guid)
    np.testing.assert_allclose(read_bytes(wav(values, header)), signal, rtol=0, atol=2**-15)


def test_24_bits_in_4_bytes_are_read_by_the_frame_size() -> None:
    """F12: the container rules, not the count of valid bits."""
    header = bytearray(fmt(bits=24))
    header[20:22] = (4).to_bytes(2, "little")
    values = (speech().astype("<i4") << 16).tobytes()
    np.testing.assert_array_equal(
        read_bytes(wav(values, bytes(header))), speech().astype(np.float32) / 2**15
    )


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (fmt(tag=0x11, bits=4), "IMA ADPCM"),
        (fmt(tag=0x1234), "0x1234"),
        (fmt(tag=3, bits=16), "IEEE float, 16 bits"),
        (fmt(guid_tail=bytes(14)), "0100" + "00" * 14),
        (fmt(channels=0), "0 channels"),
        (fmt(rate=0), "0 samples a second"),
        (chunk(b"fmt ", bytes(14)), "14 bytes"),
    ],
)
def test_unknown_formats_are_named(header: bytes, words: str) -> None:
    """F12: the error says which format it was."""
    with pytest.raises(AudioError, match=r"^a\.wav: ") as error:
        read_bytes(wav(speech().tobytes(), header))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFEFFE, 0x80000000])
def test_sizes_of_streaming_writers_mean_until_the_end(size: int) -> None:
    """F14: ffmpeg, sox, arecord and crashed recorders; through a pipe and from memory."""
    file = wav(speech().tobytes(), size=size)
    expected = speech().astype(np.float32) / 2**15

    source = WavSource(io.BytesIO(file))
    np.testing.assert_array_equal(read(source), expected)
    assert source.notes == []
    piped = through_pipe(file, lambda end: read(WavSource(end)))
    np.testing.assert_array_equal(piped, expected)


@given(st.lists(st.integers(1, 3000), max_size=40))
def test_any_pieces_of_a_pipe_give_the_same_samples(sizes: list[int]) -> None:
    """F14, F19: header, frames and odd bytes may be cut anywhere."""
    signal = speech(999)
    file = wav(signal.tobytes()[: 999 * 2], fmt(bits=24), before=chunk(b"LIST", b"odd"))
    whole = read_bytes(file)
    np.testing.assert_array_equal(read(WavSource(Pieces(file, sizes))), whole)  # type: ignore[arg-type]


@pytest.mark.parametrize("pad", [True, False], ids=["padded", "pad forgotten"])
@pytest.mark.parametrize("length", [0, 1, 2, 7, 100_001])
@pytest.mark.parametrize("tag", [b"LIST", b"JUNK", b"bext", b"fact", b"id3 "])
def test_other_chunks_are_skipped(tag: bytes, length: int, pad: bool) -> None:
    """F15: also of odd length, with the pad byte or without."""
    between = chunk(tag, b"x" * length, pad=pad)
    file = wav(speech().tobytes(), before=between) + chunk(b"LIST", b"after the audio")
    np.testing.assert_array_equal(read_bytes(file), speech().astype(np.float32) / 2**15)


@pytest.mark.parametrize("cut", [1, 2])
def test_a_cut_last_frame_is_dropped_with_a_note(cut: int) -> None:
    """F17: 24 bits, cut by one and by two bytes."""
    file = wav(speech(300).tobytes(), fmt(bits=24))
    source = WavSource(io.BytesIO(file[:-cut]), name="a.wav")
    np.testing.assert_array_equal(read(source), read_bytes(file)[:199])
    assert source.notes == [
        f"a.wav: dropped {3 - cut} of the 3 bytes of an incomplete last frame",
        f"a.wav: cut short: the header says 600 bytes of audio, {600 - cut} are there",
    ]


@pytest.mark.parametrize("length", range(61))
def test_a_file_cut_in_its_header_is_one_clear_line(length: int) -> None:
    """F17: cut at each byte; a whole header and a few samples are read."""
    file = wav(speech(300).tobytes(), fmt(bits=24))[:length]
    if length >= 44 + 3:
        assert len(read_bytes(file)) == (length - 44) // 3
        return
    with pytest.raises(AudioError, match=r"^a\.wav: ") as error:
        read_bytes(file)
    assert "\n" not in str(error.value)


def test_audio_before_its_format_is_refused() -> None:
    """F17: a header in the wrong order."""
    file = b"RIFF\0\0\0\0WAVE" + chunk(b"data", b"12") + fmt()
    with pytest.raises(AudioError, match="no 'fmt ' chunk"):
        read_bytes(file)


def test_a_wide_file_ends_where_its_ds64_chunk_says() -> None:
    """RF64: what follows the audio is not audio."""
    audio = speech().tobytes()
    ds64 = chunk(b"ds64", bytes(8) + len(audio).to_bytes(8, "little") + bytes(12))
    body = b"WAVE" + ds64 + fmt() + b"data\xff\xff\xff\xff" + audio + chunk(b"LIST", b"tail")
    np.testing.assert_array_equal(
        read_bytes(b"RF64\xff\xff\xff\xff" + body), speech().astype(np.float32) / 2**15
    )


def stereo(left: npt.NDArray[np.int16], right: npt.NDArray[np.int16]) -> bytes:
    return wav(np.stack([left, right], axis=1).tobytes(), fmt(channels=2))


def test_channels_that_cancel_are_noted() -> None:
    """F2: opposite phase; either channel alone is fine."""
    file = stereo(speech(20000), -speech(20000))
    source = WavSource(io.BytesIO(file), name="a.wav")
    assert not read(source).any()
    assert source.notes == [
        "a.wav: the 2 channels cancel each other in the mix; take one of them (channel 0 to 1)"
    ]
    np.testing.assert_array_equal(
        read_bytes(file, channel=1), -speech(20000).astype(np.float32) / 2**15
    )


@pytest.mark.parametrize("right", [speech(20000), 0 * speech(20000), speech(20000, seed=7)])
def test_channels_that_do_not_cancel_are_not_noted(right: npt.NDArray[np.int16]) -> None:
    """F2: equal, one silent, unrelated."""
    source = WavSource(io.BytesIO(stereo(speech(20000), right)))
    read(source)
    assert source.notes == []


@pytest.mark.parametrize("channel", [2, -1, "left", True])
def test_a_channel_that_does_not_exist_is_refused(channel: Any) -> None:
    """The message tells which there are."""
    with pytest.raises(ConfigError, match="take 0 to 1, or 'mix'"):
        read_bytes(stereo(speech(), speech()), channel=channel)


def test_an_hour_is_read_in_small_blocks() -> None:
    """Memory is bounded: no block holds more than 0.1 s, and the end is not looked for first."""

    class Hour(Pieces):
        def readinto(self, buffer: Any) -> int:
            return super().readinto(buffer) or len(buffer)

    header = wav(b"", size=0xFFFFFFFF)
    source = WavSource(Hour(header, []), live=True)  # type: ignore[arg-type]
    total = 0
    for block in source.blocks():
        assert len(block.samples) <= 1600
        total += len(block.samples)
        if total >= 3600 * 16000:
            break
    source.close()
