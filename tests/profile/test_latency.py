"""Step times are counted in constant memory, near enough to the truth."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseq.profile.latency import StepClock, time_steps


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300), st.floats(0.0, 1.0))
def test_quantiles_are_within_two_percent(times: list[int], q: float) -> None:
    clock = StepClock()
    for ns in times:
        clock.record(ns)
    rank = max(1, round(q * len(times)))
    assert clock.quantile_ms(q) * 1e6 == pytest.approx(sorted(times)[rank - 1], rel=0.016, abs=0.5)
    assert clock.max_ns == max(times)
    assert clock.total_ns == sum(times)
    assert clock.steps == len(times)
    assert clock.p50_ms <= clock.p99_ms <= clock.max_ms


def test_a_tail_shows() -> None:
    """F56: a mean would hide it."""
    clock = StepClock()
    for ns in [30_000] * 980 + [20_000_000] * 20:
        clock.record(ns)
    assert clock.p50_ms == pytest.approx(0.03, rel=0.016)
    assert clock.p99_ms == pytest.approx(20, rel=0.016)
    assert clock.max_ms == 20


def test_memory_is_constant_and_any_time_is_taken() -> None:
    clock = StepClock()
    before = len(pickle.dumps(clock))
    for ns in np.random.default_rng(0).integers(1, 10**9, 10_000).tolist():
        clock.record(ns)
    clock.record(2**62)
    assert clock.max_ns == 2**62
    assert len(pickle.dumps(clock)) <= before + 32
    clock.reset()
    assert clock.steps == 0
    assert clock.p99_ms == clock.max_ms == clock.total_s == 0


@given(st.lists(st.integers(0, 2**45), max_size=300), st.integers(0, 300))
def test_many_at_once_equal_one_by_one(times: list[int], cut: int) -> None:
    one, whole, rest = StepClock(), StepClock(), StepClock()
    for ns in times:
        one.record(ns)
    whole.record_all(np.array(times[:cut], np.int64))
    rest.record_all(np.array(times[cut:], np.int64))
    whole.merge(rest)
    assert pickle.dumps(whole) == pickle.dumps(one)


@given(st.lists(st.integers(0, 2**39), min_size=1, max_size=100))
def test_bars_hold_every_step_between_their_edges(times: list[int]) -> None:
    clock = StepClock()
    clock.record_all(np.array(times, np.int64))
    bars = clock.histogram_us()
    assert sum(count for *_, count in bars) == len(times)
    assert all(a[1] <= b[0] for a, b in pairwise(bars))
    for low, high, count in bars:
        assert sum(low * 1000 <= ns < high * 1000 for ns in times) == count


def test_each_input_is_stepped_once_and_timed() -> None:
    seen: list[int] = []
    times = time_steps(seen.append, range(1000))
    assert seen == list(range(1000))
    assert times.shape == (1000,)
    assert times.dtype == np.int64
    assert (times >= 0).all()
