"""Bits per byte by position: the sums of a stream without resets, however it is cut."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseq import Stream
from edgeseq.assets import clip, resolve
from edgeseq.errors import ConfigError, StateError
from edgeseq.profile.bits import BitsPerByte
from edgeseq.profile.positions import Passes, TextScore
from edgeseq.runtime import Session
from tests import graphs


@pytest.fixture(scope="module")
def text() -> npt.NDArray[np.uint8]:
    path = clip("passage.txt")
    assert path is not None
    return np.frombuffer(path.read_bytes(), np.uint8)


@pytest.fixture(scope="module", params=["one", "three"])
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Session:
    chunk = 1 if request.param == "one" else 3
    return Session(graphs.byte_model(tmp_path_factory.mktemp("p") / "b.onnx", chunk=chunk))


def pure(session: Session, data: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Bits of each byte but the first, by the pure step alone."""
    chunk, state, rows = session.manifest.timing.chunk, session.initial_state(), []
    padded = np.concatenate([data, np.zeros(-len(data) % chunk, np.uint8)]).astype(np.int64)
    for at in range(0, len(padded), chunk):
        y, state = session.step(padded[at : at + chunk].reshape(1, chunk, 1), state)
        rows.append(y[0])
    logits = np.concatenate(rows)[: len(data) - 1].astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    sure = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return np.asarray(-sure[np.arange(len(data) - 1), data[1:]] / math.log(2))


def read(session: Session, data: npt.NDArray[np.uint8], cuts: list[int]) -> TextScore:
    score, last = TextScore(session), 0
    for cut in [*sorted(min(c, len(data)) for c in cuts), len(data)]:
        score.push(data[last:cut])
        last = cut
    score.flush()
    return score


@settings(max_examples=15, deadline=None)
@given(size=st.integers(0, 300), cuts=st.lists(st.integers(0, 300), max_size=4))
def test_any_cut_gives_the_sums_of_the_pure_steps(
    session: Session, text: npt.NDArray[np.uint8], size: int, cuts: list[int]
) -> None:
    score = read(session, text[:size], cuts)
    assert score.count == size
    if size < 2:
        assert score.bits_per_byte is None
        return
    bits = pure(session, text[:size])
    assert score.bits_per_byte == pytest.approx(bits.mean(), rel=1e-6)
    expected = [(bits[:99].sum(), min(99, len(bits)))]
    if size > 100:
        expected.append((bits[99:].sum(), size - 100))
    assert [count for _, count in score.decades] == [count for _, count in expected]
    for (found, _), (right, _) in zip(score.decades, expected, strict=True):
        assert found == pytest.approx(right, rel=1e-6)
    assert score.clock.steps == -(-size // session.manifest.timing.chunk)


@pytest.mark.parametrize("name", ["bytes-gru", "bytes-transformer"])
def test_a_stream_says_the_same(name: str, text: npt.NDArray[np.uint8]) -> None:
    session, told = Session(resolve(name)), BitsPerByte()
    told.push(Stream(session).push(text[:1500]))
    score = read(session, text[:1500], [])
    assert score.bits_per_byte == pytest.approx(told.value, rel=1e-5)


def test_the_first_window(text: npt.NDArray[np.uint8]) -> None:
    session = Session(resolve("bytes-transformer"))
    score, bits = read(session, text[:300], [50]), pure(session, text[:300])
    assert score.window == 96
    assert score.window_bits_per_byte == pytest.approx(bits[:95].mean(), rel=1e-5)
    assert TextScore(session).window_bits_per_byte is None
    assert TextScore(Session(resolve("bytes-gru"))).window is None


@given(
    size=st.integers(1, 9), cuts=st.lists(st.integers(0, 60), max_size=6),
    bits=st.lists(st.floats(0.1, 9), min_size=1, max_size=60),
)  # fmt: skip
def test_passes_however_they_are_cut(size: int, cuts: list[int], bits: list[float]) -> None:
    values, passes, last = np.array(bits), Passes(size), 0
    for cut in [*sorted(min(c, len(bits)) for c in cuts), len(bits)]:
        passes.push(last, values[last:cut])
        last = cut
    whole = values[: len(bits) // size * size].reshape(-1, size)[:, 1:]
    means = whole.sum(axis=1) / max(1, size - 1)
    assert passes.count == len(means)
    if len(means):
        assert (passes.first, passes.last) == (pytest.approx(means[0]), pytest.approx(means[-1]))
    if len(means) > 1 and size > 1:
        largest = np.abs(means / means[0] - 1).max()
        assert passes.largest_change == pytest.approx(largest, abs=1e-9)
    else:
        assert passes.largest_change is None


def test_decades_of_a_long_text(tmp_path: Path) -> None:
    """Each text byte is foreseen with certainty but for the last of a period of 5."""
    session = Session(graphs.chain_model(tmp_path / "c.onnx", b"abcad"))
    score = TextScore(session, period=5)
    data = np.frombuffer(b"abcad" * 2400, np.uint8)
    score.push(data)
    assert [count for _, count in score.decades] == [99, 900, 9000, 2000]
    # After an "a" come "b" and "d", equally likely: 2 bits in 5 bytes.
    assert score.bits == pytest.approx(2 * 2400, rel=1e-5)
    for bits, count in score.decades:
        assert bits / count == pytest.approx(0.4, abs=0.01)
    assert score.passes is not None
    assert (score.passes.count, score.passes.first) == (2400, pytest.approx(0.5))
    assert score.passes.largest_change == pytest.approx(0, abs=1e-6)


def test_logits_that_are_no_numbers_are_an_error(tmp_path: Path) -> None:
    path = graphs.chain_model(tmp_path / "bad.onnx", b"ab", bad=b"b")
    score = TextScore(Session(path))
    with pytest.raises(StateError, match=r"bad\.onnx: logits are not finite within 2 bytes of b"):
        score.push(np.frombuffer(b"ab", np.uint8))


def test_only_models_that_foresee_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this is a keyword model, which foresees no text"):
        TextScore(Session(graphs.tone_model(tmp_path / "tones.onnx")))
