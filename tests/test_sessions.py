"""Many streams on one model, and streams that have heard the worst."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseq import Event, Keyword, Session, Stream
from edgeseq.assets import clip, resolve
from edgeseq.sources import open_audio
from tests import graphs
from tests.graphs import RATE, noise

Floats = npt.NDArray[np.float32]
BUNDLED = ("words-gru", "words-transformer", "vad-gru")


@pytest.fixture(scope="module")
def gru(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(graphs.gru_model(tmp_path_factory.mktemp("models") / "gru.onnx"))


@pytest.fixture(scope="module")
def bundled() -> dict[str, Session]:
    return {name: Session(resolve(name)) for name in BUNDLED}


@pytest.fixture(scope="module")
def words() -> Floats:
    path = clip("words.wav")
    assert path is not None
    with closing(open_audio(path)) as source:
        return np.concatenate([b.samples for b in source.blocks()]).astype(np.float32)


def solo(session: Session, signal: Floats, rate: int = RATE) -> list[Event]:
    stream = Stream(session)
    return stream.push(signal, rate) + stream.flush()


def test_f24_a_thousand_streams_on_one_model_equal_their_solo_runs(gru: Session) -> None:
    """Fed in turns, each with a signal of its own, bit for bit in every score."""
    count, piece = 1000, 331
    signals = [noise(0.15, seed=seed) for seed in range(count)]
    streams = [Stream(gru) for _ in range(count)]
    events: list[list[Event]] = [[] for _ in range(count)]
    for begin in range(0, len(signals[0]), piece):
        for k, stream in enumerate(streams):
            events[k] += stream.push(signals[k][begin : begin + piece])
    for k, stream in enumerate(streams):
        events[k] += stream.flush()
    assert events == [solo(gru, signal) for signal in signals]
    assert sum(map(len, events)) > count


@pytest.mark.parametrize("rate", [RATE, 44100])
def test_f24_streams_in_threads_equal_their_solo_runs(gru: Session, rate: int) -> None:
    """Eight threads, one model, with and without a resampler in each stream."""

    def run(seed: int) -> list[Event]:
        stream, signal = Stream(gru), noise(2.0, seed=seed)
        events = [
            e for i in range(0, len(signal), 441) for e in stream.push(signal[i : i + 441], rate)
        ]
        return events + stream.flush()

    expected = [solo(gru, noise(2.0, seed=seed), rate) for seed in range(16)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, range(16))) == expected


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2000),
            st.sampled_from([8000, RATE, 22050, 48000]),
            st.sampled_from(["push", "reset", "soft", "restore", "gap"]),
        ),
        max_size=12,
    )
)
def test_f28_reset_equals_fresh_after_anything(gru: Session, steps: list[Any]) -> None:
    """Any rates, gaps, resets and restores before it: nothing is left behind."""
    stream, saved = Stream(gru), Stream(gru).state
    for i, (count, rate, what) in enumerate(steps):
        if what == "restore":
            stream.restore(saved)
        elif what in ("reset", "soft"):
            saved = stream.state
            stream.reset(soft=what == "soft")
        else:
            stream.push(noise(count / RATE, seed=i), rate, lost=count if what == "gap" else 0)
    stream.reset()
    fresh, signal = Stream(gru), noise(0.5, seed=99)
    assert same(stream.state, fresh.state)
    assert stream.push(signal) + stream.flush() == fresh.push(signal) + fresh.flush()


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else bool(a == b)


def full_scale(draw: np.random.Generator) -> Floats:
    return np.sign(draw.normal(size=5 * RATE)).astype(np.float32)


WORST = {
    "zeros": lambda draw: np.zeros(10 * RATE, np.float32),
    "nan": lambda draw: np.full(RATE, np.nan, np.float32),
    "infinite": lambda draw: np.full(RATE, -np.inf, np.float32),
    "huge": lambda draw: np.full(RATE, 3e38, np.float32),
    "40 dB over": lambda draw: 100 * full_scale(draw),
    "full scale": full_scale,
    "dc": lambda draw: np.ones(5 * RATE, np.float32),
    "denormal": lambda draw: np.full(5 * RATE, 1e-40, np.float32),
    "clicks": lambda draw: (draw.uniform(size=5 * RATE) > 0.999).astype(np.float32),
}


@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.parametrize("kind", WORST)
def test_f42_speech_after_the_worst_is_heard_as_ever(
    bundled: dict[str, Session], words: Floats, name: str, kind: str
) -> None:
    """State stays finite, and after a second of silence the words are those of a fresh stream."""
    quiet = (1e-4 * np.random.default_rng(1).normal(size=RATE)).astype(np.float32)
    stream, fresh = Stream(bundled[name]), Stream(bundled[name])
    stream.push(WORST[kind](np.random.default_rng(0)))
    assert all(np.isfinite(v).all() for v in stream.state["tensors"].values())
    began = stream.seconds
    heard, expected = [
        [
            (type(e), getattr(e, "label", getattr(e, "active", None)), round(e.time - start, 1))
            for e in s.push(np.concatenate([quiet, words])) + s.flush()
            if e.time > start + 1
        ]
        for s, start in ((stream, began), (fresh, 0.0))
    ]
    assert expected
    assert [event[:2] for event in heard] == [event[:2] for event in expected]
    for after, before in zip(heard, expected, strict=True):
        assert after[2] == pytest.approx(before[2], abs=0.15)


def test_f31_every_word_is_heard_with_a_soft_reset_after_each(
    bundled: dict[str, Session], words: Floats
) -> None:
    """The state of the model goes on, so that no first word is eaten."""
    plain = [e.label for e in solo(bundled["words-gru"], words) if isinstance(e, Keyword)]
    stream, labels = Stream(bundled["words-gru"]), []
    for begin in range(0, len(words), 1600):
        found = [e for e in stream.push(words[begin : begin + 1600]) if isinstance(e, Keyword)]
        labels += [e.label for e in found]
        if found:
            stream.reset(soft=True)
    labels += [e.label for e in stream.flush() if isinstance(e, Keyword)]
    # A reset decoder has forgotten its refractory time: a word may be said again, none is lost.
    assert set(labels) == set(plain)
    assert len(labels) >= len(plain) > 0
