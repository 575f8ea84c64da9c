"""`edgeseq quantize` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeseq import Session
from edgeseq.assets import bundled
from edgeseq.runtime.proof import verify_golden
from edgeseq.training.checkpoint import save_checkpoint
from tests.cli.process import call
from tests.export.test_export import make_checkpoint

QUICK = ("--rounds", 1, "--drift-steps", 40, "--no-sensitivity")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a byte model on disk, which the bundled passage judges."""
    path = tmp_path_factory.mktemp("quantize") / "model.safetensors"
    made = make_checkpoint("gru-bytes")
    save_checkpoint(path, made.model, made.config, made.facts)
    return path


def test_schemes_stand_beside_float_and_their_files_verify(saved: Path, tmp_path: Path) -> None:
    schemes = ("--scheme", "int4", "--scheme", "int8")
    done = call("quantize", saved, *schemes, *QUICK, "--json", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [row["scheme"] for row in document["schemes"]] == ["none", "int8", "int4"]
    base, int8, int4 = document["schemes"]
    assert base["ratio"] == 1
    assert base["loss"] == 0
    assert int4["ratio"] < int8["ratio"] < 0.4
    assert int4["moved"] > int8["moved"] > 0
    assert int8["refused"] == int4["refused"] == ""
    assert "products may use" in document["caption"]
    for row in (int8, int4):
        path = tmp_path / "out" / f"gru-bytes-{row['scheme']}.onnx"
        assert str(path) in done.stderr
        assert path.stat().st_size == row["file_bytes"]
        session = Session(path)
        assert session.manifest.quantization.scheme == row["scheme"]
        assert verify_golden(session).good
        assert f"  {row['scheme']}: " in call("info", path).stdout


@pytest.mark.slow
def test_a_mixture_keeps_what_hurts_within_the_loss_allowed(tmp_path: Path) -> None:
    """Four bits everywhere cost bytes-gru 0.4 % of its bits per byte on the bundled passage."""
    options = ("--scheme", "int4", "--scheme", "mixed", "--max-loss", 0.2, *QUICK[:-1])
    out = tmp_path / "out"
    done = call("quantize", "bytes-gru", *options, "--json", "-o", out)
    assert done.returncode == 1
    assert "int4 loses" in done.stderr
    assert "(--max-loss)" in done.stderr
    document = json.loads(done.stdout)
    rows = {row["scheme"]: row for row in document["schemes"]}
    assert rows["int4"]["loss"] > 0.2
    assert rows["mixed"]["loss"] <= 0.2
    assert rows["int4"]["file_bytes"] < rows["mixed"]["file_bytes"] < rows["none"]["file_bytes"]
    assert [path.name for path in out.iterdir()] == ["bytes-gru-mixed.onnx"]
    assert {row["weight"] for row in document["sensitivity"]} == set(document["plan"])
    # The strongest effect goes first.
    strongest = max(document["sensitivity"], key=lambda e: (e["form"] == "int4", e["moved"]))
    assert document["plan"][strongest["weight"]] != "int4"
    assert verify_golden(Session(out / "bytes-gru-mixed.onnx")).good


def test_tables_in_words(saved: Path) -> None:
    done = call("quantize", saved, "--scheme", "fp16", "--rounds", 1, "--drift-steps", 40)
    assert done.returncode == 0, done.stderr
    for words in (
        "bits per byte", "share of float", "states off, last pass", "each weight alone",
        "encoder.0.recurrent", "widened to float32", "onnxruntime",
    ):  # fmt: skip
        assert words in done.stdout, words


def test_usage_that_cannot_be_is_told_before_anything_is_done(saved: Path, tmp_path: Path) -> None:
    for options, words in (
        (("--scheme", "mixed"), "needs --max-loss"),
        (("--scheme", "mixed", "--max-loss", 1, "--no-sensitivity"), "needs the sensitivity"),
        (("-o", tmp_path / "a.onnx"), "give one --scheme, or a folder"),
        (("--scheme", "int3"), "is not one of"),
    ):
        done = call("quantize", saved, *options)
        assert done.returncode == 2, options
        assert words in " ".join(done.stderr.split()), options


def test_input_that_cannot_be_is_one_line(tmp_path: Path, saved: Path) -> None:
    for options, words in (
        ((tmp_path / "gone.safetensors",), "gone.safetensors"),
        ((bundled()["words-gru"], "--eval", tmp_path / "gone.wav"), "there is no such file"),
        ((saved, "--scheme", "int8", "-o", tmp_path / "no" / "a.onnx"), "make it first"),
    ):
        done = call("quantize", *options)
        assert done.returncode == 1, options
        assert words in done.stderr.splitlines()[-1], options
        assert done.stderr.splitlines()[-1].startswith("edgeseq: error: ")
