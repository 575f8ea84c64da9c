"""Reading bytes: whole characters with their information, whatever the bytes are."""

from __future__ import annotations

import json
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseq.decode import ByteDecoder, make
from edgeseq.errors import StateError
from edgeseq.events import Event, Token
from edgeseq.spec import Timing

TIMING = Timing(None, 1, 1)


def decoder() -> ByteDecoder:
    made = make("bytes", (), TIMING, {"flush_s": 0})
    assert isinstance(made, ByteDecoder)
    return made


def rows(count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, 256)).astype(np.float32) * 3


def push(made: ByteDecoder, data: bytes, logits: npt.NDArray[np.float32]) -> list[Token]:
    x = np.frombuffer(data, np.uint8).astype(np.int64).reshape(1, -1, 1)
    return _tokens(made.push(logits, x))


def _tokens(events: list[Event]) -> list[Token]:
    return [event for event in events if isinstance(event, Token)]


def test_characters_carry_the_bits_of_their_bytes() -> None:
    data, logits = "aä€😀b".encode(), rows(11)
    tokens = push(decoder(), data, logits)
    assert [t.text for t in tokens] == list("aä€😀b")
    assert [t.time for t in tokens] == [1, 3, 6, 10, 11]
    softmax = np.exp(logits.astype(np.float64))
    softmax /= softmax.sum(1, keepdims=True)
    bits = [-math.log2(softmax[i - 1, data[i]]) for i in range(1, 11)]
    assert tokens[0].bits is None
    assert tokens[1].bits == pytest.approx(sum(bits[0:2]))
    assert tokens[3].bits == pytest.approx(sum(bits[5:9]))
    assert tokens[4].bits == pytest.approx(bits[9])


def test_what_is_expected_next_is_shown_when_it_can_be() -> None:
    logits = np.zeros((3, 256), np.float32)
    logits[0, ord("q")] = logits[1, 0xC3] = logits[2, ord("\n")] = 9
    assert [t.best for t in push(decoder(), b"abc", logits)] == ["q", "", ""]


@pytest.mark.parametrize(
    ("data", "texts", "times"),
    [
        (b"\xffa", "\ufffda", [1, 2]),
        (b"\xe2A", "\ufffdA", [1, 2]),
        (b"\xe2\xe2\x82\xac", "\ufffd€", [1, 4]),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd", [1, 2, 3]),
        (b"\xed\xa0\xc3\xa4", "\ufffd\ufffdä", [1, 2, 4]),
        (b"\xf0\x9f\x98", "\ufffd", [3]),
        (b"\xf0\x9f\xff", "\ufffd\ufffd", [2, 3]),
        (b"\x00\n", "\x00\n", [1, 2]),
    ],
)
def test_bytes_that_are_not_utf8_become_the_replacement(
    data: bytes, texts: str, times: list[int]
) -> None:
    made = decoder()
    tokens = push(made, data, rows(len(data))) + _tokens(made.flush())
    assert "".join(t.text for t in tokens) == texts
    assert [t.time for t in tokens] == times
    assert made.state()["bits"] == []


@given(data=st.binary(max_size=60), cuts=st.lists(st.integers(0, 60), max_size=4))
def test_any_bytes_cut_anyhow_are_read_in_full(data: bytes, cuts: list[int]) -> None:
    logits, whole = rows(len(data)), decoder()
    expected = push(whole, data, logits) + _tokens(whole.flush())
    assert "".join(t.text for t in expected) == data.decode("utf-8", "replace")
    assert [t.time for t in expected] == sorted({t.time for t in expected})
    made, tokens, last = decoder(), [], 0
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        tokens += push(made, data[last:cut], logits[last:cut])
        saved, last = json.loads(json.dumps(made.state())), cut
        made = decoder()
        made.restore(saved)
    assert tokens + _tokens(made.flush()) == expected
    # No bit is lost or counted twice.
    known = [t.bits for t in expected if t.bits is not None]
    first = len(expected[0].text.encode()) if expected and expected[0].text != "\ufffd" else 0
    if first == 1:
        softmax = np.exp(logits.astype(np.float64))
        softmax /= softmax.sum(1, keepdims=True)
        total = sum(-math.log2(softmax[i - 1, data[i]]) for i in range(1, len(data)))
        assert sum(known) == pytest.approx(total)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_logits_make_one_byte_unknown_and_no_more(bad: float) -> None:
    """F42."""
    logits = rows(4)
    logits[1, 7] = bad
    tokens = push(decoder(), b"abcd", logits)
    assert [t.bits is None for t in tokens] == [True, False, True, False]
    assert tokens[1].best == ""


def test_reset_is_as_fresh_and_memory_is_bounded() -> None:
    made = decoder()
    push(made, b"\xf0\x9f" * 5000, rows(10000))
    assert len(made.state()["bits"]) <= 4  # type: ignore[arg-type]
    made.reset()
    assert made.state() == decoder().state()
    with pytest.raises(StateError, match="byte model"):
        made.restore({"output": 0})
