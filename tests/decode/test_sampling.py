"""Drawing tokens: nothing that is excluded is ever drawn, and draws can be repeated."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeseq.decode.sampling import Sampler
from edgeseq.errors import ConfigError, StateError

LOGITS = arrays(np.float32, st.integers(1, 40), elements=st.floats(-90, 90, width=32))


def softmax(logits: npt.NDArray[np.float32], temperature: float) -> npt.NDArray[np.float64]:
    scores = logits.astype(np.float64) / temperature
    p = np.exp(scores - scores.max())
    return np.asarray(p / p.sum())


@given(
    logits=LOGITS, temperature=st.floats(0.05, 5), top_k=st.integers(0, 45),
    top_p=st.floats(0.01, 1), seed=st.integers(0, 2**32),
)  # fmt: skip
def test_top_k_and_top_p_never_give_an_excluded_token(
    logits: npt.NDArray[np.float32], temperature: float, top_k: int, top_p: float, seed: int
) -> None:
    sampler = Sampler(temperature, top_k, top_p, seed)
    drawn = {sampler.sample(logits) for _ in range(20)}
    kept, p = sampler.kept(logits)
    assert drawn <= set(kept.tolist())
    assert p.sum() == pytest.approx(1)
    allowed = top_k or len(logits)
    assert 1 <= len(kept) <= min(allowed, len(logits))
    # Judged by the definitions alone: fewer tokens are likelier than a kept one than top_k, and
    # those do not reach top_p.
    whole = softmax(logits, temperature)
    of_k = np.sort(whole)[::-1][:allowed].sum()
    for token in drawn:
        likelier = whole[logits > logits[token]]
        assert len(likelier) < allowed
        assert likelier.sum() / of_k < top_p + 1e-9


@given(logits=LOGITS, temperature=st.floats(0.1, 5), top_p=st.floats(0.01, 0.99))
def test_top_p_keeps_the_fewest_that_reach_it(
    logits: npt.NDArray[np.float32], temperature: float, top_p: float
) -> None:
    whole = softmax(logits, temperature)
    kept, _ = Sampler(temperature, top_p=top_p).kept(logits)
    assert whole[kept].sum() >= top_p - 1e-9
    assert whole[kept[:-1]].sum() < top_p + 1e-9


@given(logits=LOGITS, seed=st.integers(0, 2**32), top_k=st.integers(0, 9))
def test_temperature_0_is_greedy_and_needs_no_luck(
    logits: npt.NDArray[np.float32], seed: int, top_k: int
) -> None:
    best = Sampler(0.0, top_k, 0.5, seed)
    assert [best.sample(logits) for _ in range(3)] == [int(np.argmax(logits))] * 3
    assert best.kept(logits)[0].tolist() == [int(np.argmax(logits))]


def test_a_tiny_temperature_is_as_good_as_greedy() -> None:
    for tiny in (1e-30, 5e-324):
        assert Sampler(tiny).sample(np.array([1, 3, 2], np.float32)) == 1


@given(logits=LOGITS, seed=st.integers(0, 2**32))
def test_the_same_seed_draws_the_same(logits: npt.NDArray[np.float32], seed: int) -> None:
    one, two = Sampler(seed=seed), Sampler(seed=seed)
    assert [one.sample(logits) for _ in range(9)] == [two.sample(logits) for _ in range(9)]


def test_draws_are_as_likely_as_the_model_says() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    count = 20_000
    for temperature in (1.0, 2.0):
        sampler = Sampler(temperature, seed=3)
        drawn = np.bincount([sampler.sample(logits) for _ in range(count)], minlength=4)
        p = softmax(logits, temperature)
        # Five standard deviations.
        limit = 5 * np.sqrt(p * (1 - p) / count)
        assert (np.abs(drawn / count - p) < limit).all()
    assert len({Sampler(seed=n).sample(logits) for n in range(50)}) > 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_are_an_error(bad: float, temperature: float) -> None:
    """F42."""
    with pytest.raises(StateError, match="logits are not finite"):
        Sampler(temperature).sample(np.array([0, bad], np.float32))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": -1}, "temperature is -1, must be 0 or more"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"temperature": math.inf}, "temperature is inf"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 0.0}, "top_p is 0, must be above 0"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"top_p": math.nan}, "top_p is nan"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_a_wrong_setting_is_an_error(options: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Sampler(**options)  # type: ignore[arg-type]
