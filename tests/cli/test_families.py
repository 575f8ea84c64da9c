"""Linear and hybrid models through every command: export, verify, info, stream, compare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from edgeseq.models import ByteEmbeddingConfig, HybridConfig, LinearRnnConfig, ModelConfig
from edgeseq.training.checkpoint import save_checkpoint
from tests.cli.process import call, lines

ENCODERS = {
    "linear": LinearRnnConfig(24, dim=32, layers=2, feed_forward=48),
    "hybrid": HybridConfig(
        24, dim=32, layers=("linear", "attention"), heads=4, window=12, feed_forward=48,
        kv_heads=2, sinks=1, dilation=2,
    ),
}  # fmt: skip
STATE = {"linear": 4 * 2 * (32 + 3 * 32), "hybrid": 8 + 4 * (2 * 3 * 32 + 32 + 2 * 2 * 24 * 8)}
TEXT = b"And God said, Let there be light: and there was light.\n"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint and an int8 file of each."""
    folder = tmp_path_factory.mktemp("families")
    for name, encoder in ENCODERS.items():
        torch.manual_seed(1)
        config = ModelConfig(ByteEmbeddingConfig(24), encoder, 256)
        facts = {
            "name": name, "task": "bytes", "labels": [], "decoding": {}, "licence": "CC0-1.0",
            "edgeseq": "0.1.0", "steps": 0, "seed": 1,
            "data": [{"name": "none", "licence": "CC0-1.0", "attribution": "random weights"}],
        }  # fmt: skip
        save_checkpoint(folder / f"{name}.safetensors", config.build().eval(), config, facts)
        done = call("export", folder / f"{name}.safetensors", "-o", folder / f"{name}.onnx")
        assert done.returncode == 0, done.stderr
    (folder / "text.txt").write_bytes(TEXT)
    return folder


@pytest.mark.parametrize("name", ENCODERS)
def test_verify_info_and_stream(saved: Path, name: str) -> None:
    path = saved / f"{name}.onnx"
    done = call("verify", path, "--checkpoint", saved / f"{name}.safetensors")
    assert done.returncode == 0, done.stderr
    info = call("info", path)
    assert info.returncode == 0
    assert f"{name}\n" in info.stdout.replace(" ", "")
    assert f"{STATE[name]:,}" in info.stdout
    stream = call("stream", path, "--text", saved / "text.txt", "--json")
    assert stream.returncode == 0, stream.stderr
    assert len(lines(stream.stdout)) >= len(TEXT) - 1


def test_compare_shows_both(saved: Path) -> None:
    files = [saved / f"{name}.onnx" for name in ENCODERS]
    done = call("compare", *files, "--text", saved / "text.txt", "--rounds", 1, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["models"]
    assert [row["family"] for row in rows] == list(ENCODERS)
    assert [row["state_bytes"] for row in rows] == list(STATE.values())


@pytest.mark.parametrize("name", ENCODERS)
def test_firmware_says_that_it_has_no_such_layer(saved: Path, name: str, tmp_path: Path) -> None:
    checkpoint = saved / f"{name}.safetensors"
    done = call("export", checkpoint, "--target", "firmware", "-o", tmp_path / "out")
    assert (done.returncode, done.stdout) == (1, "")
    assert "has no integer definition" in done.stderr
    assert not (tmp_path / "out").exists()
