"""`edgeseq info` and the look-up of bundled models."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from edgeseq import assets
from edgeseq.errors import ManifestError
from tests.cli.conftest import Kit
from tests.cli.process import HEAVY, call, run_without


def test_info_needs_no_runtime_and_tells_the_contract(kit: Kit) -> None:
    done = run_without((*HEAVY, "onnxruntime"), "info", kit.words)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split(None, 1) for line in done.stdout.splitlines()]
    for name, value in [
        ("labels", "_silence_, _unknown_, yes, no, stop"),
        ("hop", "10 ms (160 samples)"),
        ("window", "10 ms (160 samples)"),
        ("input", "x  float32[1, 1, 160]  640 bytes"),
        ("output", "y  float32[1, 1, 5]  20 bytes"),
        ("state", "rnn.1.h  float32[1, 16]  64 bytes, begins as 0.25"),
        ("MACs", "1,000 per step, 100,000 per second"),
        ("licence", "MIT"),
        ("data", "none (CC0): nobody"),
    ]:
        assert [name, value] in rows
    assert "algorithmic latency  10 ms" in done.stdout
    assert "yes above 0.4" in done.stdout
    assert hashlib.sha256(kit.words.read_bytes()).hexdigest() in done.stdout


def test_json_holds_the_manifest_without_golden_data(kit: Kit) -> None:
    document = json.loads(call("info", kit.words, "--json").stdout)
    assert document["file_bytes"] == kit.words.stat().st_size
    assert document["state_bytes"] == 136
    assert document["macs_per_second"] == 100_000
    assert document["manifest"]["name"] == "words"
    assert document["manifest"]["golden"]["x"].keys() == {"shape", "dtype"}


def test_info_of_a_byte_model(kit: Kit) -> None:
    done = call("info", kit.bytes)
    assert "256 byte values" in done.stdout
    assert "1 byte\n" in done.stdout
    assert json.loads(call("info", kit.bytes, "--json").stdout)["hop_ms"] is None


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    bundle = tmp_path / "assets"
    bundle.mkdir()
    for name in ("words-gru", "words-transformer", "vad-gru"):
        (bundle / f"{name}.onnx").write_bytes(b"x")
    monkeypatch.setattr(assets, "FOLDER", bundle)
    monkeypatch.chdir(tmp_path)
    return bundle


def test_a_bundled_name_and_a_path_are_found(folder: Path) -> None:
    assert list(assets.bundled()) == ["vad-gru", "words-gru", "words-transformer"]
    assert assets.resolve("vad-gru") == folder / "vad-gru.onnx"
    assert assets.resolve("assets/vad-gru.onnx") == Path("assets/vad-gru.onnx")
    assert [path.stem for path in assets.default(text=False)] == list(assets.DEFAULT_AUDIO)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("words-grus", "did you mean words-gru"),
        ("assets/vad_gru.onnx", "did you mean assets/vad-gru.onnx"),
        ("qqqqqqqqqq", "bundled are: vad-gru, words-gru, words-transformer"),
        ("no/such/folder.onnx", "no such model file"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_near_miss_is_suggested(wanted: str, words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        assets.resolve(wanted)


@pytest.mark.usefixtures("folder")
def test_no_bundled_text_model_is_an_error() -> None:
    with pytest.raises(ManifestError, match="no bundled model for text"):
        assets.default(text=True)


def test_a_clip_that_is_not_there_is_none(folder: Path) -> None:
    assert assets.clip("words.wav") is None
    (folder / "clips").mkdir()
    (folder / "clips" / "words.wav").write_bytes(b"x")
    assert assets.clip("words.wav") == folder / "clips" / "words.wav"
