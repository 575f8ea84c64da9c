"""Growth and soak: long streams stay as they were, and what is not bounded grows."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from edgeseq.manifest import Manifest
from edgeseq.profile.contrast import _measure as contrast
from edgeseq.profile.growth import follow_growth, marks
from edgeseq.profile.process import Stop
from edgeseq.profile.rounds import Profile
from edgeseq.profile.soak import _drift, follow_soak
from edgeseq.runtime import read_manifest
from tests.cli.conftest import Kit
from tests.profile.test_probe import job


def test_marks_are_half_powers_of_ten() -> None:
    assert marks(100_000) == [100, 300, 1000, 3000, 10_000, 30_000, 100_000]
    assert marks(2500) == [100, 300, 1000, 2500]
    assert marks(1000) == [100, 300, 1000]


def test_a_bounded_state_stays_as_large(kit: Kit) -> None:
    manifest = read_manifest(kit.words)
    told: list[float] = []
    row = follow_growth("words", manifest, job(kit.words, kit.wav), 5000, told.append)
    assert row["name"] == "words: recurrent state"
    assert [p["steps"] for p in row["points"]] == [100, 300, 1000, 3000, 5000]
    assert {p["state_bytes"] for p in row["points"]} == {manifest.state_spec.nbytes()}
    assert all(0 < p["step_p50_us"] <= p["step_p99_us"] for p in row["points"])
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_a_cache_without_a_bound_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeseq.models import LogMelConfig, ModelConfig, TransformerConfig

    config = ModelConfig(
        LogMelConfig(), TransformerConfig(dim=16, layers=2, heads=2, window=8, feed_forward=16), 5
    )
    manifest = read_manifest_like(config.as_dict())
    monkeypatch.setattr("edgeseq.profile.contrast.read_manifest", lambda path: manifest)
    rows = contrast("a.onnx", 300, Stop())["rows"]
    assert [row["kind"] for row in rows] == ["full recompute", "growing cache"]
    whole, cache = ([p["state_bytes"] for p in row["points"]] for row in rows)
    # All samples of the past; or two tensors of 16 floats for each of two layers and every step.
    assert whole == [100 * 320 * 4, 300 * 320 * 4]
    assert cache[1] - cache[0] == 200 * 2 * 2 * 16 * 4
    stop = Stop()
    stop.requested = True
    for row in contrast("a.onnx", 300, stop)["rows"]:
        assert (row["points"], "interrupted" in row["note"]) == ([], True)
    monkeypatch.setattr("edgeseq.profile.contrast.MOST_SCORES", 2 * 100 * 200)
    whole_row, cache_row = contrast("a.onnx", 300, Stop())["rows"]
    assert [len(row["points"]) for row in (whole_row, cache_row)] == [1, 2]
    assert "ends at 300 steps, whose attention needs" in whole_row["note"]


def test_a_hybrid_has_a_cache_too(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeseq.models import HybridConfig, LogMelConfig, ModelConfig

    encoder = HybridConfig(dim=16, layers=("linear", "attention"), heads=2, feed_forward=16)
    manifest = read_manifest_like(ModelConfig(LogMelConfig(), encoder, 5).as_dict())
    manifest = replace(manifest, family="hybrid")
    row = follow_growth("words", manifest, job(kit.words, kit.wav), 100, lambda done: None)
    assert row["name"] == "words: bounded cache"
    monkeypatch.setattr("edgeseq.profile.contrast.read_manifest", lambda path: manifest)
    rows = contrast("a.onnx", 300, Stop())["rows"]
    assert [row["kind"] for row in rows] == ["full recompute", "growing cache"]
    cache = [p["state_bytes"] for p in rows[1]["points"]]
    assert cache[1] - cache[0] == 200 * 2 * 16 * 4


def read_manifest_like(model: dict[str, object]) -> Manifest:
    """The manifest of a bundled Transformer, with another shape."""
    from edgeseq.assets import bundled

    manifest = read_manifest(bundled()["words-transformer"])
    from edgeseq.manifest import config_digest

    config = {"model": model}
    origin = replace(manifest.provenance, config=config, config_sha256=config_digest(config))
    return replace(manifest, provenance=origin)


@pytest.mark.parametrize("kind", ["tones", "bytes"])
def test_the_end_of_a_long_stream_equals_its_first_minute(kit: Kit, kind: str) -> None:
    file = kit.text if kind == "bytes" else kit.wav
    seconds = 600.0
    row = follow_soak(kind, job(getattr(kit, kind), file), seconds, lambda done: None)
    assert row["stream_seconds"] >= seconds
    assert row["steps"] == round(row["stream_seconds"] * (1 if kind == "bytes" else 100))
    assert (row["same_events"], row["same_after_reset"]) == (True, True)
    assert row["state_difference"] < 1e-5
    assert row["interrupted"] is False
    times = [point[0] for point in row["trace"]]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(row["stream_seconds"])


def test_ctrl_c_keeps_what_a_long_stream_has_shown(kit: Kit) -> None:
    told: list[float] = []

    def tell(done: float) -> None:
        if not told:
            os.kill(os.getpid(), signal.SIGINT)
        told.append(done)

    row = follow_soak("tones", job(kit.tones, kit.wav), 1e7, tell)
    assert row["interrupted"] is True
    assert row["steps"] == round(row["stream_seconds"] * 100) > 0
    assert row["stream_seconds"] < 1e7
    assert row["trace"][-1][0] == pytest.approx(row["stream_seconds"])
    assert row["same_after_reset"] is True


def test_drift_is_the_slope_behind_the_first_minute() -> None:
    trace = [[3600.0 * h, 1e6 + 1000 * h, 10.0 + h, 20.0] for h in range(1, 25)]
    found = _drift(trace)
    assert found["rss_slope_bytes_per_hour"] == pytest.approx(1000)
    assert found["rss_growth_bytes"] == pytest.approx(23_000)
    assert found["p50_ratio"] == pytest.approx(34 / 11)
    assert found["p99_ratio"] == 1.0
    assert set(_drift(trace[:1]).values()) == {None}


def test_what_was_interrupted_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = Profile({})
    with pytest.raises(KeyboardInterrupt):
        profile._keep(profile.soak, {"name": "a", "interrupted": True})
    assert profile.soak == [{"name": "a", "interrupted": True}]
