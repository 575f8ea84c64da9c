"""A front end cuts input into chunks; how it was cut before does not matter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseq.errors import StateError
from edgeseq.frontends import ByteFrontend, Frontend, PcmFrontend
from edgeseq.spec import Timing

AUDIO = Timing(16000, 12, 10, chunk=3)
TEXT = Timing(None, 1, 1, chunk=4)

Array = npt.NDArray[np.generic]


def _pieces(samples: Array, cuts: Sequence[int]) -> list[Array]:
    return np.split(samples, sorted(cut % (samples.size + 1) for cut in cuts))


def _chunks(front: Frontend, pieces: list[Array]) -> list[Array]:
    return [x.copy() for piece in pieces for x in front.push(piece)] + [
        x.copy() for x in front.flush()
    ]


@given(
    samples=st.integers(0, 200).map(lambda n: np.arange(n, dtype=np.float32)),
    cuts=st.lists(st.integers(0, 10_000), max_size=8),
)
def test_any_cut_gives_equal_chunks(samples: Array, cuts: list[int]) -> None:
    """F34: pieces of any length, also empty ones."""
    chunks = _chunks(PcmFrontend(AUDIO), _pieces(samples, cuts))
    whole = np.zeros(-(-samples.size // 30) * 30, np.float32)
    whole[: samples.size] = samples
    assert [x.shape for x in chunks] == [(1, 3, 10)] * (whole.size // 30)
    assert all(x.dtype == np.float32 for x in chunks)
    assert np.array_equal(np.concatenate([[], *(x.reshape(-1) for x in chunks)]), whole)


@given(data=st.binary(max_size=40), cuts=st.lists(st.integers(0, 1000), max_size=5))
def test_bytes_become_int64_values(data: bytes, cuts: list[int]) -> None:
    front = ByteFrontend(TEXT)
    chunks = _chunks(front, _pieces(np.frombuffer(data, np.uint8), cuts))
    assert all(x.shape == (1, 4, 1) and x.dtype == np.int64 for x in chunks)
    values = [int(v) for x in chunks for v in x.reshape(-1)]
    assert values[: len(data)] == list(data)
    assert not any(values[len(data) :])


def test_memory_is_one_chunk_and_reused() -> None:
    front = PcmFrontend(AUDIO)
    arrays = {id(x) for x in front.push(np.ones(3000, np.float32))}
    assert len(arrays) == 1
    assert front.filled == 0


def test_input_is_not_changed_and_reset_forgets() -> None:
    front, samples = PcmFrontend(AUDIO), np.ones(25, np.float32)
    assert not list(front.push(samples))
    assert front.filled == 25
    front.reset()
    assert not list(front.flush())
    assert np.array_equal(samples, np.ones(25))


def test_waiting_samples_can_be_saved_and_restored() -> None:
    first, second = PcmFrontend(AUDIO), PcmFrontend(AUDIO)
    list(first.push(np.arange(47, dtype=np.float32)))
    saved = first.state()
    second.restore(saved)
    rest = np.arange(47, 100, dtype=np.float32)
    assert all(
        np.array_equal(a, b) for a, b in zip(first.push(rest), second.push(rest), strict=True)
    )
    assert saved.size == 17


@pytest.mark.parametrize(
    "wrong", [np.zeros(30, np.float32), np.zeros(2), np.zeros((1, 2), np.float32), [1.0]]
)
def test_samples_that_cannot_be_waiting_are_refused(wrong: Array) -> None:
    with pytest.raises(StateError, match="waiting samples must be float32"):
        PcmFrontend(AUDIO).restore(wrong)
