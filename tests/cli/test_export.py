"""`edgeseq export --target firmware` from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

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
