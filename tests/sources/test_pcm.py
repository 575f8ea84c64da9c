"""Raw PCM: every format, any cut of the bytes, and wrong guesses."""

from __future__ import annotations

import io
from contextlib import closing
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseq.assets import clip
from edgeseq.errors import AudioError, ConfigError
from edgeseq.sources import FORMATS, PcmDecoder, PcmSource, open_audio

soundfile = pytest.importorskip("soundfile")

LIBSNDFILE = {
    "s16le": ("PCM_16", "LITTLE"),
    "s16be": ("PCM_16", "BIG"),
    "s24le": ("PCM_24", "LITTLE"),
    "s32le": ("PCM_32", "LITTLE"),
    "s24be": ("PCM_24", "BIG"),
    "s32be": ("PCM_32", "BIG"),
    "f32le": ("FLOAT", "LITTLE"),
    "f32be": ("FLOAT", "BIG"),
    "f64le": ("DOUBLE", "LITTLE"),
    "f64be": ("DOUBLE", "BIG"),
    "s8": ("PCM_S8", "FILE"),
    "u8": ("PCM_U8", "FILE"),
    "mulaw": ("ULAW", "FILE"),
    "alaw": ("ALAW", "FILE"),
}


FLOATS = {"f32le": "<f4", "f32be": ">f4", "f64le": "<f8", "f64be": ">f8"}


@pytest.mark.parametrize("format", LIBSNDFILE)
def test_decodes_like_libsndfile(format: str) -> None:
    """F18: also every one of the 256 codes of mu-law and A-law."""
    data = bytes(range(256)) * 6
    if FORMATS[format].is_float:
        kind = FLOATS[format]
        data = np.linspace(-1, 1, 300).astype(kind).tobytes()
    subtype, endian = LIBSNDFILE[format]
    expected, _ = soundfile.read(
        io.BytesIO(data), dtype="float32", channels=1, samplerate=8000, format="RAW",
        subtype=subtype, endian=endian,
    )  # fmt: skip
    np.testing.assert_array_equal(PcmDecoder(format).push(data), expected)


@pytest.mark.parametrize("format", [name for name in FORMATS if name not in LIBSNDFILE])
def test_unsigned_values_are_the_signed_ones_moved_up(format: str) -> None:
    """Silence is the middle of the range, 0 the lowest value."""
    width = FORMATS[format].width
    order: Literal["little", "big"] = "little" if format.endswith("le") else "big"
    top = 1 << (8 * width - 1)
    values = [0, 1, top - 1, top, top + 1, 2 * top - 1, 12345]
    data = b"".join(value.to_bytes(width, order) for value in values)
    expected = np.array([(value - top) / top for value in values], np.float32)
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
        kind = FLOATS[format]
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


@pytest.mark.parametrize("format", FLOATS)
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
        ({"format": "s12"}, "allowed are s16le, s16be"),
        ({"rate": 0}, "allowed are 1000 to 768000"),
        ({"channels": 0}, "at least 1"),
        ({"channel": 1}, "take 0, or 'mix'"),
    ],
)
def test_wrong_options_are_refused_before_reading(options: Any, words: str) -> None:
    """The message tells what is allowed."""
    with pytest.raises(ConfigError, match=words):
        PcmSource(io.BytesIO(b""), **options)


# --- flags that look wrong -----------------------------------------------------------------------

USUAL = ("s16le", "s16be", "s24le", "s32le", "f32le", "u8", "mulaw", "alaw")


@pytest.fixture(scope="module")
def voice() -> npt.NDArray[np.float32]:
    """Ten seconds of real words with pauses, at full scale."""
    path = clip("words.wav")
    assert path is not None
    with closing(open_audio(path)) as source:
        samples = np.concatenate([block.samples for block in source.blocks()])
    return (0.9 * samples / np.abs(samples).max()).astype(np.float32)


def encoded(samples: npt.NDArray[np.float32], format: str) -> bytes:
    width = FORMATS[format].width
    if format in ("mulaw", "alaw"):
        table = FORMATS[format].decode(bytes(range(256)))
        order = np.argsort(table)
        places = np.clip(np.searchsorted(table[order], samples), 0, 255)
        return order[places].astype(np.uint8).tobytes()
    if format in FLOATS:
        return samples.astype(FLOATS[format]).tobytes()
    top = 2 ** (8 * width - 1)
    values = np.clip(np.round(samples.astype(np.float64) * top), -top, top - 1).astype(np.int64)
    values += top if format == "u8" else 0
    low = values.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width]
    return (low if format.endswith("le") else low[:, ::-1]).tobytes()


def notes_of(data: bytes, format: str, channels: int = 1) -> list[str]:
    source = PcmSource(io.BytesIO(data), format, 16000, channels, name="stdin")
    list(source.blocks())
    return source.notes


@pytest.mark.parametrize("gain", [1.0, 0.1])
@pytest.mark.parametrize("true", USUAL)
def test_f18_a_wrong_format_is_told_by_its_sound(
    voice: npt.NDArray[np.float32], true: str, gain: float
) -> None:
    """Speech in each usual format, read as each: the right one is named, never a wrong one."""
    data = encoded(voice * np.float32(gain), true)
    named = 0
    for given_format in USUAL:
        try:
            notes = notes_of(data, given_format)
        except AudioError as error:
            named += "wrong --format" in str(error)
            continue
        assert all(f"is it --format {true} " in note for note in notes), (given_format, notes)
        named += len(notes)
        assert not notes or given_format != true
    # mu-law, A-law and 8 bits sound alike at times; most mistakes must be told.
    assert named >= 5


def test_f18_two_channels_given_as_one_are_told(voice: npt.NDArray[np.float32]) -> None:
    """Both sides equal, and two voices."""
    twice = np.repeat(voice, 2)
    (note,) = notes_of(encoded(twice, "s16le"), "s16le")
    assert "every sample comes twice; is it --channels 2 --format s16le?" in note
    two = np.stack([voice, np.roll(voice, 50_000)], axis=1).reshape(-1)
    (note,) = notes_of(encoded(two, "s16le"), "s16le")
    assert "is it --format s16le --channels 2?" in note
    assert notes_of(encoded(two, "s16le"), "s16le", channels=2) == []


@pytest.mark.parametrize("level", [0.001, 0.05, 0.3])
def test_noise_is_not_taken_for_a_wrong_format(level: float) -> None:
    """Rain sounds like noise in every format."""
    rain = np.random.default_rng(0).normal(0, level, 200_000).clip(-1, 1).astype(np.float32)
    for format in USUAL:
        assert notes_of(encoded(rain, format), format) == []
    assert notes_of(bytes(200_000), "s16le") == []
