"""How good the events of a stream are, against labels with times."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import ConfigError
from ..events import Event, Keyword, Speech

__all__ = [
    "Interval",
    "WordScore",
    "frame_accuracy",
    "match_words",
    "read_labels",
    "score_words",
]

LATE_SECONDS = 0.75
"""How long after its end a word may still be found."""

FRAMES_PER_SECOND = 100


@dataclass(frozen=True, slots=True)
class Interval:
    """`label` is heard from `start` to `end`, in seconds."""

    start: float
    end: float
    label: str


@dataclass(frozen=True, slots=True)
class WordScore:
    """How many of `total` words were `found`, and how many events were no such word."""

    found: int
    total: int
    false_alarms: int

    def __str__(self) -> str:
        """In words."""
        return f"{self.found}/{self.total}, {self.false_alarms} false"


def read_labels(path: str | Path) -> list[Interval]:
    """The lines `start<TAB>end<TAB>label` of a file, or of standard input for "-", by start.

    Empty lines, lines that begin with # and a first line with the names of columns are skipped.
    """
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: labels cannot be read: {reason}") from error
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.startswith("#")
    ]
    if lines and _is_header(lines[0][1]):
        del lines[0]
    intervals = [_interval(line, f"{path}: line {number}") for number, line in lines]
    if not intervals:
        raise ConfigError(f"{path}: holds no labels; a line is start<TAB>end<TAB>label")
    return sorted(intervals, key=lambda i: (i.start, i.end))


def _is_header(line: str) -> bool:
    return [part.strip().lower() for part in line.split("\t")] == ["start", "end", "label"]


def _interval(line: str, where: str) -> Interval:
    parts = line.split("\t")
    try:
        start, end, label = float(parts[0]), float(parts[1]), parts[2].strip()
    except (ValueError, IndexError):
        start, end, label = 0.0, -1.0, ""
    if len(parts) != 3 or not 0 <= start <= end < float("inf") or not label:
        raise ConfigError(
            f"{where}: {line!r} is not start<TAB>end<TAB>label, with 0 <= start <= end in seconds"
        )
    return Interval(start, end, label)


def score_words(
    events: Iterable[Event], truth: Sequence[Interval], words: Iterable[str]
) -> WordScore:
    """Match each keyword with one interval of its label that began and has not ended 0.75 s ago.

    Intervals whose label is none of `words` cannot be found, so they do not count.
    """
    known = set(words)
    wanted = [interval for interval in truth if interval.label in known]
    pairs = match_words(events, wanted)
    found = sum(interval is not None for _, interval in pairs)
    return WordScore(found, len(wanted), len(pairs) - found)


def match_words(
    events: Iterable[Event], truth: Iterable[Interval]
) -> list[tuple[Keyword, Interval | None]]:
    """Every keyword with the interval that it found, or None; by the rule of `score_words`."""
    open_ = list(truth)
    pairs: list[tuple[Keyword, Interval | None]] = []
    for event in events:
        if not isinstance(event, Keyword):
            continue
        hit = next((i for i in open_ if _is_hit(event, i)), None)
        if hit is not None:
            open_.remove(hit)
        pairs.append((event, hit))
    return pairs


def _is_hit(event: Keyword, interval: Interval) -> bool:
    in_time = interval.start <= event.time <= interval.end + LATE_SECONDS
    return in_time and event.label == interval.label


def frame_accuracy(
    events: Iterable[Event], truth: Sequence[Interval], seconds: float
) -> float | None:
    """Share of frames of 10 ms that are rightly speech or not; None when there is no frame.

    Whatever the label, a labelled interval is speech.
    """
    middles = (np.arange(int(seconds * FRAMES_PER_SECOND)) + 0.5) / FRAMES_PER_SECOND
    if not len(middles):
        return None
    wanted = np.zeros(len(middles), bool)
    for interval in truth:
        wanted |= (interval.start <= middles) & (middles < interval.end)
    heard = np.zeros(len(middles), bool)
    for event in events:
        if isinstance(event, Speech):
            heard[middles >= event.time] = event.active
    return float(np.mean(wanted == heard))
