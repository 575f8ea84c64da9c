"""What a stream does with other rates, losses, damage and samples of the wrong kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgeseq import Event, Gap, Keyword, Session, Stream
from edgeseq.errors import AudioError, ConfigError
from edgeseq.timeline import KEPT, Timeline
from tests import graphs
from tests.graphs import HIGH_HZ, LOW_HZ, RATE, noise, silence, tone

WORDS = np.concatenate(
    [silence(0.3), tone(LOW_HZ, 0.2), silence(0.4), tone(HIGH_HZ, 0.2), silence(0.3)]
)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Session]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "tone": Session(graphs.tone_model(folder / "tone.onnx")),
        "gru": Session(graphs.gru_model(folder / "gru.onnx")),
        "bytes": Session(graphs.byte_model(folder / "bytes.onnx", chunk=4)),
    }


def _events(session: Session, *pieces: npt.NDArray[Any], rate: int | None = None) -> list[Event]:
    stream = Stream(session)
    events = [event for piece in pieces for event in stream.push(piece, rate)]
    return events + stream.flush()


def _labels(events: list[Event]) -> list[str]:
    return [event.label for event in events if isinstance(event, Keyword)]


# --- other rates ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_other_rates_are_converted(sessions: dict[str, Session], rate: int) -> None:
    """F1, F22: the same words at the same times as at the model's rate."""
    time = np.arange(round(1.4 * rate)) / rate
    low, high = (0.3 <= time) & (time < 0.5), (0.9 <= time) & (time < 1.1)
    signal = 0.5 * np.sin(2 * np.pi * time * np.where(low, LOW_HZ, HIGH_HZ)) * (low | high)
    signal = signal.astype(np.float32)
    events = _events(sessions["tone"], signal, rate=rate)
    assert _labels(events) == ["low", "high"]
    for event, expected in zip(events, _events(sessions["tone"], WORDS), strict=True):
        assert event.time == pytest.approx(expected.time, abs=0.021)
    pieces = np.split(signal, [1, 2000, 2001, 9000])
    assert _events(sessions["tone"], *pieces, rate=rate) == events


def test_the_rate_may_change_and_a_bad_one_changes_nothing(sessions: dict[str, Session]) -> None:
    """F4."""
    stream = Stream(sessions["tone"])
    stream.push(np.zeros(2400, np.float32), rate=8000)
    stream.push(np.zeros(7200, np.float32), rate=24000)
    seconds = stream.seconds
    for rate in (0, -1, 16000.5, "16000", True, 10**9):
        with pytest.raises(ConfigError, match=r"rate|samples a second"):
            stream.push(WORDS, rate=rate)  # type: ignore[arg-type]
    assert stream.seconds == seconds == pytest.approx(0.6)
    events = stream.push(WORDS) + stream.flush()
    assert [e.time - 0.6 for e in events] == pytest.approx(
        [e.time for e in _events(sessions["tone"], WORDS)], abs=0.011
    )
    with pytest.raises(ConfigError, match="a text stream has none"):
        Stream(sessions["bytes"]).push(b"abc", rate=16000)


# --- losses and damage ---------------------------------------------------------------------------


def test_a_gap_is_an_event_and_time_goes_on(sessions: dict[str, Session]) -> None:
    """F5, F6: words after the gap come at their real time, state is kept."""
    plain = _events(sessions["tone"], WORDS)
    stream = Stream(sessions["tone"])
    cut = round(0.75 * RATE)
    first = stream.push(WORDS[:cut])
    rest = stream.push(WORDS[cut:], lost=RATE // 2)
    assert rest[0] == Gap(pytest.approx(1.25), 0.5, "lost")
    assert first == plain[:1]
    assert rest[1].time == pytest.approx(plain[1].time + 0.5)
    assert stream.seconds == pytest.approx(1.4 + 0.5)
    assert all(event.time <= stream.seconds for event in stream.flush())


def test_an_event_before_a_gap_keeps_its_time(sessions: dict[str, Session]) -> None:
    stream = Stream(sessions["tone"])
    word = np.concatenate([silence(0.2), tone(LOW_HZ, 0.12)])
    assert stream.push(word) == []
    gap, event = stream.push(silence(1), lost=2 * RATE)
    assert isinstance(gap, Gap)
    assert event.time == pytest.approx(0.33, abs=0.06) or event.time > 2.32
    (plain,) = _events(sessions["tone"], word, silence(1))
    shift = 0.0 if plain.time <= word.size / RATE else 2.0
    assert event.time == pytest.approx(plain.time + shift)


def test_a_gap_at_another_rate_counts_its_own_samples(sessions: dict[str, Session]) -> None:
    stream = Stream(sessions["tone"])
    stream.push(np.zeros(4800, np.float32), rate=48000)
    (gap,) = stream.push(np.zeros(0, np.float32), rate=48000, lost=24000)
    assert gap == Gap(pytest.approx(0.6), 0.5, "lost")
    with pytest.raises(ConfigError, match="lost is -1"):
        stream.push(silence(0.1), lost=-1)


def test_many_gaps_take_no_more_memory_and_no_time_is_lost() -> None:
    """F6: an overflow in every third block, overnight."""
    timeline = Timeline()
    for i in range(100_000):
        timeline.add_gap(i * 0.1, 0.05)
    assert len(timeline.gaps) == KEPT
    assert timeline.lost == pytest.approx(5000)
    assert timeline.stream(10_000.0) == pytest.approx(15_000)
    assert timeline.stream(99_998 * 0.1) == pytest.approx(9999.8 + 99_998 * 0.05)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, -3e38, 101.0])
