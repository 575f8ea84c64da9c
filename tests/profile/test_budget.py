"""The latency budget: waits by arithmetic, queue and words by measurement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseq import Stream
from edgeseq.profile.budget import follow, longest_wait, queue_waits
from edgeseq.profile.feed import MOST_CHUNKS, chunks_of
from edgeseq.runtime import read_manifest
from tests import graphs
from tests.cli.conftest import Kit
from tests.sources.wavbytes import fmt, wav

BUDGET_SUM = ("capture_ms", "resampler_ms", "fill_ms", "lookahead_ms", "decoder_ms")


@given(st.integers(1, 24), st.integers(1, 24))
def test_the_longest_wait_is_that_of_the_worst_sample(block: int, chunk: int) -> None:
    waits = []
    for sample in range(block * chunk):
        end_of_chunk = (sample // chunk + 1) * chunk
        blocks = -(-end_of_chunk // block)
        waits.append(blocks * block - sample)
    assert longest_wait(block, chunk) == max(waits)


def test_lengths_that_rarely_meet_are_bounded() -> None:
    assert longest_wait(99991, 99989) == 99991 + 99989


@given(st.lists(st.floats(0, 0.1), max_size=50))
def test_a_queue_serves_one_block_after_the_other(service: list[float]) -> None:
    waits = queue_waits(np.array(service), 0.02)
    free = 0.0
    for number, (wait, time) in enumerate(zip(waits, service, strict=True)):
        begin = max(free, number * 0.02)
        assert wait == pytest.approx(begin - number * 0.02, abs=1e-9)
        free = begin + time


def test_words_are_timed_from_their_end_to_their_event(kit: Kit) -> None:
    result = follow(Stream(kit.tones), str(kit.wav), str(kit.labels))
    assert (result["metric"], result["false_alarms"], result["events"]) == (1.0, 0, 3)
    assert [(w["label"], w["end_s"]) for w in result["words"]] == [
        ("low", 1.4), ("high", 3.0), ("low", 4.8),
    ]  # fmt: skip
    for word in result["words"]:
        assert word["delay_ms"] == pytest.approx(1e3 * (word["event_s"] - word["end_s"]))
    budget = result["budget"]
    assert (budget["capture_ms"], budget["fill_ms"], budget["lookahead_ms"]) == (20.0, 0.0, 0.0)
    assert budget["resampler_ms"] == 0
    assert budget["algorithmic_ms"] == pytest.approx(sum(budget[name] for name in BUDGET_SUM))
    assert budget["decoder_ms"] >= 0
    assert 0 < budget["compute_p50_ms"] <= budget["compute_p99_ms"]


def test_lookahead_chunk_and_resampler_have_their_place(kit: Kit, tmp_path: Path) -> None:
    model = graphs.tone_model(tmp_path / "late.onnx", chunk=5, lookahead=3)
    budget = follow(Stream(model), str(kit.wav), None)["budget"]
    # Chunks of 50 ms in blocks of 20 ms: the first sample waits for the end of the third block.
    assert (budget["capture_ms"], budget["fill_ms"], budget["lookahead_ms"]) == (20.0, 40.0, 30.0)
    low = (graphs.tone(graphs.LOW_HZ, 1.0) * 32767).astype("<i2")
    path = tmp_path / "48k.wav"
    path.write_bytes(wav(low.tobytes(), fmt(rate=48000)))
    result = follow(Stream(kit.tones), str(path), None)
    assert 0 < result["budget"]["resampler_ms"] < 100
    assert result["metric"] is None


def test_the_end_of_speech_is_timed(kit: Kit) -> None:
    result = follow(Stream(kit.level), str(kit.wav), str(kit.labels))
    assert [word["end_s"] for word in result["words"]] == [1.4, 3.0, 4.8]
    # The detector needs a pause before it says so.
    assert all(word["delay_ms"] > 0 for word in result["words"])
    assert result["metric_name"] == "right frames"


def test_text_has_a_metric_and_no_budget(kit: Kit) -> None:
    result = follow(Stream(kit.bytes), str(kit.text), None)
    assert (result["metric_name"], result["budget"], result["words"]) == ("bits per byte", None, [])
    assert result["metric"] > 0


def test_chunks_are_those_of_a_stream_and_bounded(kit: Kit, tmp_path: Path) -> None:
    manifest = read_manifest(kit.tones)
    chunks = chunks_of(manifest, str(kit.wav))
    assert len(chunks) == 580
    assert {chunk.shape for chunk in chunks} == {(1, 1, graphs.HOP)}
    long = tmp_path / "long.wav"
    long.write_bytes(wav(b"\1\0" * graphs.HOP * (MOST_CHUNKS + 50), fmt(rate=graphs.RATE)))
    assert len(chunks_of(manifest, str(long))) == MOST_CHUNKS
    one = tmp_path / "one.wav"
    one.write_bytes(wav(b"\1\0", fmt(rate=graphs.RATE)))
    assert len(chunks_of(manifest, str(one))) == 1
