"""`edgeseq export --target firmware` from the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from edgeseq.assets import bundled
from edgeseq.decoding import VadDecoding
from edgeseq.training.checkpoint import save_checkpoint
from tests.cli.process import call, error_of, run
from tests.export.integer_models import checkpoint


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint on disk."""
    path = tmp_path_factory.mktemp("export") / "model.safetensors"
    made = checkpoint("gru")
    save_checkpoint(path, made.model, made.config, made.facts)
    return path


def test_firmware_folder_and_one_line_about_it(saved: Path, tmp_path: Path) -> None:
    done = call("export", saved, "--target", "firmware", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'out'}\n"
    assert "bytes of const data" in done.stderr
    assert (tmp_path / "out" / "model_data.c").exists()


def test_another_recording_gives_other_scales(saved: Path, tmp_path: Path) -> None:
    from edgeseq.assets import clip

    wav = clip("words.wav")
    call("export", saved, "--target", "firmware", "-o", tmp_path / "a", "--calibration", wav)
    call("export", saved, "--target", "firmware", "-o", tmp_path / "b")
    short = tmp_path / "short.wav"
    assert wav is not None
    short.write_bytes(wav.read_bytes()[: 44 + 64000])  # its header promises more; two seconds lie
    call("export", saved, "--target", "firmware", "-o", tmp_path / "c", "--calibration", short)
    a, b, c = ((tmp_path / name / "model_data.c").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_options_of_the_other_target_are_refused(saved: Path) -> None:
    done = call("export", saved, "--target", "firmware", "--quantize", "int8")
    assert done.returncode == 2
    assert "--quantize is only for --target onnx" in done.stderr
    done = call("export", saved, "--calibration", __file__)
    assert done.returncode == 2
    assert "--calibration is only for --target native or firmware" in done.stderr


def test_a_file_that_is_no_checkpoint_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "no.safetensors"
    path.write_bytes(b"no")
    assert "checkpoint" in error_of(run("export", path, "--target", "firmware"))


SETTINGS = """task = "vad"
licence = "x"
[model.frontend]
kind = "logmel"
[model.encoder]
kind = "gru"
[decoding]
on = 0.9
min_speech_s = 0.2
"""


def test_a_model_file_takes_other_decoder_settings(tmp_path: Path) -> None:
    """The same weights; what the recipe leaves out is as in a new export."""
    from edgeseq import Session

    (tmp_path / "own.toml").write_text(SETTINGS)
    recipe, out = tmp_path / "own.toml", tmp_path / "own.onnx"
    done = run("export", "vad-gru", "--decoding", recipe, "-o", out)
    assert done.stdout == f"{out}\n"
    old, new = Session(bundled()["vad-gru"]).manifest, Session(out).manifest
    assert isinstance(new.decoding, VadDecoding)
    assert (new.decoding.on, new.decoding.min_speech_s, new.decoding.off) == (0.9, 0.2, 0.35)
    assert replace(new, decoding=old.decoding) == old
    assert "golden" in run("verify", out).stdout
    graphs = [onnx.load(path).graph for path in (bundled()["vad-gru"], out)]
    assert graphs[0] == graphs[1]


def test_a_model_file_is_not_exported_anew(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(SETTINGS)
    recipe, out = tmp_path / "own.toml", tmp_path / "own.onnx"
    assert "--decoding alone" in error_of(run("export", "vad-gru", "-o", out))
    done = call("export", "vad-gru", "--decoding", recipe, "--quantize", "int8", "-o", out)
    assert done.returncode == 2
    assert "--quantize needs the checkpoint" in done.stderr
    wrong = SETTINGS.replace("on = 0.9", "on = 7")
    recipe.write_text(wrong)
    assert "decoding.on: is 7" in error_of(run("export", "vad-gru", "--decoding", recipe))
    assert not out.exists()
