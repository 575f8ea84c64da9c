"""Wheels with and without a C compiler, from the sources as they are here, installed and run."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.firmware.engine import tool
from tests.runtime.native_files import native_file

ROOT = Path(__file__).parents[1]

RUN = """
import sys
import edgeseq, numpy
from edgeseq.assets import resolve
assert edgeseq.__file__.startswith(sys.argv[1]), edgeseq.__file__
from edgeseq.boards.toolchain import c_sources
assert c_sources() == __import__("pathlib").Path(sys.argv[1], "edgeseq", "_firmware"), c_sources()
assert (c_sources() / "port" / "cortex-m" / "simulate.c").exists()
assert len(list((c_sources() / "src").glob("*.c"))) >= 10
edgeseq.load(resolve("words-gru")).push(numpy.zeros(16000, "float32"))
try:
    print(edgeseq.Session(sys.argv[2]).golden_error())
except edgeseq.EdgeseqError as error:
    print(error)
"""


def build(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True,
    )  # fmt: skip


def run_installed(folder: Path, model: Path) -> str:
    """Install the only wheel of `folder` by itself and load a model with it."""
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    done = subprocess.run(
        [sys.executable, "-P", "-c", RUN, str(site), str(model)],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_with_a_compiler_the_wheel_holds_the_engine(tmp_path: Path) -> None:
    tool("gcc")
    model = native_file(tmp_path, "gru")
    out = tmp_path / "wheel"
    done = build(out, EDGESEQ_REQUIRE_ENGINE="1")
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")
    assert run_installed(out, model) == "0.0"


@pytest.mark.slow
def test_without_a_compiler_everything_but_the_engine_works(tmp_path: Path) -> None:
    """Also where a checkout holds an engine of an earlier install: it stays out of the wheel."""
    model = native_file(tmp_path, "gru")
    out = tmp_path / "wheel"
    done = build(out, CC="/no/such/compiler")
    assert done.returncode == 0, done.stderr
    assert "without the native engine: no C compiler was found" in done.stdout + done.stderr
    assert [p.name.endswith("-py3-none-any.whl") for p in out.glob("*.whl")] == [True]
    assert "made without a C compiler; install gcc" in run_installed(out, model)
    strict = build(tmp_path / "none", CC="/no/such/compiler", EDGESEQ_REQUIRE_ENGINE="1")
    assert strict.returncode != 0
    assert not list((tmp_path / "none").glob("*.whl"))
