"""A long stream as fast as the machine can: `python -m edgeseq.profile.soak JOB SECONDS`.

The input is one piece of audio or text, again and again. So the outputs of any two turns can be
compared once the model has forgotten its start: events by label and time within the turn, and every
tensor of the state at the end of a turn, from which all later outputs follow.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict
from time import perf_counter
from typing import Any

import numpy as np

from ..events import Event
from ..stream import Stream
from .latency import StepClock
from .memory import current_rss
from .probe import Job, open_session
from .process import Stop, report_progress, run_watched, write_result

__all__ = ["follow_soak"]

FIRST_SECONDS = 60.0
"""Outputs of the turn that ends the first minute are what later turns must equal."""

POINTS = 120

TELL_SECONDS = 0.5


def follow_soak(
    name: str, job: Job, seconds: float, tell: Callable[[float], None]
) -> dict[str, Any]:
    """A row of the document for a stream of so many seconds (bytes for text).

    Memory and times are compared from the end of the first minute (or of a tenth, if that is less)
    to the end; `trace` has points [stream seconds, RSS bytes, p50, p99 of the steps in µs].
    """
    arguments = [json.dumps(asdict(job)), str(seconds)]
    row = run_watched("edgeseq.profile.soak", arguments, name, tell)
    return {"name": name, "backend": job.backend, "interrupted": False, **row}


def _measure(job: Job, seconds: float, stop: Stop) -> dict[str, Any]:
    from .feed import chunks_of

    stream = Stream(open_session(job))
    chunks = chunks_of(stream.session.manifest, job.file)
    turn = np.concatenate([chunk.reshape(-1) for chunk in chunks])
    if stream.session.manifest.input == "bytes":
        turn = turn.astype(np.uint8)
    length = stream.session.manifest.timing.seconds(turn.size)
    turns = max(3, math.ceil(seconds / length))
    # At least one turn before it, whose start is not that of a new stream.
    first = min(max(1, math.ceil(FIRST_SECONDS / length)), max(1, turns // 10))
    every = max(1, turns // POINTS)
    stream.clock = StepClock()
    trace: list[list[float]] = []
    kept: tuple[list[dict[str, object]], dict[str, Any]] | None = None
    events: list[dict[str, object]] = []
    steps, done = 0, 0
    began = told = perf_counter()
    while done < turns and not stop.requested:
        events = [_within(event, done * length) for event in stream.push(turn)]
        done += 1
        if done == first + 1:
            kept = events, stream.state["tensors"]
        if done % every == 0 or done in (first + 1, turns):
            trace.append(_point(done * length, stream.clock))
            steps += stream.clock.steps
            stream.clock = StepClock()
        if perf_counter() >= told + TELL_SECONDS or done == turns:
            told = perf_counter()
            report_progress(done / turns)
    wall = perf_counter() - began
    if stream.clock.steps:
        # It ended between two points.
        trace.append(_point(done * length, stream.clock))
        steps += stream.clock.steps
    state = stream.state["tensors"]
    result: dict[str, Any] = {
        "stream_seconds": done * length,
        "steps": steps,
        "wall_s": wall,
        "trace": trace,
        **_drift([point for point in trace if point[0] > first * length]),
        "same_events": None,
        "state_difference": None,
    }
    if kept is not None and done > first + 1:
        result["same_events"] = kept[0] == events
        result["state_difference"] = max((_gap(kept[1][n], state[n]) for n in state), default=0.0)
    result["same_after_reset"] = _equals_fresh(stream, turn)
    return result


def _point(seconds: float, clock: StepClock) -> list[float]:
    return [seconds, current_rss(), clock.p50_ms * 1e3, clock.p99_ms * 1e3]


def _within(event: Event, start: float) -> dict[str, object]:
    """What happened and when within the turn; scores and bits may differ in their last digits."""
    # Hours of stream time leave a double microseconds, more than enough for equal frames.
    said = {**event.as_dict(), "time": round(event.time - start, 4)}
    return {key: value for key, value in said.items() if key not in ("score", "bits")}


def _drift(trace: list[list[float]]) -> dict[str, float | None]:
    """Growth of memory in all and per hour, and of step times, over points of `trace`."""
    names = ("rss_growth_bytes", "rss_slope_bytes_per_hour", "p50_ratio", "p99_ratio")
    if len(trace) < 2:
        return dict.fromkeys(names)
    points = np.array(trace)
    hours = points[:, 0] / 3600
    slope = np.polyfit(hours - hours[0], points[:, 1], 1)[0]
    # An hour of a day; a part of that size of anything else.
    some = max(1, len(points) // 24)
    begin, end = np.median(points[:some], axis=0), np.median(points[-some:], axis=0)
    values = points[-1, 1] - points[0, 1], slope, end[2] / begin[2], end[3] / begin[3]
    return dict(zip(names, map(float, values), strict=True))


def _gap(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return float(np.max(np.abs(a.astype(np.float64) - b.astype(np.float64)), initial=0.0))


def _equals_fresh(stream: Stream, turn: np.ndarray[Any, Any]) -> bool:
    """Whether a reset makes the long stream as new, bit for bit."""
    stream.reset()
    fresh = Stream(stream.session)
    same_events = stream.push(turn) == fresh.push(turn)
    old, new = stream.state["tensors"], fresh.state["tensors"]
    return same_events and all(old[name].tobytes() == new[name].tobytes() for name in new)


def main() -> None:
    """Stream what the arguments name."""
    job, seconds = Job(**json.loads(sys.argv[1])), float(sys.argv[2])
    with Stop() as stop:
        write_result(lambda: _measure(job, seconds, stop))


if __name__ == "__main__":
    main()
