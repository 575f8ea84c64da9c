"""Rate conversion as a stream."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseq.errors import ConfigError, StateError, StreamClosedError
from edgeseq.sources import Resampler

RATES = (8000, 11025, 22050, 24000, 32000, 44100, 48000, 96000)
Floats = npt.NDArray[np.float32]


def convert(samples: Floats, from_rate: int, to_rate: int = 16000) -> Floats:
    """All at once."""
    resampler = Resampler(from_rate, to_rate)
    return np.concatenate([resampler.push(samples), resampler.flush()])


def sweep(low: float, high: float, rate: int, seconds: float = 2.0) -> Floats:
    """A sine from `low` to `high` Hz, faded at both ends."""
    time = np.arange(round(rate * seconds)) / rate
    phase = 2 * np.pi * (low * time + (high - low) / (2 * seconds) * time**2)
    fade = np.minimum(1, np.minimum(time, time[::-1]) / 0.1)
    return (np.sin(phase) * (0.5 - 0.5 * np.cos(np.pi * fade))).astype(np.float32)


def level_db(samples: Floats, reference: Floats) -> float:
    """Level of `samples` against `reference`."""
    power = float(np.mean(samples.astype(np.float64) ** 2)) + 1e-30
    return float(10 * np.log10(power / np.mean(reference.astype(np.float64) ** 2)))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(RATES), st.lists(st.integers(0, 6000), max_size=12), st.integers(0, 6000))
def test_any_cut_gives_the_same_samples(rate: int, cuts: list[int], length: int) -> None:
    """F22, F34: also empty pushes and single samples."""
    samples = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    resampler = Resampler(rate, 16000)
    parts = [resampler.push(part) for part in np.split(samples, sorted(cuts))]
    parts.append(resampler.flush())
    np.testing.assert_array_equal(np.concatenate(parts), convert(samples, rate))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("length", [0, 1, 2, 100, 4801, 12345])
def test_the_number_of_samples_is_right(rate: int, length: int) -> None:
    """F2, F22: exact after flush, to the nearest with halves up, for short inputs too."""
    expected = (2 * length * 16000 + rate) // (2 * rate)
    assert len(convert(np.zeros(length, np.float32), rate)) == expected


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate > 16000])
def test_what_the_new_rate_cannot_hold_is_gone(rate: int) -> None:
    """F22: a sweep above half the new rate leaves an alias below -60 dB."""
    high = sweep(8000, rate / 2, rate)
    assert level_db(convert(high, rate), high) < -60


@pytest.mark.parametrize("rate", RATES)
def test_sound_keeps_its_level_and_its_time(rate: int) -> None:
    """F22: what both rates can hold comes out as if it had been recorded at the new rate."""
    top = 0.45 * min(rate, 16000)
    expected = sweep(50, top, 16000)
    assert level_db(convert(sweep(50, top, rate), rate) - expected, expected) < -60


def test_equal_rates_pass_through() -> None:
    """No filter, no delay."""
    samples = sweep(50, 7000, 16000)
    resampler = Resampler(16000, 16000)
    np.testing.assert_array_equal(resampler.push(samples), samples)
    assert not len(resampler.flush())


@pytest.mark.parametrize("rate", [16000, 44100])
def test_reset_equals_new_and_flush_is_the_end(rate: int) -> None:
    """F28, F30: bit for bit, and push after flush is refused, not silently wrong."""
    samples = sweep(50, 7000, rate, 0.5)
    resampler = Resampler(rate, 16000)
    resampler.push(samples)
    resampler.reset()
    again = np.concatenate([resampler.push(samples), resampler.flush()])
    np.testing.assert_array_equal(again, convert(samples, rate))
    for verb in (lambda: resampler.push(samples), resampler.flush):
        with pytest.raises(StreamClosedError, match="call reset first"):
            verb()
    resampler.reset()
    again = np.concatenate([resampler.push(samples), resampler.flush()])
    np.testing.assert_array_equal(again, convert(samples, rate))


@pytest.mark.parametrize("rate", [0, -1, 999, 10**7])
def test_rates_that_no_device_has_are_refused(rate: int) -> None:
    """F4: an error that names the value."""
    with pytest.raises(ConfigError, match=f"{rate} samples a second"):
        Resampler(rate, 16000)


@pytest.mark.parametrize("rate", [*RATES, 1000, 192000, 16001])
def test_sections_are_not_heard(rate: int) -> None:
    """The seams of several sections: the same as soxr in one piece, to the last bits of float32."""
    samples = np.random.default_rng(rate).uniform(-1, 1, (16 if rate == 16001 else 4) * rate)
    samples = samples.astype(np.float32)
    whole = soxr.ResampleStream(rate, 16000, 1, dtype="float32", quality="HQ").resample_chunk(
        samples, last=True
    )
    # Between rates that share no factor soxr's own clock drifts by 1e-5; a section sets it right.
    limit = 2e-5 if rate == 16001 else 1e-6
    np.testing.assert_allclose(convert(samples, rate), whole, rtol=0, atol=limit)


@pytest.mark.parametrize(("rate", "longest"), [(48000, 0.04), (44100, 0.045), (8000, 0.15)])
def test_the_lag_is_bounded(rate: int, longest: float) -> None:
    """What a listener waits for, beyond the model: at the seams too."""
    resampler, given = Resampler(rate, 16000), 0
    for step in range(1, 400):
        given += len(resampler.push(np.zeros(rate // 100, np.float32)))
        assert step / 100 - given / 16000 <= longest


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from((*RATES, 1000)),
    st.lists(st.tuples(st.integers(0, 20_000), st.booleans()), max_size=25),
)
def test_a_saved_resampler_goes_on_bit_for_bit(rate: int, steps: list[tuple[int, bool]]) -> None:
    """Saved and restored between any pushes of any size, also twice in a row."""
    total = sum(count for count, _ in steps)
    samples = np.random.default_rng(rate).uniform(-1, 1, total).astype(np.float32)
    resampler, parts, at = Resampler(rate, 16000), [], 0
    for count, save in steps:
        parts.append(resampler.push(samples[at : at + count]))
        at += count
        if save:
            state = pickle.loads(pickle.dumps(resampler.state))
            resampler = Resampler(rate, 16000)
            resampler.push(np.ones(123, np.float32))
            resampler.restore(state)
    parts.append(resampler.flush())
    np.testing.assert_array_equal(np.concatenate(parts), convert(samples, rate))


def test_a_state_stays_small() -> None:
    """Two leads and a section at most: 1.35 s of input, after an hour of single pushes too."""
    resampler = Resampler(8000, 16000)
    for _ in range(3600):
        resampler.push(np.zeros(8000, np.float32))
        assert len(resampler.state["input"]) <= 1.35 * 8000


@pytest.mark.parametrize(
    "change",
    [
        {"from_rate": 44100},
        {"seen": -1},
        {"seen": 2.5},
        {"seen": 10**12},
        {"given": 1},
        {"given": [1, 2, 3]},
        {"input": np.zeros(3)},
        {"input": np.zeros(10**6, np.float32)},
        {"input": [0.0]},
        {"more": 1},
    ],
    ids=str,
)
def test_a_state_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    resampler = Resampler(48000, 16000)
    resampler.push(np.ones(100_000, np.float32))
    kept = resampler.state
    with pytest.raises(StateError, match="does not fit a conversion from 48000 Hz"):
        resampler.restore(kept | change)
    with pytest.raises(StateError):
        resampler.restore({})
    assert resampler.state["seen"] == 100_000
