"""A stream gives the same events however its input is cut, and goes on exactly where it was."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgeseq
from edgeseq import Event, Gap, Keyword, Session, Speech, Stream, Token
from edgeseq.errors import ConfigError, StateError, StreamClosedError
from edgeseq.sources.base import Block
from edgeseq.timeline import KEPT
from tests import graphs
from tests.graphs import HIGH_HZ, LOW_HZ, RATE, noise, silence, tone

Array = npt.NDArray[Any]
MODELS: dict[str, Callable[[Path], Path]] = {
    "gru": graphs.gru_model,
    "gru3": lambda path: graphs.gru_model(path, chunk=3),
    "tone": graphs.tone_model,
    "tone8": lambda path: graphs.tone_model(path, chunk=8, subsampling=2),
    "level": graphs.level_model,
}
WORDS = np.concatenate(
    [silence(0.3), tone(LOW_HZ, 0.2), silence(0.4), tone(HIGH_HZ, 0.2), silence(0.3)]
)
TEXT = "Zürich — 20 °C 😀\n".encode() + b"\xff\xe2\x82"


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Session]:
    folder = tmp_path_factory.mktemp("models")
    made = {name: Session(make(folder / f"{name}.onnx")) for name, make in MODELS.items()}
    made["bytes"] = Session(graphs.byte_model(folder / "bytes.onnx", chunk=4))
    return made


def _signal(name: str) -> Array:
    if name == "bytes":
        return np.frombuffer(TEXT, np.uint8)
    return noise(1.5) if name.startswith("gru") else WORDS


def _events(session: Session, *pieces: Array, rate: int | None = None) -> list[Event]:
    stream = Stream(session)
    events = [event for piece in pieces for event in stream.push(piece, rate)]
    return events + stream.flush()


def _labels(events: list[Event]) -> list[str]:
    return [event.label for event in events if isinstance(event, Keyword)]


# --- cutting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*MODELS, "bytes"])
@given(cuts=st.lists(st.integers(0, 25_000), max_size=12))
@settings(max_examples=20, deadline=None)
def test_any_cut_gives_equal_events_and_times(
    sessions: dict[str, Session], name: str, cuts: list[int]
) -> None:
    """F34."""
    signal = _signal(name)
    expected = _events(sessions[name], signal)
    assert len(expected) >= 2
    pieces = np.split(signal, sorted(cut % (signal.size + 1) for cut in cuts))
    assert _events(sessions[name], *pieces) == expected


@pytest.mark.parametrize("size", [1, 79, 160, 161, 320, 1000])
def test_equal_pieces_of_any_size_give_equal_events(
    sessions: dict[str, Session], size: int
) -> None:
    """F34."""
    pieces = [WORDS[i : i + size] for i in range(0, WORDS.size, size)]
    assert _events(sessions["tone"], *pieces) == _events(sessions["tone"], WORDS)


def test_words_are_heard_at_their_time(sessions: dict[str, Session]) -> None:
    for name in ("tone", "tone8"):
        low, high = _events(sessions[name], WORDS)
        assert _labels([low, high]) == ["low", "high"]
        # Score and mean lag a little behind the end of the tones at 0.5 s and 1.1 s.
        assert low.time == pytest.approx(0.5, abs=0.08)
        assert high.time == pytest.approx(1.1, abs=0.08)


def test_text_is_read_to_its_last_byte(sessions: dict[str, Session]) -> None:
    events = _events(sessions["bytes"], np.frombuffer(TEXT, np.uint8))
    tokens = [event for event in events if isinstance(event, Token)]
    assert "".join(token.text for token in tokens) == TEXT.decode("utf-8", "replace")
    assert tokens[-1].time == len(TEXT)
    with Stream(sessions["bytes"]) as stream:
        assert stream.push(TEXT) + stream.flush() == events


# --- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 8, 32, 128])
def test_a_word_at_the_very_end_is_found(chunk: int, tmp_path: Path) -> None:
    """F32: flush knows the model's own chunk; the same word as with silence after it."""
    session = Session(graphs.tone_model(tmp_path / "tone.onnx", chunk=chunk))
    for cut in (0, 1, 159, 1000):
        signal = np.concatenate([silence(0.4 + cut / RATE), tone(LOW_HZ, 0.12)])
        end = signal.size / RATE
        (event,) = _events(session, signal)
        (later,) = _events(session, signal, silence(3))
        assert event == Keyword(min(end, later.time), "low", later.score)  # type: ignore[attr-defined]


