"""One event per spoken word, at its peak."""

from __future__ import annotations

import json
import pickle

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseq.decode import KeywordDecoder, make
from edgeseq.errors import ManifestError, StateError
from edgeseq.events import Event, Keyword
from edgeseq.spec import Timing

LABELS = ("_silence_", "_unknown_", "yes", "no", "off")
TIMING = Timing(16000, 320, 320)  # 20 ms: 50 output frames a second
SETTINGS: dict[str, object] = {
    "thresholds": {"yes": 0.6, "no": 0.6},
    "smoothing_s": 0.06,
    "refractory_s": 1.0,
    "flush_s": 0.5,
}
X = np.zeros((1, 1, 320), np.float32)
Logits = npt.NDArray[np.float32]


def decoder(**change: object) -> KeywordDecoder:
    made = make("keyword", LABELS, TIMING, {**SETTINGS, **change})
    assert isinstance(made, KeywordDecoder)
    return made


def silence(frames: int) -> Logits:
    return np.tile(np.array([8, 0, 0, 0, 0], np.float32), (frames, 1))


def word(label: str, frames: int = 8, height: float = 8.0) -> Logits:
    """Logits that rise to `height` over `frames` frames, all label but nothing else."""
    rows = np.zeros((frames, 5), np.float32)
    rows[:, LABELS.index(label)] = np.linspace(height / 2, height, frames)
    return rows


def run(*parts: Logits, **change: object) -> list[Event]:
    made = decoder(**change)
    return made.push(np.concatenate(parts), X) + made.flush()


def test_a_word_gives_one_event_at_its_peak() -> None:
    (event,) = run(silence(50), word("yes"), silence(100))
    assert isinstance(event, Keyword)
    assert event.label == "yes"
    # The smoothed score is highest at the last frame of the word: frame 57 ends at 58 * 20 ms.
    assert event.time == pytest.approx(58 * 0.02)
    assert 0.9 < event.score <= 1.0


def test_a_word_must_be_likely_in_all_of_the_smoothing_frames() -> None:
    """A slam that says "yes" for sure in two frames of three, and surely not in the other."""
    slam = np.zeros((31, 5), np.float32)
    slam[:, LABELS.index("yes")] = [*[-40, 20, 20] * 10, -40]
    assert run(silence(9), slam, silence(60), thresholds={"yes": 0.5}) == []
    sure = np.zeros((30, 5), np.float32)
    sure[:, LABELS.index("yes")] = 8
    assert len(run(silence(9), sure, silence(60), thresholds={"yes": 0.5})) == 1


def test_the_score_is_the_softmax_of_the_mean_logits() -> None:
    """Here over the three newest frames."""
    rows = np.array([[0, 0, 3, 0, 0], [0, 0, 4, 1, 0], [0, 2, 6, 0, 0]], np.float32)
    (event,) = run(rows, silence(60), thresholds={"yes": 0.6})
    mean = np.exp(rows.mean(axis=0))
    assert isinstance(event, Keyword)
    assert event.score == pytest.approx(mean[2] / mean.sum())
    assert event.time == pytest.approx(3 * 0.02)


def test_labels_without_threshold_and_non_words_stay_quiet() -> None:
    assert run(word("off", 30), word("_unknown_", 30), silence(30)) == []
    assert run(word("yes", 30), silence(30), thresholds={}) == []


def test_a_long_word_is_reported_after_the_longest_look_and_once() -> None:
    rows = np.concatenate([silence(10), word("yes", 200, 20.0), silence(50)])
    made, first = decoder(), None
    events = []
    for i, row in enumerate(rows):
        found = made.push(row[None], X)
        first = i if found and first is None else first
        events += found
    assert len(events) == 1
    assert first is not None
    assert (first - 10) * 0.02 <= 0.2 + 0.06


def test_the_same_word_again_after_the_refractory_time() -> None:
    parts = [word("yes"), silence(60), word("yes"), silence(60)]
    assert [e.time for e in run(*parts)] == pytest.approx([0.16, 76 * 0.02])
    near = [word("yes"), silence(10), word("yes"), silence(60)]
    assert len(run(*near)) == 1
    assert len(run(*near, refractory_s=0.2)) == 2


