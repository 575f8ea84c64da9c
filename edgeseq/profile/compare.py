"""Measuring models side by side, each run in a fresh process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ..errors import ConfigError, EdgeseqError
from ..events import Event, Gap, Keyword, Speech
from .process import run_module

__all__ = ["Measured", "combine", "measure"]

EVENTS: dict[str, type[Event]] = {"Keyword": Keyword, "Speech": Speech, "Gap": Gap}


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run, or several runs of the same model, gave.

    Attributes:
        seconds: stream time (bytes for text).
        steps: steps of one run.
        step_p50_us: median step time.
        step_p99_us: step time that one step in a hundred exceeds.
        compute_seconds: time of all steps of one run.
        peak_rss_bytes: most memory of the process.
        event_count: how many events were found.
        bits_per_byte: for text, else None.
        events: what was found; without the tokens of a text.
    """

    seconds: float
    steps: int
    step_p50_us: float
    step_p99_us: float
    compute_seconds: float
    peak_rss_bytes: int
    event_count: int
    bits_per_byte: float | None
    events: tuple[Event, ...]


def measure(model: Path, kind: str, file: str) -> Measured:
    """Run `model` over `file`, of kind "wav" or "text", in a process of its own."""
    arguments = [str(model), kind, file]
    result = run_module("edgeseq.profile.worker", arguments, str(model))
    events = tuple(EVENTS[e["kind"]](**e["values"]) for e in result.pop("events"))
    return Measured(events=events, **result)


def combine(rounds: Sequence[Measured]) -> Measured:
    """The median of every time and of the memory; events must be the same in every round."""
    if not rounds:
        raise ConfigError("nothing was measured")
    first = rounds[0]
    if any((r.events, r.event_count) != (first.events, first.event_count) for r in rounds):
        raise EdgeseqError("the same model gave different events in two rounds; please report this")
    return Measured(
        seconds=first.seconds,
        steps=first.steps,
        step_p50_us=median(r.step_p50_us for r in rounds),
        step_p99_us=median(r.step_p99_us for r in rounds),
        compute_seconds=median(r.compute_seconds for r in rounds),
        peak_rss_bytes=round(median(r.peak_rss_bytes for r in rounds)),
        event_count=first.event_count,
        bits_per_byte=first.bits_per_byte,
        events=first.events,
    )
