"""A Session says clearly why a file cannot be used, and shares one model between streams."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto

from edgeseq.errors import ConfigError, ManifestError
from edgeseq.runtime import Session, golden_arrays, read_manifest
from tests import graphs

MODELS = {
    "gru": graphs.gru_model,
    "gru_chunk3": lambda path: graphs.gru_model(path, chunk=3),
    "tone_sub2": lambda path: graphs.tone_model(path, chunk=4, subsampling=2),
    "level": graphs.level_model,
    "bytes": lambda path: graphs.byte_model(path, chunk=2),
}


@pytest.fixture(scope="module")
def gru(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graphs.gru_model(tmp_path_factory.mktemp("models") / "gru.onnx")


@pytest.fixture(scope="module")
def session(gru: Path) -> Session:
    return Session(gru)


def _inputs(session: Session, steps: int, seed: int = 0) -> list[npt.NDArray[Any]]:
    draw = np.random.default_rng(seed)
    shape = session.manifest.inputs[0].bound(1)
    return [draw.normal(size=shape).astype(np.float32) for _ in range(steps)]


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_the_golden_comes_out(name: str, tmp_path: Path) -> None:
    """F26: the file alone is enough to get the right numbers."""
    session = Session(MODELS[name](tmp_path / f"{name}.onnx"))
    assert session.golden_error() <= session.manifest.golden.tolerance
    x, y = golden_arrays(session.manifest)
    assert x.shape[1] == 3 * session.manifest.timing.chunk
    assert y.dtype == np.float32


def refused(path: Path, *words: str) -> None:
    with pytest.raises(ManifestError) as caught:
        Session(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_path_that_is_no_model_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.onnx", "no such model file")
    refused(tmp_path, "is a directory")
    for name, data, word in [
        ("a.onnx", b"", "is empty"),
        ("b.onnx", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        ("c.wav", b"RIFF", "must end in .onnx or .esq, not '.wav'"),
        ("d.onnx", b"<html><body>404</body></html>", "is not an ONNX file, or is damaged"),
        ("e.onnx", b"\x00" * 100, "is not an ONNX file, or is damaged"),
        ("f.onnx", b"\xff" * 100, "is not an ONNX file, or is damaged"),
        ("g.onnx", b"\x08\x08", "it holds no graph"),
    ]:
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name, word)


def test_a_file_cut_anywhere_is_refused(gru: Path, tmp_path: Path) -> None:
    """F17 for models: a download that broke off."""
    data, cut = gru.read_bytes(), tmp_path / "cut.onnx"
    for size in [*range(1, 60), *range(60, len(data), 997), len(data) - 1]:
        cut.write_bytes(data[:size])
        refused(cut)


def test_a_file_of_someone_else_is_refused(gru: Path, tmp_path: Path) -> None:
    model = onnx.load(gru)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "plain.onnx")
    refused(tmp_path / "plain.onnx", "no metadata 'edgeseq.manifest'")
    onnx.save(
        model,
        tmp_path / "outside.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    refused(tmp_path / "outside.onnx", "external data", "export it as one file")


def test_a_manifest_of_another_version_or_model_is_refused(gru: Path, tmp_path: Path) -> None:
    """F27."""
    document = json.loads(read_manifest(gru).to_json())
    target = tmp_path / "other.onnx"

    def rewritten(**change: Any) -> Path:
        return graphs.rewrite_manifest(gru, target, json.dumps({**document, **change}))

    refused(rewritten(format=2), "manifest.format: is 2", "needs edgeseq >= 0.1.0")
    refused(rewritten(parameters=None), "manifest.parameters: is null")
    state = [{**t, "shape": ["B", 8]} if t["name"] == "rnn.1.h" else t for t in document["state"]]
    refused(
        rewritten(state=state),
        "graph input 'state.rnn.1.h' is float32[1, 16]",
        "the manifest says float32[1, 8]",
    )
    refused(rewritten(state=document["state"][:-1]), "the manifest says there is none")
    extra = {"name": "extra", "shape": ["B", 1], "dtype": "float32", "fill": 0}
    refused(rewritten(state=[*document["state"], extra]), "graph input 'state.extra' is missing")


def test_a_graph_that_onnxruntime_cannot_load_is_refused(gru: Path, tmp_path: Path) -> None:
    """F61: the message names the version of the runtime."""
    model = onnx.load(gru)
    model.graph.node[-1].op_type = "NoSuchOperator"
    onnx.save(model, tmp_path / "op.onnx")
    refused(tmp_path / "op.onnx", "onnxruntime ", "cannot load it", "NoSuchOperator")
    model = onnx.load(gru)
    model.ir_version = 99
    onnx.save(model, tmp_path / "ir.onnx")
    refused(tmp_path / "ir.onnx", "onnxruntime ", "99")


def test_a_constant_outside_the_file_is_refused_by_name(gru: Path, tmp_path: Path) -> None:
    model = onnx.load(gru)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    (tmp_path / "loc.onnx").write_bytes(model.SerializeToString())
    refused(tmp_path / "loc.onnx", "external data")


def test_options_are_checked(gru: Path) -> None:
    with pytest.raises(ConfigError, match="backend is 'tpu', must be one of auto, onnx, native"):
        Session(gru, backend="tpu")
    with pytest.raises(ConfigError, match="threads is 0, must be at least 1"):
        Session(gru, threads=0)
    assert Session(str(gru), "onnx", 2).backend == "onnx"


# --- steps ---------------------------------------------------------------------------------------


def test_fill_is_the_start_value(session: Session) -> None:
    assert np.all(session.initial_state()["rnn.1.h"] == 0.25)
    stepper = session.stepper()
    assert np.all(stepper.state()["rnn.1.h"] == 0.25)
    stepper.step(_inputs(session, 1)[0])
    stepper.reset()
    assert np.all(stepper.state()["rnn.1.h"] == 0.25)


def test_a_model_without_state_runs(tmp_path: Path) -> None:
    graph = graphs.Graph()
    weight = graph.const(np.eye(160, 2))
    graph.logits([graph.op("MatMul", graph.frames("x", 1, 160)[0], weight)], 2)
    timing = graphs.Timing(graphs.RATE, 160, 160)
    path = graphs.save(
        tmp_path / "none.onnx", graph, "gru", "vad", ("_silence_", "speech"), timing, [], graphs.VAD
    )
    session = Session(path)
    stepper = session.stepper()
    for x in _inputs(session, 3):
        assert np.array_equal(stepper.step(x)[0, 0], x[0, 0, :2])
    assert stepper.state() == {}


# --- weight of imports ---------------------------------------------------------------------------


def _python(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_and_reading_a_manifest_load_nothing_heavy(gru: Path) -> None:
    """F23: and a stream runs without torch, onnx, soundfile and sounddevice."""
    code = """
