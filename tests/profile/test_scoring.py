"""Scores of events against labels with times, and bits per byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseq.errors import ConfigError
from edgeseq.events import Event, Gap, Keyword, Speech, Token
from edgeseq.profile.bits import BitsPerByte
from edgeseq.profile.scoring import (
    Interval,
    WordScore,
    frame_accuracy,
    read_labels,
    score_words,
)

YES = Interval(1.0, 1.5, "yes")
NO = Interval(3.0, 3.5, "no")


def score(*events: Event, truth: tuple[Interval, ...] = (YES, NO)) -> WordScore:
    return score_words(events, truth, ("yes", "no"))


@pytest.mark.parametrize(
    ("time", "hit"), [(0.99, False), (1.0, True), (1.5, True), (2.25, True), (2.26, False)]
)
def test_a_word_is_found_from_its_start_until_075_s_after_its_end(time: float, hit: bool) -> None:
    found = score(Keyword(time, "yes", 0.9))
    assert found == WordScore(int(hit), 2, int(not hit))


def test_a_word_is_found_once_and_under_its_own_label() -> None:
    assert score(Keyword(1.2, "yes", 1), Keyword(1.4, "yes", 1)) == WordScore(1, 2, 1)
    assert score(Keyword(1.2, "no", 1)) == WordScore(0, 2, 1)


def test_two_near_words_are_both_found() -> None:
    truth = (Interval(1.0, 1.2, "yes"), Interval(1.5, 1.7, "yes"))
    events = (Keyword(1.2, "yes", 1), Keyword(1.7, "yes", 1))
    assert score(*events, truth=truth) == WordScore(2, 2, 0)


def test_labels_that_a_model_does_not_know_do_not_count() -> None:
    truth = (YES, Interval(5, 6, "speech"))
    assert score(Gap(1.0, 0.1, "lost"), Keyword(1.2, "yes", 1), truth=truth) == WordScore(1, 1, 0)


def test_score_in_words() -> None:
    assert str(WordScore(3, 4, 1)) == "3/4, 1 false"


def test_frames_of_right_speech_are_counted() -> None:
    truth = [Interval(1.0, 2.0, "anything")]
    right = [Speech(1.0, True), Speech(2.0, False)]
    assert frame_accuracy(right, truth, 4.0) == 1.0
    assert frame_accuracy([], truth, 4.0) == 0.75
    assert frame_accuracy([Speech(1.5, True)], truth, 4.0) == pytest.approx(0.375)
    assert frame_accuracy([], truth, 0.001) is None


def test_every_label_is_speech() -> None:
    truth = [Interval(0.0, 1.0, "speech"), Interval(2.0, 3.0, "yes")]
    events = [Speech(0.0, True), Speech(1.0, False), Speech(2.0, True), Speech(3.0, False)]
    assert frame_accuracy(events, truth, 4.0) == 1.0


@given(st.lists(st.tuples(st.floats(0, 9), st.booleans()), max_size=20))
def test_accuracy_is_a_share(changes: list[tuple[float, bool]]) -> None:
    events = [Speech(time, active) for time, active in sorted(changes)]
    value = frame_accuracy(events, [Interval(2, 5, "speech")], 9.0)
    assert value is not None
    assert 0 <= value <= 1


def test_labels_are_read_in_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("\ufeff# start end label\n3.0\t3.5\tno\n\n1\t1.5\tyes\n", encoding="utf-8")
    assert read_labels(path) == [YES, NO]


def test_names_of_columns_are_skipped_in_the_first_line_only(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("# from a program\nStart\tEnd\tLabel\n1\t1.5\tyes\n")
    assert read_labels(path) == [YES]
    path.write_text("1\t1.5\tyes\nstart\tend\tlabel\n")
    with pytest.raises(ConfigError, match="line 2"):
        read_labels(path)


@pytest.mark.parametrize(
    "line", ["1.0 2.0 yes", "1.0\t2.0", "a\t2\tyes", "2\t1\tyes", "-1\t1\tyes", "1\tinf\tyes",
             "nan\t2\tyes", "1\t2\t ", "1\t2\tyes\tmore"],
)  # fmt: skip
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"0\t1\tyes\n{line}\n")
    with pytest.raises(ConfigError, match=r"a\.tsv: line 2: .* is not start<TAB>end<TAB>label"):
        read_labels(path)


def test_empty_and_binary_labels_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("# nothing\n")
    with pytest.raises(ConfigError, match="holds no labels"):
        read_labels(path)
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_labels(path)


def test_bits_per_byte_begin_behind_the_first_character() -> None:
    bits = BitsPerByte()
    assert bits.value is None
    bits.push([Token(2.0, "ä", None, "")])
    assert bits.value is None
    bits.push([Token(3.0, "b", 3.0, ""), Gap(3.0, 1.0, "lost"), Token(5.0, "ö", 6.0, "")])
    assert bits.value == 3.0
