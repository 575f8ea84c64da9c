"""The model in torch beside its exported file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgeseq.assets import clip
from edgeseq.errors import EdgeseqError
from edgeseq.profile.eager import EagerSession, with_weights
from edgeseq.profile.feed import chunks_of
from edgeseq.profile.probe import Job, open_session
from edgeseq.runtime import Session
from edgeseq.training.checkpoint import save_checkpoint
from edgeseq_export.package import export
from tests.cli.process import HEAVY, error_of, lines, run_without
from tests.export.integer_models import checkpoint

FAMILIES = ("gru", "transformer", "gru-bytes")


@pytest.fixture(scope="module", params=FAMILIES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.safetensors and the float file model.onnx of it."""
    folder, found = tmp_path_factory.mktemp("eager"), checkpoint(request.param)
    save_checkpoint(folder / "model.safetensors", found.model, found.config, found.facts)
    export(found, folder / "model.onnx", "none")
    return folder


def eager(folder: Path) -> EagerSession:
    return EagerSession(str(folder / "model.onnx"), str(folder / "model.safetensors"), "torch", 1)


def job(path: Path, backend: str = "torch", threads: int = 1) -> Job:
    return Job(str(path), backend, threads, "", None, 10, 1.0)


def test_it_computes_what_its_float_file_computes(exported: Path) -> None:
    here, there = eager(exported), Session(exported / "model.onnx")
    file = clip("passage.txt" if here.manifest.input == "bytes" else "words.wav")
    a, b = here.stepper(), there.stepper()
    for x in chunks_of(here.manifest, str(file))[:60]:
        np.testing.assert_allclose(a.step(x), b.step(x), atol=1e-3)
    for name, value in b.state().items():
        np.testing.assert_allclose(a.state()[name], value, atol=1e-3)
    assert here.golden_error() <= here.manifest.golden.tolerance


def test_streams_are_apart_and_a_reset_one_is_new(exported: Path) -> None:
    session = eager(exported)
    x = session.manifest.inputs[0].zeros()
    fresh = session.stepper().step(x)
    stepper = session.stepper()
    stepper.step(x)
    state = stepper.state()
    second = stepper.step(x)
    # Restored, by the pure step, and from the start.
    stepper.restore(state)
    assert np.array_equal(stepper.step(x), second)
    assert np.array_equal(session.step(x, state)[0], second)
    stepper.reset()
    assert np.array_equal(stepper.step(x), fresh)
    assert np.array_equal(session.stepper().step(x), fresh)


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_weights_of_a_checkpoint_are_prepared_once_for_all_jobs(
    exported: Path, tmp_path: Path
) -> None:
    model, notes = exported / "model.onnx", list[str]()
    wanted = [job(model, "onnx"), job(model), job(model, threads=2)]
    given = str(exported / "model.safetensors")
    onnx, first, second = with_weights(wanted, given, str(tmp_path), notes)
    assert onnx == wanted[0]
    assert (first.threads, second.threads) == (1, 2)
    assert first.weights is not None
    assert first.weights == second.weights
    assert notes == ["torch on a GPU: torch sees none"]
    assert open_session(first).golden_error() < 1e-3


def test_weights_that_are_not_to_be_had_are_asked_for(exported: Path, tmp_path: Path) -> None:
    model = exported / "model.onnx"
    # As an error of the other process, whose words it keeps.
    with pytest.raises(EdgeseqError, match="give the checkpoint"):
        list(with_weights([job(model)], None, str(tmp_path), []))
    with pytest.raises(EdgeseqError, match="cannot be read as a checkpoint"):
        list(with_weights([job(model)], str(tmp_path / "none"), str(tmp_path), []))


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    found, other = checkpoint("gru"), checkpoint("transformer")
    export(found, tmp_path / "model.onnx", "none")
    path = tmp_path / "other.safetensors"
    save_checkpoint(path, other.model, other.config, other.facts)
    with pytest.raises(EdgeseqError, match="has another shape than the model"):
        list(with_weights([job(tmp_path / "model.onnx")], str(path), str(tmp_path), []))


@pytest.mark.slow
def test_a_bundled_model_is_measured_beside_its_float_model_in_torch() -> None:
    done = run_without(
        HEAVY, "profile", "words-gru", "--backends", "onnx,torch", "--rounds", 1, "--steps", 50,
        "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (document,) = lines(done.stdout)
    found = {run["backend"]: run for run in document["runs"]}
    assert {"onnx", "torch"} <= set(found)
    onnx, eager = found["onnx"], found["torch"]
    assert (onnx["quantization"], eager["quantization"]) == ("int8", "none")
    assert eager["weight_bytes"] == 4 * eager["parameters"] > 3 * onnx["weight_bytes"]
    assert [w["label"] for w in onnx["words"]] == [w["label"] for w in eager["words"]]
    assert onnx["metric"] == eager["metric"] > 0.8
    # torch lies in the memory of its own process only.
    assert eager["rss_imported_bytes"] > onnx["rss_imported_bytes"] + 50 * 2**20


def test_torch_is_named_when_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "onnx.py").write_text("raise ImportError(name='onnx')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(EdgeseqError, match=r"needs onnx.*edgeseq\[export\]"):
        list(with_weights([job(tmp_path / "model.onnx")], None, str(tmp_path), []))


def test_errors_come_before_anything_is_measured() -> None:
    done = run_without(HEAVY, "profile", "words-gru", "--backends", "native")
    assert "is not for --backends native, but for onnx" in error_of(done)
    done = run_without(HEAVY, "profile", "--checkpoint", "a.safetensors", "words-gru")
    assert done.returncode == 2
    assert "--checkpoint goes with --backends torch" in done.stderr