def test_damaged_samples_become_zero_and_are_counted(
    sessions: dict[str, Session], bad: float
) -> None:
    """F42: they do not live on in the state."""
    stream, clean = Stream(sessions["gru"]), Stream(sessions["gru"])
    head, tail = noise(0.5), noise(0.5, seed=1)
    broken, zeroed = head.copy(), head.copy()
    broken[100:105] = bad
    zeroed[100:105] = 0
    assert stream.push(broken) == clean.push(zeroed)
    assert stream.repaired == 5
    assert np.all(broken[100:105] == np.float32(bad)) or np.isnan(bad)
    assert stream.push(tail) + stream.flush() == clean.push(tail) + clean.flush()
    stream.reset()
    assert stream.repaired == 0


@pytest.mark.parametrize(
    "head",
    [silence(2), np.full(RATE, 1e-40, np.float32), np.ones(RATE, np.float32), -tone(50, 1, 1.0)],
    ids=["zeros", "denormal", "dc", "full scale"],
)
def test_extreme_input_leaves_later_words_alone(
    sessions: dict[str, Session], head: npt.NDArray[np.float32]
) -> None:
    """F42."""
    stream = Stream(sessions["tone"])
    stream.push(head)
    stream.push(silence(0.5))
    assert all(np.isfinite(v).all() for v in stream.state["tensors"].values())
    assert _labels(stream.push(WORDS)) == ["low", "high"]


def test_int16_is_scaled(sessions: dict[str, Session]) -> None:
    whole = np.round(WORDS * 32768).clip(-32768, 32767).astype(np.int16)
    as_float = (whole / 32768).astype(np.float32)
    assert _events(sessions["tone"], whole) == _events(sessions["tone"], as_float)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(10), "float32 in .* or int16, got float64"),
        (np.zeros(10, np.int32), "got int32"),
        (np.zeros(10, np.uint8), "got uint8"),
        (np.zeros(10, ">i2"), "got >i2"),
        (np.zeros((10, 1), np.float32), r"one channel \[n\], got shape \[10, 1\]"),
        (np.float32(0.5), "got float32"),
        ([0.0, 0.1], "got list"),
        (b"abcd", "got uint8"),
        (None, "got NoneType"),
    ],
    ids=str,
)
def test_samples_of_another_kind_are_refused(
    sessions: dict[str, Session], samples: Any, message: str
) -> None:
    stream = Stream(sessions["tone"])
    with pytest.raises(AudioError, match=message):
        stream.push(samples)
    assert stream.seconds == 0
    assert stream.push(WORDS) == Stream(sessions["tone"]).push(WORDS)


def test_text_streams_take_bytes_only(sessions: dict[str, Session]) -> None:
    for wrong in ("text", np.zeros(3, np.int64), np.zeros((1, 3), np.uint8)):
        with pytest.raises(AudioError):
            Stream(sessions["bytes"]).push(wrong)  # type: ignore[arg-type]


def test_input_is_not_changed(sessions: dict[str, Session]) -> None:
    samples = noise(0.1)
    samples[3] = np.nan
    kept = samples.copy()
    samples.flags.writeable = False
    Stream(sessions["gru"]).push(samples)
    assert np.array_equal(samples, kept, equal_nan=True)
