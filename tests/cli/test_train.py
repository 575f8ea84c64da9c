"""`edgeseq train --plan` and `--profile`, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.process import call

LICENCE = Path(__file__).parents[2] / "LICENSE"
RECIPE = """
name = "tiny"
task = "bytes"
[model.frontend]
kind = "bytes"
dim = 8
[model.encoder]
kind = "transformer"
dim = 16
layers = 1
window = 8
[train]
batch = 4
length = 32
[[data]]
path = "text"
reader = "text"
role = "text"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "licence.txt").write_bytes(LICENCE.read_bytes())
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def test_a_plan_needs_no_data(recipe: Path, tmp_path: Path) -> None:
    done = call("train", recipe, "--plan", "--data", tmp_path / "none", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    first, *rows = done.stdout.splitlines()
    assert first.startswith("tiny: ")
    assert "4 rows of 32 bytes a step, float32, adamw" in first
    found = {row[2:24].strip(): int(row[24:40].replace(",", "")) for row in rows[1:]}
    assert found["gradients"] == found["parameters"]
    assert found["most at once"] > found["activations"] > 0
    assert not (tmp_path / "out").exists()


def test_plan_and_profile_exclude_each_other(recipe: Path) -> None:
    done = call("train", recipe, "--plan", "--profile")
    assert done.returncode == 2
    assert "give one of them" in done.stderr


@pytest.mark.slow
def test_a_profile_ends_in_a_verdict_and_keeps_only_its_trace(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = call("train", recipe, "--profile", "--data", tmp_path, "--out", out, "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert "steps/s" in done.stdout
    assert done.stdout.splitlines()[-1].split(":")[0] in (
        "data-bound", "compute-bound", "memory-bound", "overhead-bound",
    )  # fmt: skip
    assert [p.relative_to(out) for p in out.rglob("*.*")] == [Path("profile/trace.json")]
    assert json.loads((out / "profile" / "trace.json").read_text())["traceEvents"]
