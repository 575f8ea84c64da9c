"""Sections of .esq files in C, under the sanitizers: wrong calls, and numbers that are damaged."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgeseq_export.section import write_section
from tests.export.integer_models import program
from tests.firmware.engine import INCLUDES, ROOT, SANITIZED, SOURCES, STRICT, tool

# -fwrapv as in the library: a damaged weight may overflow, it may not reach beyond its memory.
FLAGS = (*STRICT, *SANITIZED, "-fwrapv", *INCLUDES, f"-I{ROOT / 'host'}")
HOST = [ROOT / "host" / name for name in ("load.c", "stepper.c")]


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("load") / "load"
    parts = [*SOURCES, *HOST, ROOT / "tests" / "load.c"]
    command = [tool("gcc"), *FLAGS, *map(str, parts), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return out


def accepted(loader: Path, folder: Path, name: str, rounds: int, seed: int) -> int:
    section = folder / "section"
    section.write_bytes(write_section(program(name)))
    done = subprocess.run(
        [loader, section, str(rounds), str(seed)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-3000:])
    return int(done.stdout)


@pytest.mark.parametrize("name", ["gru-odd", "lstm", "transformer", "transformer-bytes"])
def test_damaged_sections_are_refused_or_run_within_their_memory(
    loader: Path, tmp_path: Path, name: str
) -> None:
    rounds = 300
    assert 0 < accepted(loader, tmp_path, name, rounds, 1) < rounds


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gru", "lstm", "transformer", "gru-bytes", "transformer-bytes"])
def test_a_bounded_fuzzing_run_finds_nothing(loader: Path, tmp_path: Path, name: str) -> None:
    assert accepted(loader, tmp_path, name, 20_000, 2) > 100
