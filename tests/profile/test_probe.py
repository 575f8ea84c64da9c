"""A configuration in a process of its own: what it measures adds up."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseq.errors import ConfigError, EdgeseqError
from edgeseq.profile.backends import KNOWN, available, known, runs
from edgeseq.profile.eager import DEVICES
from edgeseq.profile.probe import Job, measure_fresh
from tests.cli.conftest import Kit


def job(model: Path, file: Path, **changes: object) -> Job:
    values = {
        "model": str(model), "backend": "onnx", "threads": 1, "file": str(file), "labels": None,
        "steps": 700, "seconds": 1.0,
    }  # fmt: skip
    return Job(**(values | changes))  # type: ignore[arg-type]


def test_figures_add_up(kit: Kit) -> None:
    result = measure_fresh(job(kit.tones, kit.wav, labels=str(kit.labels), operators=True))
    assert result["steps"] == sum(count for *_, count in result["histogram"]) == 700
    order = [result[f"step_{name}_us"] for name in ("p50", "p90", "p99", "p999", "max")]
    assert order == sorted(order)
    assert order[0] > 0
    assert result["stream_seconds"] == pytest.approx(7.0)
    assert result["rtf"] == pytest.approx(result["compute_s"] / 7.0)
    assert result["compute_s"] == pytest.approx(700 * result["step_mean_us"] / 1e6)
    assert result["wall_s"] >= result["compute_s"]
    assert result["rss_imported_bytes"] <= result["rss_loaded_bytes"] <= result["rss_peak_bytes"]
    assert 0 < len(result["trace"]) <= 121
    assert all(result[f"cold_{part}_ms"] > 0 for part in ("import", "load", "first_step"))
    assert sum(op["share"] for op in result["operators"]) == pytest.approx(1)
    shares = [op["share"] for op in result["operators"]]
    assert shares == sorted(shares, reverse=True)
    assert "MatMul" in {op["operator"] for op in result["operators"]}
    assert result["metric"] == 1.0


def test_steps_may_be_counted_by_the_clock_and_text_has_no_audio(kit: Kit) -> None:
    result = measure_fresh(job(kit.bytes, kit.text, steps=None, seconds=0.05))
    assert result["steps"] > 0
    assert result["wall_s"] >= 0.05
    assert result["rtf"] is result["stream_seconds"] is result["budget"] is None
    assert result["metric"] > 0


def test_an_error_of_the_process_comes_in_a_line(kit: Kit, tmp_path: Path) -> None:
    with pytest.raises(EdgeseqError, match="Is a directory"):
        # A directory in place of audio.
        measure_fresh(job(kit.tones, tmp_path))


def test_every_backend_is_known_and_no_other() -> None:
    assert set(KNOWN) <= {*available(), *DEVICES}
    assert "auto" not in available()
    with pytest.raises(ConfigError, match="backend is 'tpu', must be one of onnx"):
        known("tpu")


def test_each_file_is_run_by_its_own_backend_and_onnx_files_by_torch_too() -> None:
    fitting = {
        path: [name for name in available() if runs(name, path)]
        for path in ("a.onnx", "a.esq", "A.ONNX")
    }
    assert fitting == {
        "a.onnx": ["onnx", "torch"],
        "a.esq": ["native"],
        "A.ONNX": ["onnx", "torch"],
    }
