"""F1 to F8: faults of sound cards by script, in simulated time, through the real Microphone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseq import Gap, Keyword, Session, Stream
from edgeseq.errors import AudioError, ConfigError
from edgeseq.sources import Block, Microphone
from edgeseq.sources.drift import DriftMeter
from edgeseq.sources.scenarios import SCENARIOS, Outcome, play
from edgeseq.sources.simulated import KINDS, Fault, Script, SimulatedCard
from tests import graphs
from tests.graphs import LOW_HZ, silence, tone

RATE = 16000


def ramp(seconds: float) -> npt.NDArray[np.float32]:
    """Samples that tell where they belong, none of them 0."""
    return (np.arange(1, round(seconds * RATE) + 1) / 2**24).astype(np.float32)


def listen(script: Script, audio: Any = None, **options: Any) -> tuple[Microphone, list[Block]]:
    """All blocks of `script`, to its end."""
    card = SimulatedCard(script, audio)
    mic = Microphone(backend=card, clock=card, **options)
    blocks = []
    for block in mic.blocks():
        blocks.append(block)
        if card.now() >= script.seconds:
            mic.close()
    return mic, blocks


def mono(*faults: Fault, seconds: float = 60.0, drift_ppm: float = 0.0) -> Script:
    return Script(rate=RATE, channels=1, seconds=seconds, faults=faults, drift_ppm=drift_ppm)


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str) -> None:
    """Each fault is told, and every second is heard or counted as lost."""
    assert play(SCENARIOS[name].script).faults(SCENARIOS[name]) == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_can_fail(name: str) -> None:
    """The check itself: an outcome that heard nothing and says nothing is found out."""
    nothing = Outcome(0, 0, 10, 0, (), (), "", None)
    assert nothing.faults(SCENARIOS[name]) != []


def test_f1_a_refused_rate_is_heard_at_the_own_rate() -> None:
    mic, blocks = listen(Script(takes=((44100, 2),), rate=44100))
    assert mic.sample_rate == 44100
    assert sum(len(b.samples) for b in blocks) == pytest.approx(441000, abs=1000)


@pytest.mark.parametrize(("signal", "loudest"), [("left", 0.25), ("right", 0.25), ("both", 0.5)])
def test_f2_a_voice_on_any_side_is_heard(signal: str, loudest: float) -> None:
    outcome = play(Script(signal=signal))
    assert outcome.loudest == pytest.approx(loudest, abs=0.01)
    assert not any("cancel" in note for note in outcome.notes)


def test_f5_a_slow_model_loses_only_what_does_not_fit_and_says_where() -> None:
    """A step of 300 ms for every 20 ms of audio, for 60 s, with a buffer of 2 s."""
    card = SimulatedCard(mono(), ramp(70))
    mic = Microphone(backend=card, clock=card, buffer_seconds=2.0)
    place = marked = 0
    for block in mic.blocks():
        for begin in range(0, max(1, len(block.samples)), 320):
            piece = block.samples[begin : begin + 320]
            if begin == 0:
                place += block.lost
                marked += block.lost
            np.testing.assert_array_equal(
                piece, np.arange(place + 1, place + 1 + len(piece), dtype=np.float32) / 2**24
            )
            place += len(piece)
            if card.now() < 60 and len(piece):
                card.work(0.3)
        if card.now() >= 60:
            mic.close()
    assert mic.overflows > 0
    assert mic.health.lost_seconds == pytest.approx(mic.lost_samples / RATE, abs=1e-3)
    # What was lost while the last second was computed shows only before the next one.
    assert 0 < mic.lost_samples - marked < 16 * RATE
    assert place + mic.lost_samples - marked == pytest.approx(card.now() * RATE, abs=RATE)


@pytest.mark.parametrize("policy", ["mark", "fill", "fail"])
def test_f6_an_overflow_follows_the_policy(policy: Any) -> None:
    script = mono(Fault("overflow", 2.0, 0.5), seconds=5.0)
    if policy == "fail":
        with pytest.raises(AudioError, match=r"8000 samples \(0\.500 s\) were lost"):
            listen(script, on_overflow=policy)
        return
    mic, blocks = listen(script, ramp(6), on_overflow=policy)
    samples = np.concatenate([b.samples for b in blocks])
    marks = [b.cause for b in blocks if b.lost]
    assert (mic.health.overflows, mic.health.lost_seconds) == (1, 0.5)
    assert marks == (["overflow"] if policy == "mark" else [])
    zeros = int(np.count_nonzero(samples == 0))
    assert zeros == (8000 if policy == "fill" else 0)
    if policy == "fill":
        # What was heard lies where it belongs.
        there = np.flatnonzero(samples)
        np.testing.assert_array_equal(samples[there], ramp(6)[there])


def test_f8_an_unplugged_microphone_comes_back_and_the_gap_is_right() -> None:
    """Gone for 30 s: one Gap of the whole time, and what follows is at its place."""
    mic, blocks = listen(mono(Fault("unplug", 5.0, 30.0)), ramp(70), channel=0)
    gap = next(b for b in blocks if b.lost)
    heard = np.concatenate([b.samples for b in blocks[: blocks.index(gap)]])
    np.testing.assert_array_equal(heard, ramp(70)[: len(heard)])
    assert gap.cause == "device"
    place = len(heard) + gap.lost
    # Known by the clock, to less than a callback.
    assert gap.samples[0] * 2**24 == pytest.approx(place, abs=330)
    assert mic.health.losses == 1
    gone, back = mic.notes
    assert "no audio for 2 s; is it unplugged" in gone
    assert "audio again after 3" in back
    assert 30 < gap.lost / RATE < 36


@pytest.mark.parametrize("options", [{"reopen": False}, {"on_overflow": "fail"}])
def test_f8_once_and_fail_end_when_the_microphone_goes(options: Any) -> None:
    with pytest.raises(AudioError, match=r"no audio from Simulated Mic for 2 s"):
        listen(mono(Fault("unplug", 5.0, 30.0)), **options)


def test_f8_a_long_outage_is_marked_even_where_losses_are_filled() -> None:
    """Zeros for half an hour would take longer to compute than the buffer holds."""
    script = mono(Fault("unplug", 5.0, 1800.0), seconds=2000.0)
    mic, blocks = listen(script, on_overflow="fill", buffer_seconds=10.0)
    assert sum(b.lost for b in blocks) == mic.lost_samples > 1800 * RATE


def test_f8_the_device_is_looked_for_with_back_off() -> None:
    """Ten minutes without it: a look every 5 s, not a busy loop, and one loss."""
    script = mono(Fault("unplug", 5.0, 600.0), seconds=620.0)
    card = SimulatedCard(script)
    looks: list[float] = []
    plain = card.query_devices
    card.query_devices = lambda *a, **k: looks.append(card.now()) or plain(*a, **k)  # type: ignore[method-assign]
    mic = Microphone(backend=card, clock=card)
    for _ in mic.blocks():
        if card.now() >= script.seconds:
            mic.close()
    times = sorted(set(looks))
    assert 100 < len(times) < 140
    assert np.diff(times[8:]).min() > 4.9
    assert mic.health.losses == 1


def test_f8_a_microphone_that_goes_every_minute_does_not_fill_the_memory() -> None:
    faults = tuple(Fault("unplug", 8.0 * i, 1.0) for i in range(1, 60))
    mic, _ = listen(mono(*faults, seconds=480.0), timeout_seconds=0.5, block_seconds=0.1)
    assert mic.health.losses == 59
    assert len(mic.notes) == 100


def test_f11_a_microphone_that_is_closed_while_it_is_opened_again_stays_closed() -> None:
    """By another thread: the device must not stay open behind its back."""
    card = SimulatedCard(mono(Fault("unplug", 2.0, 5.0)))
    mic = Microphone(backend=card, clock=card)
    plain = card.InputStream

    def closing(**settings: Any) -> Any:
        stream = plain(**settings)
        mic.close()
        return stream

    blocks = mic.blocks()
    while card.now() < 6:
        next(blocks)
    card.InputStream = closing  # type: ignore[method-assign]
    assert [len(block.samples) for block in blocks if len(block.samples)] == []
    assert card._stream is None


def test_f8_another_microphone_is_never_taken_in_its_place() -> None:
    """The default device becomes another one when the first is unplugged: that was not chosen."""
    card = SimulatedCard(mono(Fault("unplug", 2.0, 1e4)))
    mic = Microphone(backend=card, clock=card)
    blocks = mic.blocks()
    while card.now() < 6:
        next(blocks)
    other = {"index": 3, "name": "Built-in", "max_input_channels": 1, "default_samplerate": 16e3}
    card.query_devices = lambda device=None, kind=None: [other] if kind is None else other  # type: ignore[method-assign]
    opened = len(card.opened)
    while card.now() < 60:
        assert next(blocks).lost == 0
    assert len(card.opened) == opened
    mic.close()


def test_f8_digital_silence_is_counted_and_told() -> None:
    mic, _ = listen(mono(Fault("zeros", 2.0, 5.0), Fault("zeros", 10.0, 1.0), seconds=20.0))
    assert mic.health.silent_seconds == pytest.approx(5.0, abs=0.05)
    assert sum("digital silence" in note for note in mic.notes) == 1


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.floats(0.1, 8), st.floats(0.01, 3)), max_size=4),
    st.sampled_from(["mark", "fill"]),
)
def test_any_faults_keep_every_sample_at_its_place(
    faults: list[tuple[str, float, float]], policy: Any
) -> None:
    """What is heard is in order; what the device tells or the clock shows is accounted for."""
    script = mono(*(Fault(*fault) for fault in faults), seconds=20.0)
    _, blocks = listen(script, ramp(40), on_overflow=policy)
    samples = np.concatenate([b.samples for b in blocks])
    places = samples[samples != 0]
    assert np.all(np.diff(places) > 0)
    hidden = sum(f.seconds + 0.1 for f in script.faults if f.kind in ("stall", "burst"))
    accounted = (len(samples) + sum(b.lost for b in blocks)) / RATE
    assert accounted == pytest.approx(20.0, abs=0.2 + hidden)


@pytest.mark.parametrize("ppm", [-3000.0, -500.0, 500.0, 80000.0])
def test_drift_is_measured_and_told(ppm: float) -> None:
    """A slow or fast clock, up to 44.1 kHz sold as 48."""
    mic, _ = listen(mono(seconds=max(100.0, 1.3e6 / abs(ppm)), drift_ppm=ppm), block_seconds=0.1)
    assert mic.health.drift_ppm == pytest.approx(ppm, rel=0.02)
    assert sum("ppm" in note for note in mic.notes) == 1


@pytest.mark.parametrize("ppm", [0.0, 100.0])
def test_a_good_clock_is_not_spoken_of(ppm: float) -> None:
    mic, _ = listen(
        mono(Fault("burst", 70.0, 1.5), seconds=1000.0, drift_ppm=ppm), block_seconds=0.1
    )
    assert mic.health.drift_ppm == pytest.approx(ppm, abs=5)
    assert mic.notes == []


def test_late_news_is_not_taken_for_drift() -> None:
    """A busy machine hears late by up to 0.3 s, at random, for an hour."""
    meter, random = DriftMeter(RATE), np.random.default_rng(0)
    for second in range(3600):
        meter.push(second + random.uniform(0, 0.3), second * RATE)
    assert meter.ppm is not None
    assert abs(meter.ppm) < 20


def test_words_are_heard_around_an_outage_and_the_gap_is_an_event(tmp_path: Path) -> None:
    """End to end: a word, the microphone goes for 10 s, it comes back, a word at its own time."""
    session = Session(graphs.tone_model(tmp_path / "tone.onnx"))
    word = tone(LOW_HZ, 0.3)
    audio = np.concatenate([silence(2), word, silence(27.7), word, silence(10)])
    mic, blocks = listen(mono(Fault("unplug", 8.0, 10.0), seconds=40.0), audio)
    stream = Stream(session)
    events = [e for b in blocks for e in stream.push(b.samples, RATE, b.lost, b.cause)]
    events += stream.flush()
    first, gap, second = events
    assert isinstance(first, Keyword)
    assert isinstance(second, Keyword)
    assert isinstance(gap, Gap)
    assert gap.cause == "device"
    assert first.time == pytest.approx(2.3, abs=0.1)
    assert second.time == pytest.approx(30.3, abs=0.15)
    assert mic.health.losses == 1


GOOD = """
name = "USB Mic"
rate = 44100
channels = 1
takes = [{rate = 44100, channels = 1}]
signal = "left"
drift_ppm = 12.5
seconds = 3
faults = [{kind = "zeros", at = 1, seconds = 0.5}]
"""


def test_a_script_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "mic.toml"
    path.write_text(GOOD)
    expected = Script(
        "USB Mic", 44100, 1, ((44100, 1),), "left", 12.5, 3.0, (Fault("zeros", 1.0, 0.5),)
    )
    assert Script.read(path) == expected
    for old, new, words in [
        ("zeros", "fire", "faults[0].kind"),
        ("rate = 44100\n", "rate = 1\n", ".rate: is 1"),
        ("seconds = 3", "seconds = inf", ".seconds: is"),
        ("drift_ppm", "drift", "drift"),
        ('signal = "left"', "signal =", "Invalid value"),
    ]:
        path.write_text(GOOD.replace(old, new))
        with pytest.raises(ConfigError, match=r"mic\.toml") as error:
            Script.read(path)
        assert words in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        Script.read(tmp_path / "gone.toml")
    assert math.isfinite(expected.seconds)