def test_the_best_label_wins_a_word_and_the_loser_stays_quiet() -> None:
    both = np.zeros((10, 5), np.float32)
    both[:, 2] = np.linspace(2, 8, 10)
    both[:, 3] = np.linspace(2, 9, 10)
    thresholds = {"yes": 0.2, "no": 0.2}
    events = run(silence(9), both, silence(60), thresholds=thresholds)
    assert [e.label for e in events if isinstance(e, Keyword)] == ["no"]
    # The loser lasts longer than the time in which no other label may fire, but never fell.
    tail = run(silence(9), both, word("yes", 40), silence(60), thresholds=thresholds)
    assert [e.label for e in tail if isinstance(e, Keyword)] == ["no"]


def test_another_word_may_follow_within_the_refractory_time() -> None:
    events = run(word("yes"), silence(12), word("no"), silence(60))
    assert [e.label for e in events if isinstance(e, Keyword)] == ["yes", "no"]
    # A flicker right after the word is not another word.
    flicker = run(word("yes"), silence(2), word("no", 4), silence(60))
    assert [e.label for e in flicker if isinstance(e, Keyword)] == ["yes"]


def test_a_word_at_the_very_end_comes_with_flush() -> None:
    """F32: nothing that was already above its threshold is lost."""
    made = decoder()
    assert made.push(np.concatenate([silence(5), word("yes", 6)]), X) == []
    (event,) = made.flush()
    assert event.time == pytest.approx(11 * 0.02)
    assert made.flush() == []


def test_reset_is_as_fresh_and_leaves_no_word_behind() -> None:
    """F28: after a detection and a reset, silence must not fire."""
    made = decoder()
    made.push(np.concatenate([silence(5), word("yes", 6)]), X)
    made.reset()
    assert made.state() == decoder().state()
    assert made.push(silence(100), X) == []
    made.reset(output=1000)
    (event,) = made.push(np.concatenate([word("yes"), silence(20)]), X)
    assert event.time == pytest.approx(20 + 0.16)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_frame_leaves_no_trace(bad: float) -> None:
    """F42."""
    broken = np.full((3, 5), bad, np.float32)
    made = decoder()
    assert made.push(np.concatenate([silence(5), broken, silence(20)]), X) == []
    clean = decoder()
    clean.push(silence(28), X)
    later = np.concatenate([word("yes"), silence(60)])
    assert made.push(later, X) == clean.push(later, X)


@given(seed=st.integers(0, 50), cuts=st.lists(st.integers(0, 300), max_size=6))
def test_any_cut_and_any_save_give_equal_events(seed: int, cuts: list[int]) -> None:
    rows = _lively(seed)
    whole = decoder()
    expected = whole.push(rows, X) + whole.flush()
    made, events = decoder(), []
    for part in np.split(rows, sorted(cuts)):
        events += made.push(part, X)
        saved = json.loads(json.dumps(made.state()))
        made = decoder()
        made.restore(saved)
    assert events + made.flush() == expected


def _lively(seed: int) -> Logits:
    """Logits that wander enough to give many events."""
    draw = np.random.default_rng(seed)
    steps = draw.normal(size=(300, 5)) * 2
    return np.cumsum(steps - np.roll(steps, 5, axis=0), axis=0).astype(np.float32)


def test_lively_logits_do_give_events() -> None:
    assert sum(len(run(_lively(seed))) for seed in range(10)) > 10


def test_memory_is_bounded() -> None:
    """F40."""
    made = decoder()
    made.push(np.concatenate([_lively(seed) for seed in range(4)]), X)
    early = len(pickle.dumps(made))
    for seed in range(60):
        made.push(_lively(seed), X)
    assert len(pickle.dumps(made)) <= early + 64


def test_a_state_of_another_model_is_refused() -> None:
    other = decoder(smoothing_s=0.1)
    with pytest.raises(StateError, match="'ring' must be a list of 15"):
        decoder().restore(other.state())
    with pytest.raises(StateError, match="'slot' is missing"):
        decoder().restore({k: v for k, v in decoder().state().items() if k != "slot"})
    with pytest.raises(ManifestError, match="maybe is no keyword"):
        decoder(thresholds={"maybe": 0.5})
