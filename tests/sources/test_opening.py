"""From any path or pipe to the right reader, by the bytes alone."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgeseq.errors import AudioError, MissingExtraError
from edgeseq.sources import PcmSource, Source, WavSource, open_audio, opening
from tests.sources.wavbytes import speech, wav

soundfile = pytest.importorskip("soundfile")

SIGNAL = speech(16000).astype(np.float32) / 2**15


def read(source: Source) -> npt.NDArray[np.float32]:
    """All samples of a source."""
    parts = [block.samples for block in source.blocks()]
    source.close()
    return np.concatenate(parts).astype(np.float32)


def stored(folder: Path, data: bytes, name: str = "a.wav") -> Path:
    """A file that holds `data`."""
    path = folder / name
    path.write_bytes(data)
    return path


def coded(container: str, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    if container == "OPUS":
        container, subtype = "OGG", "OPUS"
    soundfile.write(file, SIGNAL, 16000, subtype, format=container)
    return file.getvalue()


def use_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_a_wav_is_known_under_any_name(tmp_path: Path) -> None:
    """The ending of the name does not matter."""
    source = open_audio(stored(tmp_path, wav(speech(16000).tobytes()), "a.flac"))
    assert isinstance(source, WavSource)
    np.testing.assert_array_equal(read(source), SIGNAL)


@pytest.mark.parametrize(
    ("container", "exact"),
    [("FLAC", True), ("AIFF", True), ("AU", True), ("CAF", True), ("W64", True),
     ("OGG", False), ("OPUS", False), ("MP3", False)],
)  # fmt: skip
@pytest.mark.parametrize("through", ["file", "stdin"])
def test_coded_audio_goes_through_soundfile(
    container: str, exact: bool, through: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F12: under the wrong name and from a pipe too."""
    data = coded(container)
    use_stdin(monkeypatch, data)
    source = open_audio(stored(tmp_path, data) if through == "file" else "-")
    samples = read(source)
    assert source.sample_rate == 16000
    if exact:
        np.testing.assert_array_equal(samples, SIGNAL)
    else:
        expected, _ = soundfile.read(io.BytesIO(data), dtype="float32")
        # libmpg123 differs in the last bit with the size of the reads.
        np.testing.assert_allclose(samples, expected, rtol=0, atol=1e-6)


def test_a_broken_flac_is_one_line(tmp_path: Path) -> None:
    """F17: damaged after its first bytes."""
    with pytest.raises(AudioError, match="cannot be decoded as FLAC") as error:
        open_audio(stored(tmp_path, coded("FLAC")[:20]))
    assert "\n" not in str(error.value)


def test_coded_audio_that_was_cut_is_never_short_without_a_word(tmp_path: Path) -> None:
    """F17: FLAC ends in an error, an MP3 that knows its length in a note."""
    data = coded("FLAC")
    with (
        closing(open_audio(stored(tmp_path, data[: len(data) // 2]))) as source,
        pytest.raises(AudioError, match="cannot be decoded as FLAC"),
    ):
        list(source.blocks())
    data = coded("MP3")
    with closing(open_audio(stored(tmp_path, data[: len(data) // 2]))) as source:
        assert list(source.blocks())
        assert "cut short: 16000 samples expected" in source.notes[0]


def test_coded_audio_without_soundfile_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F9, F23: WAV needs nothing, the rest says what to install."""
    monkeypatch.setitem(sys.modules, "soundfile", None)
    np.testing.assert_array_equal(
        read(open_audio(stored(tmp_path, wav(speech(16000).tobytes())))), SIGNAL
    )
    with pytest.raises(MissingExtraError, match=r"pip install 'edgeseq\[audio\]'"):
        open_audio(stored(tmp_path, b"fLaC" + bytes(40)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty, 0 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "text, not audio"),
        ("\ufeffGrüße aus dem Ordner".encode(), "text, not audio"),
        (b"RIFF\0\0\0\0AVI LIST", "RIFF file of type b'AVI '"),
        (b"\0\0\0\x18ftypM4A \0\0", "MP4"),
        (b"\x1aE\xdf\xa3" + bytes(20), "WebM"),
        (b"RIFF\x10", "no WAV header"),
        (bytes(100), "not a known audio format"),
    ],
)
def test_what_is_no_audio_is_said(tmp_path: Path, data: bytes, words: str) -> None:
    """F17: one line that tells what it is."""
    with pytest.raises(AudioError) as error:
        open_audio(stored(tmp_path, data))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("missing", ["gone.wav", "."])
def test_a_path_that_does_not_open_is_named(tmp_path: Path, missing: str) -> None:
    """With the reason of the system."""
    with pytest.raises(AudioError, match="cannot be opened"):
        open_audio(tmp_path / missing)


def test_raw_pcm_needs_a_format_in_a_file(tmp_path: Path) -> None:
    """F18: and quiet mu-law that looks like text is believed."""
    source = open_audio(stored(tmp_path, b"~~~~}}}}||||{{{{"), format="mulaw", rate=8000)
    assert isinstance(source, PcmSource)
    assert source.sample_rate == 8000
    assert len(read(source)) == 16


def test_stdin_takes_unknown_bytes_as_raw_pcm(monkeypatch: pytest.MonkeyPatch) -> None:
    """F14: a WAV is known on a pipe, everything else is s16le until told otherwise."""
    use_stdin(monkeypatch, speech(16000).tobytes())
    np.testing.assert_array_equal(read(open_audio("-")), SIGNAL)
    use_stdin(monkeypatch, wav(speech(16000).tobytes(), size=0xFFFFFFFF))
    np.testing.assert_array_equal(read(open_audio("-")), SIGNAL)
    assert not sys.stdin.closed


def test_a_header_beats_the_options_of_raw_pcm(tmp_path: Path) -> None:
    """F18: said in a note, not obeyed in silence."""
    source = open_audio(stored(tmp_path, wav(speech(16000).tobytes())), format="f32le", rate=8000)
    np.testing.assert_array_equal(read(source), SIGNAL)
    assert any("ignored" in note for note in source.notes)


def test_closed_stdin_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a service manager."""
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(AudioError, match="standard input is closed"):
        open_audio("-")


LISTEN = """
import sys
from edgeseq.sources import open_audio
source = open_audio("-", format=sys.argv[1] if len(sys.argv) > 1 else None)
for block in source.blocks():
    print(len(block.samples), source.live, flush=True)
"""


@pytest.mark.parametrize("kind", ["wav", "raw", "raw with format"])
def test_a_slow_pipe_gives_blocks_as_they_come(kind: str) -> None:
    """F14, F19: the first 20 ms are there while the pipe stays open and silent."""
    data = speech(320).tobytes()
    first = wav(b"", size=0xFFFFFFFF) + data if kind == "wav" else data
    options = ["s16le"] if kind == "raw with format" else []
    process: Any
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        count = 0
        process.stdin.write(first)
        process.stdin.flush()
        while count < 320:
            samples, live = process.stdout.readline().split()
            assert live == b"True"
            count += int(samples)
        process.stdin.write(data)
        process.stdin.close()
        count += sum(int(line.split()[0]) for line in process.stdout)
    assert count == 640
    assert process.returncode == 0


def test_compressed_audio_through_a_pipe_has_a_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is held in memory; a file of the same size is not."""
    monkeypatch.setattr(opening, "MOST_CODED_BYTES", 5000)
    data = coded("FLAC")
    assert len(data) > 5000
    use_stdin(monkeypatch, data)
    with pytest.raises(AudioError, match=r"may have 5,000 bytes; name the file"):
        open_audio("-")
    assert len(read(open_audio(stored(tmp_path, data)))) == 16000