def test_lookahead_is_flushed_too(tmp_path: Path) -> None:
    """F32: even where the manifest's flush_s is 0."""
    session = Session(graphs.tone_model(tmp_path / "t.onnx", lookahead=20))
    stream = Stream(session, decoding={"flush_s": 0})
    stream.push(silence(0.1))
    stream.flush()
    assert stream.clock.steps == 10 + 20


def test_speech_that_is_cut_off_ends_at_the_real_end(sessions: dict[str, Session]) -> None:
    events = _events(sessions["level"], np.concatenate([silence(0.5), noise(0.5)]))
    assert [(round(e.time, 3), e.active) for e in events if isinstance(e, Speech)] == [
        (0.45, True),
        (1.0, False),
    ]


def test_after_flush_or_close_nothing_is_taken(sessions: dict[str, Session]) -> None:
    with Stream(sessions["tone"]) as stream:
        stream.push(WORDS)
        stream.flush()
        for verb in (lambda: stream.push(WORDS), stream.flush):
            with pytest.raises(StreamClosedError, match=r"after flush; call reset\(\)"):
                verb()
        stream.reset()
        assert _labels(stream.push(WORDS)) == ["low", "high"]
    for verb in (lambda: stream.push(WORDS), stream.flush, stream.reset, lambda: stream.state):
        with pytest.raises(StreamClosedError, match="after close"):
            verb()
    stream.close()


# --- independence, reset, save -------------------------------------------------------------------


def test_interleaved_streams_equal_solo_runs(sessions: dict[str, Session]) -> None:
    """F24."""
    session = sessions["gru"]
    signals = [noise(1.0, seed=seed) for seed in range(2)]
    expected = [_events(session, signal) for signal in signals]
    streams = [Stream(session) for _ in signals]
    events: list[list[Event]] = [[], []]
    for i in range(0, RATE, 170):
        for k, stream in enumerate(streams):
            events[k] += stream.push(signals[k][i : i + 170])
    for k, stream in enumerate(streams):
        assert events[k] + stream.flush() == expected[k]


