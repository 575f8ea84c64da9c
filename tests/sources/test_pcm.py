"""Raw PCM: every format, any cut of the bytes, and wrong guesses."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseq.errors import AudioError, ConfigError
from edgeseq.sources import FORMATS, PcmDecoder, PcmSource

soundfile = pytest.importorskip("soundfile")

LIBSNDFILE = {
    "s16le": ("PCM_16", "LITTLE"),
    "s16be": ("PCM_16", "BIG"),
    "s24le": ("PCM_24", "LITTLE"),
    "s32le": ("PCM_32", "LITTLE"),
    "f32le": ("FLOAT", "LITTLE"),
    "f32be": ("FLOAT", "BIG"),
    "f64le": ("DOUBLE", "LITTLE"),
    "u8": ("PCM_U8", "FILE"),
    "mulaw": ("ULAW", "FILE"),
    "alaw": ("ALAW", "FILE"),
}


@pytest.mark.parametrize("format", FORMATS)
def test_decodes_like_libsndfile(format: str) -> None:
    """F18: also every one of the 256 codes of mu-law and A-law."""
    data = bytes(range(256)) * 6
    if FORMATS[format].is_float:
        kind = {"f32le": "<f4", "f32be": ">f4", "f64le": "<f8"}[format]
        data = np.linspace(-1, 1, 300).astype(kind).tobytes()
    subtype, endian = LIBSNDFILE[format]
    expected, _ = soundfile.read(
        io.BytesIO(data), dtype="float32", channels=1, samplerate=8000, format="RAW",
        subtype=subtype, endian=endian,
    )  # fmt: skip
    np.testing.assert_array_equal(PcmDecoder(format).push(data), expected)


@given(
    st.sampled_from(sorted(FORMATS)),
    st.integers(1, 3),
    st.lists(st.integers(0, 500), max_size=20),
    st.integers(0, 23),
)
def test_any_cut_of_the_bytes_gives_the_same_samples(
    format: str, channels: int, cuts: list[int], extra: int
) -> None:
    """F19: odd bytes wait for the rest of their frame."""
    values = np.arange(20 * channels * FORMATS[format].width + extra) * 37 % 61
    data = values.astype(np.uint8).tobytes()
    if FORMATS[format].is_float:
        kind = {"f32le": "<f4", "f32be": ">f4", "f64le": "<f8"}[format]
        data = (np.sin(values)[: 20 * channels]).astype(kind).tobytes() + data[:extra]
    whole = PcmDecoder(format, channels)
    expected = whole.push(data)
    whole.flush()

    cut = PcmDecoder(format, channels)
    edges = [0, *sorted(min(c, len(data)) for c in cuts), len(data)]
    parts = [cut.push(data[a:b]) for a, b in pairwise(edges)]
    cut.flush()
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert cut.notes == whole.notes
    assert len(cut.notes) == (len(data) % whole.frame_bytes > 0)


def test_reset_forgets_left_over_bytes() -> None:
    """F19: a new stream does not begin with half a sample of the old one."""
    decoder = PcmDecoder("s16le")
    decoder.push(b"\1\2\3")
    decoder.reset()
    np.testing.assert_array_equal(decoder.push(b"\0\x40"), [0.5])
    assert decoder.frames == 1


@pytest.mark.parametrize("format", ["f32le", "f32be", "f64le"])
@pytest.mark.parametrize("true", ["mulaw", "s16le"])
def test_other_bytes_read_as_floats_are_refused(format: str, true: str) -> None:
    """F18: NaN or 1e30 can only be a wrong guess, and the message says so."""
    tone = np.sin(np.arange(8000) / 5) * 3000
    if true == "s16le":
        data = tone.astype("<i2").tobytes()
    else:
        file = io.BytesIO()
        soundfile.write(file, tone / 32768, 8000, "ULAW", format="RAW")
        data = file.getvalue()
    source = PcmSource(io.BytesIO(data), format, 8000, name="stdin")
    with pytest.raises(AudioError, match=f"^stdin: read as {format}.*wrong --format"):
        list(source.blocks())


def test_a_stream_without_audio_is_an_error() -> None:
    """F17: nothing, or less than one frame."""
    for data in (b"", b"\0"):
        with pytest.raises(AudioError, match="before it gave any audio"):
            list(PcmSource(io.BytesIO(data)).blocks())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "s8"}, "allowed are s16le, s16be"),
        ({"rate": 0}, "allowed are 1000 to 768000"),
        ({"channels": 0}, "at least 1"),
        ({"channel": 1}, "take 0, or 'mix'"),
    ],
)
def test_wrong_options_are_refused_before_reading(options: Any, words: str) -> None:
    """The message tells what is allowed."""
    with pytest.raises(ConfigError, match=words):
        PcmSource(io.BytesIO(b""), **options)
