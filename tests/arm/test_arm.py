"""edgeseq on ARM: installed, streamed, verified and profiled in emulated 64-bit and 32-bit systems.

Results must be those of this machine: every bit of the native engine's, and the events of
onnxruntime, whose int8 kernels for ARM round otherwise. Times are those of an emulator: the profile
says so, and nothing here looks at them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseq.assets import bundled, clip
from edgeseq.profile.document import check
from edgeseq_export.native import export_native
from edgeseq_export.read_back import read_back
from tests.arm import logits
from tests.arm.root import KINDS, System
from tests.cli.process import call, lines

pytestmark = pytest.mark.qemu

NAMES = ("words-gru", "words-transformer")

ORT_LIMIT = 0.02
"""Largest RMS difference of onnxruntime's int8 logits over their RMS, the state carried along."""


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The bundled keyword models as .esq files, made here: a 32-bit system has no exporter."""
    folder = tmp_path_factory.mktemp("native")
    for name in NAMES:
        export_native(read_back(bundled()[name]), folder / f"{name}.esq")
    return [folder / f"{name}.esq" for name in NAMES]


@pytest.fixture(scope="module", params=KINDS)
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> System:
    """This checkout installed on ARM by pip, engine included."""
    return System(request.param, tmp_path_factory.mktemp(request.param) / "venv")


@pytest.fixture
def models(system: System, native: list[Path]) -> list[str]:
    """What the system can run: 32-bit ones have no onnxruntime."""
    files = [str(path) for path in native]
    return [*map(str, map(bundled().get, NAMES)), *files] if system.kind.wheels else files


def wav() -> str:
    found = clip("words.wav")
    assert found is not None
    return str(found)


def test_it_is_another_processor_and_nothing_needed_is_missing(system: System) -> None:
    done = system.run("edgeseq", "doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = {(f["check"], f["state"]): f["words"] for f in lines(done.stdout)}
    assert f"emulated by {system.kind.emulator}" in found["processor", "warn"]
    bits = "64-bit aarch64" if system.kind.wheels else "32-bit armv7l"
    assert bits in found["python", "good" if system.kind.wheels else "warn"]
    # Kernels of plain C would mean that the flags of the processor are not seen.
    assert found["engine", "good"] in (
        "native engine with dotprod kernels",
        "native engine with dsp kernels",
    )


def test_every_logit_is_that_of_this_machine(
    system: System, models: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "logits.npz"
    done = system.run("python", logits.__file__, wav(), out, *models, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with np.load(out) as found:
        assert len(found.files) == len(models)
        for model in models:
            here, there = logits.logits(model, wav()), found[Path(model).name]
            assert here.shape == there.shape == (531, here.shape[1])
            if model.endswith(".esq"):
                assert here.tobytes() == there.tobytes(), model
            else:
                rms = np.sqrt(np.square(there - here).mean() / np.square(here).mean())
                assert rms < ORT_LIMIT, (model, rms)
                assert (here.argmax(axis=1) == there.argmax(axis=1)).mean() > 0.98


def test_events_are_those_of_this_machine(system: System, models: list[str]) -> None:
    words = ("stream", "--wav", wav(), "--json", *models)
    done = system.run("edgeseq", *words)
    assert done.returncode == 0, done.stderr
    here, there = _events(call(*words).stdout), _events(done.stdout)
    assert len(here) >= 6 * len(models)
    assert [e[:3] for e in there] == [e[:3] for e in here]
    if not system.kind.wheels:
        # All of them by the native engine: scores are equal too.
        assert there == here


def _events(text: str) -> list[tuple[Any, ...]]:
    """Model, time, label and score of each."""
    found = [e for e in lines(text) if e["event"] == "keyword"]
    return sorted((e["model"], e["time"], e["label"], e["score"]) for e in found)


def test_files_verify_there(system: System, models: list[str]) -> None:
    for model in models[1::2]:
        done = system.run("edgeseq", "verify", model)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_profile_from_there_says_that_it_is_emulated(
    system: System, models: list[str], tmp_path: Path
) -> None:
    files = [tmp_path / "arm.json", tmp_path / "arm.html"]
    outputs = [word for file in files for word in ("-o", file)]
    done = system.run(
        "edgeseq", "profile", *models[::2], "--rounds", 1, "--steps", 50, *outputs, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(files[0].read_text())
    check(document, "arm.json")
    machine, bits = document["machine"], 64 if system.kind.wheels else 32
    assert (machine["emulator"], machine["bits"]) == (system.kind.emulator, bits)
    for text in (document["warnings"][0], files[1].read_text(), done.stdout):
        assert f"emulated by {system.kind.emulator}" in text
    here = tmp_path / "here.json"
    call("profile", *models[::2], "--rounds", 1, "--steps", 50, "-o", here)
    joined = call("compare", files[0], here)
    assert joined.returncode == 0, joined.stderr
    assert f"emulated by {system.kind.emulator}" in joined.stdout
