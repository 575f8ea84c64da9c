"""Speech has a beginning and an end; flickering has neither."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseq.decode import VadDecoder, make
from edgeseq.errors import StateError
from edgeseq.events import Event, Speech
from edgeseq.spec import Timing

TIMING = Timing(16000, 160, 160)  # 10 ms
SETTINGS: dict[str, object] = {
    "on": 0.6,
    "off": 0.4,
    "min_speech_s": 0.1,
    "min_silence_s": 0.3,
    "pad_s": 0.05,
    "flush_s": 0.1,
}
X = np.zeros((1, 1, 160), np.float32)


def decoder(**change: object) -> VadDecoder:
    made = make("vad", ("_silence_", "speech"), TIMING, {**SETTINGS, **change})
    assert isinstance(made, VadDecoder)
    return made


def logits(*parts: tuple[int, float]) -> npt.NDArray[np.float32]:
    """Rows for `(frames, probability)` parts."""
    p = np.concatenate([np.full(frames, probability) for frames, probability in parts])
    return np.stack([np.zeros_like(p), np.log(p) - np.log1p(-p)], axis=1).astype(np.float32)


def run(*parts: tuple[int, float], **change: object) -> list[tuple[float, bool]]:
    made = decoder(**change)
    return _plain(made.push(logits(*parts), X) + made.flush())


def _plain(events: list[Event]) -> list[tuple[float, bool]]:
    return [(round(e.time, 6), e.active) for e in events if isinstance(e, Speech)]


def test_speech_is_padded_on_both_sides() -> None:
    assert run((100, 0.1), (50, 0.9), (100, 0.1)) == [(0.95, True), (1.55, False)]


def test_hysteresis_and_short_pauses_do_not_end_speech() -> None:
    assert run((50, 0.9), (99, 0.5), (29, 0.1), (50, 0.9), (99, 0.1)) == [
        (0.0, True),
        (2.33, False),
    ]


def test_short_noises_do_not_begin_speech() -> None:
    assert run((50, 0.1), (9, 0.9), (5, 0.1), (9, 0.9), (50, 0.1)) == []
    assert run((50, 0.5)) == []


def test_speech_at_the_end_is_closed_by_flush() -> None:
    """F32."""
    assert run((100, 0.1), (50, 0.9)) == [(0.95, True), (1.5, False)]
    assert run((100, 0.1), (50, 0.9), (10, 0.1)) == [(0.95, True), (1.55, False)]
    assert run((100, 0.1), (5, 0.9)) == []


def test_times_never_go_back_nor_ahead_of_the_input() -> None:
    wide = run((3, 0.1), (20, 0.9), (31, 0.1), (20, 0.9), (31, 0.1), pad_s=0.5)
    times = [time for time, _ in wide]
    assert len(wide) == 4
    assert times == sorted(times)
    assert times[0] == 0.0
    made = decoder(pad_s=2.0)
    for i in range(300):
        for event in made.push(logits((1, 0.9 if i % 100 < 50 else 0.1)), X):
            assert event.time <= (i + 1) * 0.01


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_frame_leaves_no_trace(bad: float) -> None:
    """F42: one bad frame neither begins nor ends speech, and the next ones count."""
    rows = logits((100, 0.1), (50, 0.9), (100, 0.1))
    rows[50] = rows[120] = bad
    made = decoder()
    assert _plain(made.push(rows, X)) == [(0.95, True), (1.55, False)]


@given(
    parts=st.lists(st.tuples(st.integers(1, 60), st.sampled_from([0.1, 0.5, 0.9])), min_size=1),
    cuts=st.lists(st.integers(0, 400), max_size=5),
)
def test_any_cut_and_any_save_give_equal_events(
    parts: list[tuple[int, float]], cuts: list[int]
) -> None:
    rows = logits(*parts)
    whole = decoder()
    expected = whole.push(rows, X) + whole.flush()
    made, events = decoder(), []
    for part in np.split(rows, sorted(cuts)):
        events += made.push(part, X)
        saved = json.loads(json.dumps(made.state()))
        made = decoder()
        made.restore(saved)
    events += made.flush()
    assert events == expected
    assert [e.active for e in events if isinstance(e, Speech)] == [
        i % 2 == 0 for i in range(len(events))
    ]


def test_reset_is_as_fresh() -> None:
    made = decoder()
    made.push(logits((50, 0.9)), X)
    made.reset()
    assert made.state() == decoder().state()
    made.reset(output=100)
    assert _plain(made.push(logits((20, 0.9)), X)) == [(1.0, True)]
    with pytest.raises(StateError, match="'turn' is missing"):
        made.restore({"output": 0, "active": False, "last": 0.0})
