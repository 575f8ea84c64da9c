"""Rate conversion as a stream."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseq.errors import ConfigError, StreamClosedError
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
