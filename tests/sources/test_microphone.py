"""The microphone on a scripted sound card: what real ones do once a week, every time."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseq.errors import AudioError, ConfigError, MissingExtraError
from edgeseq.sources import Block, Device, Microphone, Resampler, list_devices
from edgeseq.sources.ring import AudioRing
from tests.sources.fakecard import Card, Stream

GOOD = {(16000, 1), (16000, 2), (48000, 2)}


def ramp(count: int, start: int = 0) -> npt.NDArray[np.float32]:
    """Samples that tell where they belong."""
    return (np.arange(start + 1, start + count + 1) / 2**20).astype(np.float32)


def microphone(card: Card, **options: Any) -> Microphone:
    return Microphone(backend=card, **options)


def ready(mic: Microphone) -> list[Block]:
    """What has come, until close; nothing waits."""
    mic.close()
    return list(mic.blocks())


def started(card: Card, **options: Any) -> tuple[Microphone, Stream]:
    """A microphone that is listening already; the first sample has been taken."""
    mic = microphone(card, **options)
    card.script = lambda stream: stream.give([[1.0] * stream.channels])
    next(mic.blocks())
    return mic, card.stream


def joined(blocks: list[Block]) -> npt.NDArray[np.float32]:
    return np.concatenate([block.samples for block in blocks]).astype(np.float32)


def test_opens_at_the_wanted_rate_when_it_can() -> None:
    """Mono, large latency, blocks of 20 ms, and no note."""
    card = Card(GOOD, channels=32)
    mic = microphone(card)
    assert (mic.name, mic.sample_rate, mic.live, mic.notes) == ("USB Mic", 16000, True, [])
    settings = card.stream.settings
    assert (settings["channels"], settings["blocksize"], settings["latency"]) == (1, 320, "high")
    mic.close()
    mic.close()


@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_refused_rate_falls_back_to_the_device_and_says_so(rate: int) -> None:
    """F1: -9997 at 16 kHz; resampled, the count is exact."""
    card = Card({(rate, 2)}, rate=rate)
    mic = microphone(card)
    assert mic.sample_rate == rate
    assert len(mic.notes) == 1
    assert f"opened at {rate} Hz with 2" in mic.notes[0]
    assert "-9997" in mic.notes[0]
    card.script = lambda stream: stream.give(np.full((rate, 2), 0.25))
    blocks = mic.blocks()
    samples = next(blocks).samples
    resampler = Resampler(mic.sample_rate, 16000)
    assert len(resampler.push(samples)) + len(resampler.flush()) == 16000
    mic.close()


def test_a_device_of_many_channels_is_opened_as_it_is() -> None:
    """F2: when neither the rate nor the channel count that was asked for is taken."""
    card = Card({(44100, 8)}, rate=44100, channels=8)
    assert microphone(card).sample_rate == 44100
    assert card.opened == [(16000, 1), (16000, 8), (44100, 1), (44100, 8)]


def test_a_device_that_takes_nothing_is_one_line() -> None:
    """F1: with everything that was tried."""
    with pytest.raises(AudioError, match=r"USB Mic: does not open \(.*-9997.*\); tried 16000"):
        microphone(Card(set()))


def test_a_device_that_does_not_start_is_one_line() -> None:
    """F1: opened but busy."""
    mic = microphone(Card(GOOD, start_error="Device unavailable"))
    with pytest.raises(AudioError, match="does not start"):
        next(mic.blocks())


@pytest.mark.parametrize("silent", [0, 1])
def test_a_voice_on_one_side_is_heard(silent: int) -> None:
    """F2: left only and right only; both channels of a stereo card are opened."""
    card = Card({(16000, 2), (16000, 1)})
    mic, stream = started(card)
    frames = np.stack([ramp(100), ramp(100)], axis=1)
    frames[:, silent] = 0
    stream.give(frames)
    np.testing.assert_array_equal(joined(ready(mic)), ramp(100) / 2)


def test_opposite_channels_are_noted_and_one_can_be_taken() -> None:
    """F2: the mix cancels."""
    frames = np.stack([np.sin(np.arange(9000)), -np.sin(np.arange(9000))], axis=1)
    mic, stream = started(Card({(16000, 2)}))
    stream.give(frames)
    ready(mic)
    assert any("cancel each other" in note for note in mic.notes)
    mic, stream = started(Card({(16000, 2)}), channel=1)
    stream.give(frames)
    np.testing.assert_array_equal(joined(ready(mic)), frames[:, 1].astype(np.float32))
    assert mic.notes == []


@pytest.mark.parametrize("channel", [2, -1])
def test_a_channel_that_the_device_lacks_is_refused(channel: int) -> None:
    """Before anything is opened."""
    card = Card(GOOD)
    with pytest.raises(ConfigError, match="it has 2"):
        microphone(card, channel=channel)
    assert card.opened == []


def test_a_slow_program_loses_audio_that_is_counted_and_marked() -> None:
    """F5: a burst larger than the buffer; the mark stands exactly where audio is missing."""
    mic, stream = started(Card(GOOD), channel=0, buffer_seconds=1.0)
    for begin in range(0, 24000, 320):
        stream.give(ramp(320, begin))
    assert (mic.overflows, mic.lost_samples) == (25, 8000)
    blocks = mic.blocks()
    first = next(blocks)
    np.testing.assert_array_equal(first.samples, ramp(16000))
    stream.give(ramp(320, 24000))
    second = next(blocks)
    assert (first.lost, second.lost) == (0, 8000)
    np.testing.assert_array_equal(second.samples, ramp(320, 24000))
    mic.close()


def test_fill_puts_zeros_where_audio_is_missing() -> None:
    """F6: stream time stays right, in pieces of bounded size."""
    mic, stream = started(Card(GOOD), channel=0, on_overflow="fill")
    stream.give(ramp(320), missing=0)
    stream.give(ramp(320, 40320), overflow=True, missing=40000)
    blocks = ready(mic)
    assert all(block.lost == 0 and len(block.samples) <= 16000 for block in blocks)
    samples = joined(blocks)
    assert not samples[320:40320].any()
    np.testing.assert_array_equal(samples[40320:], ramp(320, 40320))
    assert mic.lost_samples == 40000


def test_fail_stops_at_the_first_loss() -> None:
    """F6: what came before is still given."""
    mic, stream = started(Card(GOOD), channel=0, on_overflow="fail")
    stream.give(ramp(320))
    stream.give(ramp(320), overflow=True)
    mic.close()
    blocks = mic.blocks()
    assert len(next(blocks).samples) == 320
    with pytest.raises(AudioError, match=r"320 samples .* were lost"):
        next(blocks)


@pytest.mark.parametrize("stamped", [True, False], ids=["time stamps", "no time stamps"])
def test_an_hour_of_overflows_keeps_running_and_counting(stamped: bool) -> None:
    """F6, F7: every third callback; the loss is told by time stamps, or assumed one callback."""
    mic, stream = started(Card(GOOD), channel=0)
    blocks = mic.blocks()
    silence = np.full(1600, 0.1, np.float32)
    lost = 0
    for index in range(36000):
        bad = index % 3 == 2
        stream.give(silence, overflow=bad, missing=700 * bad if stamped else None)
        lost += next(blocks).lost
    mic.close()
    assert mic.overflows == 12000
    assert mic.lost_samples == lost == 12000 * (700 if stamped else 1600)
    assert mic.notes == []


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5), st.integers(0, 40)), max_size=60))
def test_the_ring_accounts_for_every_frame(script: list[tuple[int, int, int]]) -> None:
    """F5, F6: whatever was given, lost outside and taken, in any order and size."""
    ring = AudioRing(37, 2)
    given_frames = place = lost_total = 0
    for count, lost, most in script:
        given_frames += lost
        frames = np.arange(given_frames, given_frames + count, dtype=np.float32)
        ring.push(np.stack([frames, -frames], axis=1), lost)
        given_frames += count
        taken = ring.take(most) if most else None
        if taken is not None:
            place += taken[1]
            lost_total += taken[1]
            expected = np.arange(place, place + len(taken[0]), dtype=np.float32)
            np.testing.assert_array_equal(taken[0], np.stack([expected, -expected], axis=1))
            place += len(expected)
    while (taken := ring.take(100)) is not None:
        place += taken[1] + len(taken[0])
        lost_total += taken[1]
    # What is lost after the last frame shows only before the next one.
    assert ring.lost - lost_total == given_frames - place


def test_threads_share_the_ring_without_losing_count() -> None:
    """F5: a real second thread pushes while this one takes."""
    ring = AudioRing(500, 1)
    total = 200_000

    def push() -> None:
        for begin in range(0, total, 100):
            ring.push(np.arange(begin, begin + 100, dtype=np.float32)[:, None])

    thread = threading.Thread(target=push)
    thread.start()
    place = marked = 0
    while True:
        last = not thread.is_alive()
        taken = ring.take(333)
        if taken is None:
            if last:
                break
            continue
        place += taken[1]
        marked += taken[1]
        np.testing.assert_array_equal(
            taken[0][:, 0], np.arange(place, place + len(taken[0]), dtype=np.float32)
        )
        place += len(taken[0])
    thread.join()
    assert place + ring.lost - marked == total


def test_an_unplugged_microphone_is_an_error() -> None:
    """F8: callbacks stop; the audio that came first is given first."""
    mic, stream = started(Card(GOOD), channel=0, timeout_seconds=0.05, reopen=False)
    stream.give(ramp(320))
    blocks = mic.blocks()
    assert len(next(blocks).samples) == 320
    with pytest.raises(AudioError, match=r"no audio from USB Mic for 0\.05 s; is it unplugged"):
        list(blocks)
    mic.close()


def test_a_stream_that_portaudio_ended_is_noticed_at_once() -> None:
    """F8: no patience for what can never speak again."""
    mic, stream = started(Card(GOOD), channel=0, timeout_seconds=60, reopen=False)
    stream.active = False
    with pytest.raises(AudioError, match=r"no audio from USB Mic any more; is it unplugged"):
        list(mic.blocks())
    mic.close()


def test_a_microphone_that_never_speaks_is_an_error() -> None:
    """F8: the first audio may take longer, but not for ever."""
    mic = microphone(Card(GOOD), timeout_seconds=0.02)
    with pytest.raises(AudioError, match=r"no audio from USB Mic for 0\.05 s"):
        list(mic.blocks())


def test_exact_zeros_are_noted_once() -> None:
    """F8: more than two seconds; a quiet room is never exactly zero."""
    mic, stream = started(Card(GOOD), channel=0)
    blocks = mic.blocks()
    counts = []
    for zeros in (32000, 32001, 48000):
        for begin in range(0, zeros, 1000):
            stream.give(np.zeros(min(1000, zeros - begin)))
            next(blocks)
        stream.give(np.full(1, 1e-5))
        next(blocks)
        counts.append(len([note for note in mic.notes if "digital silence" in note]))
    assert counts == [0, 1, 1]


def test_close_ends_the_blocks_after_what_has_come() -> None:
    """F11: from another thread, while this one waits."""
    mic, stream = started(Card(GOOD), channel=0)
    stream.give(ramp(320))
    timer = threading.Timer(0.05, mic.close)
    timer.start()
    np.testing.assert_array_equal(joined(list(mic.blocks())), ramp(320))
    timer.join()
    assert stream.closed


def test_ctrl_c_ends_the_wait() -> None:
    """F11: while nothing comes, and the signal lands in another thread."""
    mic, _ = started(Card(GOOD), timeout_seconds=60)
    timer = threading.Timer(0.05, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        list(mic.blocks())
    timer.join()
    mic.close()


def test_devices_that_can_record_are_listed() -> None:
    """F9: with what to pass, and which is the default."""
    assert list_devices(Card(GOOD)) == [Device(1, "USB Mic", 2, 48000, True)]


@pytest.mark.parametrize("device", [1, "1", "USB", None])
def test_a_device_is_found_by_number_and_name(device: Any) -> None:
    """A number may come as text, from a command line."""
    assert microphone(Card(GOOD), device=device).name == "USB Mic"


def test_a_device_that_is_not_there_is_named_with_those_that_are() -> None:
    """F9: also when there is none at all."""
    card = Card(GOOD)
    with pytest.raises(AudioError, match="no input device 'Webcam'; there are: 1 'USB Mic'"):
        microphone(card, device="Webcam")
    del card.devices[1]
    with pytest.raises(AudioError, match=r"no default input device; .* no microphones at all"):
        microphone(card)
    assert list_devices(card) == []


def test_without_sounddevice_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """F9: not installed."""
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edgeseq\[mic\]'"):
        Microphone()


def test_without_portaudio_the_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """F9: sounddevice is there, the library below it is not."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AudioError, match="sudo apt install libportaudio2, or brew install"):
        Microphone()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"on_overflow": "ignore"}, "allowed are mark, fill and fail"),
        ({"buffer_seconds": 0}, "buffer_seconds is 0"),
        ({"block_seconds": -1}, "block_seconds is -1"),
        ({"rate": 5}, "5 samples a second"),
    ],
)
def test_wrong_options_are_refused(options: Any, words: str) -> None:
    """Before any device is touched."""
    card = Card(GOOD)
    with pytest.raises(ConfigError, match=words):
        microphone(card, **options)
    assert card.opened == []


def test_a_closed_microphone_gives_nothing() -> None:
    """close may be called again, and blocks() after close ends at once."""
    mic = microphone(Card(GOOD))
    mic.close()
    mic.close()
    assert list(mic.blocks()) == []