import sys
for name in ("torch", "onnx", "soundfile", "sounddevice", "lightning"):
    sys.modules[name] = None
import edgeseq, numpy
from edgeseq.runtime import read_manifest
assert read_manifest(sys.argv[1]).name == "gru"
assert not {"onnxruntime", "soxr", "click", "rich"} & set(sys.modules)
stream = edgeseq.load(sys.argv[1])
stream.push(numpy.zeros(16000, "float32"))
print("onnxruntime" in sys.modules)
"""
    assert _python(code, gru) == "True"


@pytest.mark.slow
def test_sessions_and_steps_do_not_leak(gru: Path) -> None:
    """F41: 200 sessions, then 20,000 steps with changing input."""
    code = """
import sys, gc
import numpy as np
from edgeseq import Session

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4

draw = np.random.default_rng(0)
for _ in range(50):
    Session(sys.argv[1]).stepper()
first = resident()
for _ in range(200):
    Session(sys.argv[1]).stepper()
second = resident()
stepper = Session(sys.argv[1]).stepper()
xs = draw.normal(size=(1000, 1, 1, 160)).astype(np.float32)
for x in xs:
    stepper.step(x)
third = resident()
for i in range(20):
    for x in xs:
        stepper.step(x)
print(second - first, resident() - third)
"""
    sessions, steps = map(int, _python(code, gru).split())
    assert sessions < 2000
    assert steps < 100
