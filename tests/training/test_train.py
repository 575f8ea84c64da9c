"""`edgeseq train` to `export` to `verify`, with an interruption, as a user runs them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

RECIPE = """
name = "tiny"
task = "bytes"
licence = "Apache-2.0"
[model.frontend]
kind = "bytes"
dim = 8
[model.encoder]
kind = "gru"
hidden = 16
layers = 2
dropout = 0.1
[train]
optimizer = "muon"
steps = 300
validate_every = 50
batch = 8
length = 32
warmup_steps = 5
[[data]]
path = "text"
reader = "text"
role = "text"
licence = "Apache-2.0"
attribution = "The Apache Software Foundation"
"""
PATIENCE_SECONDS = 120


def edgeseq(*words: str) -> list[str]:
    """The command line of one edgeseq command."""
    return [sys.executable, "-m", "edgeseq", *words]


@pytest.mark.slow
def test_interrupted_training_goes_on_exactly(tmp_path: Path) -> None:
    """Weights after interrupt and resume equal those of a run that was never stopped."""
    (tmp_path / "text").mkdir()
    licence = Path(__file__).parents[2] / "LICENSE"
    (tmp_path / "text" / "licence.txt").write_bytes(licence.read_bytes())
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE, encoding="utf-8")

    def train(out: str) -> list[str]:
        return edgeseq(
            "train", str(recipe), "--data", str(tmp_path), "--out", str(tmp_path / out),
            "--threads", "1", "--no-progress",
        )  # fmt: skip

    whole = subprocess.run(train("whole"), capture_output=True, text=True, check=True)
    assert whole.stdout.strip() == str(tmp_path / "whole" / "model.safetensors")
    with subprocess.Popen(train("cut"), stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (tmp_path / "cut" / "last.ckpt").exists():
            assert time.monotonic() < deadline, "no checkpoint appeared"
            assert process.poll() is None, "training ended before it could be interrupted"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, words
    assert "the same command goes on from" in words
    assert "Traceback" not in words
    subprocess.run(train("cut"), capture_output=True, text=True, check=True)
    a = load_file(tmp_path / "whole" / "model.safetensors")
    b = load_file(tmp_path / "cut" / "model.safetensors")
    assert all((a[name] == b[name]).all() for name in a)

    model = tmp_path / "tiny.onnx"
    checkpoint = str(tmp_path / "whole" / "model.safetensors")
    export = edgeseq("export", checkpoint, "-o", str(model), "--quantize", "int8")
    subprocess.run(export, check=True)
    proof = subprocess.run(
        edgeseq("verify", str(model), "--checkpoint", checkpoint), capture_output=True, text=True
    )
    assert proof.returncode == 0, proof.stderr
    assert "encoder.1.h" in proof.stdout
    other = tmp_path / "other.toml"
    other.write_text(RECIPE.replace("hidden = 16", "hidden = 24"), encoding="utf-8")
    refused = train("whole")
    refused[refused.index(str(recipe))] = str(other)
    again = subprocess.run(refused, capture_output=True, text=True)
    assert again.returncode == 1
    assert "holds a run of another recipe" in again.stderr
