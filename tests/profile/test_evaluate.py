"""Scores of models on data, and states that are followed beside those of another model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgeseq import Session
from edgeseq.errors import ConfigError
from edgeseq.profile.compare import measure
from edgeseq.profile.drift import follow_drift
from edgeseq.profile.evaluate import Score, evaluate, read_data
from tests.graphs import (
    HIGH_HZ,
    HOP,
    LOW_HZ,
    byte_model,
    gru_model,
    level_model,
    silence,
    tone,
    tone_model,
)
from tests.sources.wavbytes import wav


def write_wav(path: Path, samples: npt.NDArray[np.float32]) -> None:
    path.write_bytes(wav((samples * 32767).astype("<i2").tobytes()))


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder for each label; one of the clips of "high" is a low tone."""
    low, high = tone(LOW_HZ, 0.4), tone(HIGH_HZ, 0.4)
    for label, name, samples in (
        ("low", "a", low), ("low", "b", low), ("high", "a", high), ("high", "b", low),
        ("piano", "a", silence(0.4)), ("_background_noise_", "a", silence(0.4)),
    ):  # fmt: skip
        folder = tmp_path / "clips" / label
        folder.mkdir(parents=True, exist_ok=True)
        write_wav(folder / f"{name}.wav", samples)
    (tmp_path / "clips" / "README.md").write_text("not a clip")
    return tmp_path / "clips"


def test_a_folder_of_clips_is_scored_by_right_answers(tmp_path: Path, clips: Path) -> None:
    session = Session(tone_model(tmp_path / "tone.onnx"))
    data = read_data(clips, None, session.manifest)
    assert [label for label, _ in data.clips] == [
        "_background_noise_", "high", "high", "low", "low", "piano",
    ]  # fmt: skip
    # The low tone in "high" is wrong, and so is silence where the unknown "piano" was.
    assert evaluate(session, data).value == pytest.approx(100 * 4 / 6)
    assert len(data.part(2).clips) == 2
    assert data.part(6) is data


def test_a_recording_is_scored_as_compare_does(tmp_path: Path) -> None:
    session = Session(tone_model(tmp_path / "tone.onnx"))
    audio = np.concatenate(
        [silence(1), tone(LOW_HZ, 0.4), silence(1), tone(HIGH_HZ, 0.4), silence(1)]
    )
    write_wav(tmp_path / "a.wav", audio)
    (tmp_path / "a.tsv").write_text("1.0\t1.4\tlow\n2.0\t2.2\tlow\n2.4\t2.8\thigh\n")
    data = read_data(tmp_path / "a.wav", str(tmp_path / "a.tsv"), session.manifest)
    score = evaluate(session, data)
    assert score.words == "2/3, 0 false"
    assert score.value == pytest.approx(100 * 2 * 2 / (3 + 2))


def test_speech_and_text_are_scored(tmp_path: Path) -> None:
    vad = Session(level_model(tmp_path / "vad.onnx"))
    write_wav(tmp_path / "a.wav", np.concatenate([silence(1), tone(LOW_HZ, 1.0), silence(1)]))
    (tmp_path / "a.tsv").write_text("1.0\t2.0\tspeech\n")
    data = read_data(tmp_path / "a.wav", str(tmp_path / "a.tsv"), vad.manifest)
    assert evaluate(vad, data).value > 90
    text = Session(byte_model(tmp_path / "bytes.onnx"))
    (tmp_path / "a.txt").write_text("And the evening and the morning were the first day.")
    score = evaluate(text, read_data(tmp_path / "a.txt", None, text.manifest))
    wanted = measure(tmp_path / "bytes.onnx", "text", str(tmp_path / "a.txt")).bits_per_byte
    assert (score.bits, score.value) == (True, wanted)


def test_losses_are_points_or_percent_of_the_bits() -> None:
    assert Score(93.5, False, "").loss(Score(93.0, False, "")) == pytest.approx(0.5)
    assert Score(2.0, True, "").loss(Score(2.1, True, "")) == pytest.approx(5)
    assert Score(2.0, True, "").loss(Score(1.9, True, "")) < 0


def test_data_that_does_not_fit_the_model_is_told(tmp_path: Path, clips: Path) -> None:
    tones = Session(tone_model(tmp_path / "tone.onnx")).manifest
    text = Session(byte_model(tmp_path / "bytes.onnx")).manifest
    write_wav(tmp_path / "a.wav", tone(LOW_HZ, 0.4))
    (tmp_path / "a.tsv").write_text("1.0\t1.4\tpiano\n")
    (tmp_path / "empty").mkdir()
    for path, labels, manifest, words in (
        ("a.wav", None, tones, "needs --labels TSV"),
        ("a.wav", "a.tsv", tones, "none of the model's words: low, high"),
        ("gone.wav", None, tones, "there is no such file"),
        ("empty", None, tones, "holds no clips"),
        ("clips", None, text, "this is a bytes model"),
        ("a.tsv", "a.tsv", text, "--labels goes with audio"),
    ):
        given = None if labels is None else str(tmp_path / labels)
        with pytest.raises(ConfigError, match=words):
            read_data(tmp_path / path, given, manifest)


def test_states_are_compared_early_and_late_over_the_same_input(tmp_path: Path) -> None:
    wanted = Session(gru_model(tmp_path / "gru.onnx", hidden=8))
    other = Session(gru_model(tmp_path / "other.onnx", hidden=8, seed=1))
    rng = np.random.default_rng(0)
    chunks = [rng.normal(size=(1, 1, HOP)).astype(np.float32) for _ in range(50)]
    told: list[float] = []
    found = follow_drift(wanted, {"same": wanted, "other": other}, chunks, 1200, told.append)
    assert found["same"].early == found["same"].late == 0
    assert found["other"].early > 0.5
    assert found["other"].late == pytest.approx(found["other"].early, rel=0.3)
    assert found["other"].finite
    assert told[0] == 0
    assert max(told) < 1