@pytest.mark.parametrize("name", [*MODELS, "bytes"])
def test_reset_equals_fresh(sessions: dict[str, Session], name: str) -> None:
    """F28, F30."""
    signal, session = _signal(name), sessions[name]
    stream = Stream(session)
    stream.push(signal[: signal.size // 2 + 7], lost=3)
    stream.reset()
    assert _same(stream.state, Stream(session).state)
    assert stream.push(signal) + stream.flush() == _events(session, signal)


def test_nothing_fires_after_a_detection_and_a_reset(sessions: dict[str, Session]) -> None:
    """F28."""
    stream = Stream(sessions["tone"])
    word = np.concatenate([silence(0.2), tone(LOW_HZ, 0.3)])
    assert _labels(stream.push(word)) == ["low"]
    stream.reset()
    assert stream.push(silence(2)) == []
    assert stream.push(noise(1, 0.05)) == []
    assert _labels(stream.push(tone(HIGH_HZ, 0.4))) == ["high"]


def test_a_soft_reset_keeps_model_state_and_time(sessions: dict[str, Session]) -> None:
    """F31: the word after an endpoint is heard whole, at its time."""
    stream, plain = Stream(sessions["tone"]), Stream(sessions["tone"])
    head = np.concatenate([tone(LOW_HZ, 0.3), silence(1.25)])
    tail = np.concatenate([tone(HIGH_HZ, 0.2), silence(0.3)])
    assert stream.push(head) == plain.push(head)
    tensors = stream.state["tensors"]
    stream.reset(soft=True)
    assert all(np.array_equal(stream.state["tensors"][k], v) for k, v in tensors.items())
    assert stream.push(tail) == plain.push(tail)
    assert stream.seconds == pytest.approx(2.05)


@pytest.mark.parametrize("name", ["gru3", "tone8", "level", "bytes"])
def test_a_saved_stream_goes_on_exactly(sessions: dict[str, Session], name: str) -> None:
    signal, session = _signal(name), sessions[name]
    whole = Stream(session)
    half = signal.size // 2
    expected = whole.push(signal[:half]) + whole.push(signal[half:], lost=5) + whole.flush()
    for at in range(0, half, max(1, half // 23)):
        first, second = Stream(session), Stream(session)
        events = first.push(signal[:at])
        second.push(signal[: half // 3], lost=7)
        second.restore(pickle.loads(pickle.dumps(first.state)))
        events += second.push(signal[at:half]) + second.push(signal[half:], lost=5)
        assert events + second.flush() == expected


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_a_stream_that_resamples_goes_on_exactly(sessions: dict[str, Session], rate: int) -> None:
    """Saved anywhere, across seams of the resampler and a change of the rate."""
    session, draw = sessions["gru"], np.random.default_rng(rate)
    blocks = [(draw.normal(0, 0.3, 997).astype(np.float32), rate) for _ in range(3 * rate // 997)]
    blocks += [(block, 16000) for block, _ in blocks[:20]]
    whole = Stream(session)
    expected = [event for block, r in blocks for event in whole.push(block, r, lost=1)]
    expected += whole.flush()
    assert len(expected) > len(blocks)
    stream, events = Stream(session), []
    for i, (block, r) in enumerate(blocks):
        events += stream.push(block, r, lost=1)
        if i % 3 == 0:
            state = pickle.loads(pickle.dumps(stream.state))
            stream = Stream(session)
            stream.push(noise(0.2), rate=22050)
            stream.restore(state)
    assert events + stream.flush() == expected


def test_a_saved_stream_is_arrays_and_json_values(sessions: dict[str, Session]) -> None:
    stream = Stream(sessions["gru"])
    stream.push(noise(0.33), lost=16)
    state = stream.state
    arrays = [state["waiting"], *state["tensors"].values()]
    assert all(isinstance(array, np.ndarray) for array in arrays)
    rest = {key: value for key, value in state.items() if key not in ("waiting", "tensors")}
    assert json.loads(json.dumps(rest)) == rest
    state["tensors"]["rnn.0.h"][...] = 99
    assert not np.any(stream.state["tensors"]["rnn.0.h"] == 99)


def test_a_state_that_does_not_fit_is_refused(sessions: dict[str, Session]) -> None:
    stream, other = Stream(sessions["tone"]), Stream(sessions["tone8"])
    with pytest.raises(StateError, match="belongs to another model file"):
        stream.restore(other.state)
    good = stream.state
    for key, wrong in [
        ("tensors", {}),
        ("waiting", np.zeros(500, np.float32)),
        ("decoder", {}),
        ("timeline", [3]),
        ("resampler", {"from_rate": 3}),
        ("resampler", {"from_rate": 48000}),
        ("resampler", 7),
    ]:
        with pytest.raises(StateError):
            stream.restore({**good, key: wrong})
    with pytest.raises(StateError, match="has the keys model, tensors"):
        stream.restore({"model": ""})
    assert _same(stream.state, good)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


# --- the rest ------------------------------------------------------------------------------------


def test_settings_can_be_replaced(sessions: dict[str, Session]) -> None:
    quiet = Stream(sessions["tone"], decoding={"thresholds": {"low": 0.6}})
    assert _labels(quiet.push(WORDS)) == ["low"]
    for wrong in ({"thresholds": {"maybe": 0.5}}, {"threshold": 0.5}, {"smoothing_s": -1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Stream(sessions["tone"], decoding=wrong)


def test_a_source_is_read_to_its_end(sessions: dict[str, Session]) -> None:
    class Recording:
        name, sample_rate, live = "recording", RATE, False
        notes: list[str] = []  # noqa: RUF012

        def blocks(self) -> Any:
            yield Block(WORDS[:5000])
            yield Block(WORDS[5000:], lost=160)

        def close(self) -> None:
            pass

    events = list(Stream(sessions["tone"]).events(Recording()))
    assert [type(event) for event in events] == [Gap, Keyword, Keyword]


def test_the_clock_counts_every_step(sessions: dict[str, Session]) -> None:
    stream = Stream(sessions["tone"])
    stream.push(silence(1.0))
    clock = stream.clock
    assert clock.steps == 100
    assert 0 < clock.p50_ms <= clock.p99_ms <= clock.max_ms
    assert clock.total_s >= clock.max_ms / 1e3
    stream.reset()
    assert clock.steps == 100


def test_long_streams_stay_small(sessions: dict[str, Session]) -> None:
    """F40: what a stream remembers is as large after a minute of events, gaps and resets."""
    stream, sizes = Stream(sessions["gru"]), []
    for minute in range(4):
        for i in range(60):
            stream.push(noise(0.2, seed=i), lost=10)
            if i % 20 == 0:
                stream.reset(soft=True)
        if minute == 1:
            # Gaps are bounded, so only numbers may grow.
            for _ in range(KEPT):
                stream.push(silence(0), lost=1)
        sizes.append(len(pickle.dumps(stream.state)))
    assert sizes[3] <= sizes[1] + 300


def test_load_gives_a_stream(tmp_path: Path) -> None:
    with edgeseq.load(graphs.tone_model(tmp_path / "tone.onnx")) as stream:
        assert _labels(stream.push(WORDS)) == ["low", "high"]
    assert edgeseq.__all__ == sorted(edgeseq.__all__)
    assert all(hasattr(edgeseq, name) for name in edgeseq.__all__)
