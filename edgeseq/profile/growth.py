"""Step time and memory against the length of the stream: `python -m edgeseq.profile.growth JOB`.

Bounded states are measured by streaming; what a model would cost without them, full recompute and a
cache that grows, is measured by contrast.py where torch is installed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import cycle, islice
from typing import Any

from ..manifest import Manifest
from .probe import Job, open_session
from .process import Stop, report_progress, run_watched, write_result

__all__ = ["follow_growth", "marks"]

FIRST = 100

BLOCK = 2048


def follow_growth(
    name: str, manifest: Manifest, job: Job, steps: int, tell: Callable[[float], None]
) -> dict[str, Any]:
    """A row of the document: a stream of `steps` steps, looked at every half power of ten.

    Its points are {steps, step_p50_us, step_p99_us, state_bytes, rss_grown_bytes}; memory is
    counted from the first point on.
    """
    arguments = [json.dumps(asdict(job)), str(steps)]
    row = run_watched("edgeseq.profile.growth", arguments, name, tell)
    kind = "recurrent state" if manifest.timing.left_context is None else "bounded cache"
    return {"name": f"{name}: {kind}", "kind": kind, "model": name, **row}


def marks(steps: int) -> list[int]:
    """100, 300, 1,000, 3,000 and so on below `steps`, and `steps` itself."""
    found, mark = [], FIRST
    while mark < steps:
        found.append(mark)
        # 1 or 3, and a power of ten.
        mark = mark * 3 if str(mark)[0] == "1" else mark // 3 * 10
    return [*found, steps]


def _measure(job: Job, steps: int, stop: Stop) -> dict[str, Any]:
    from .feed import chunks_of

    session = open_session(job)
    stepper = session.stepper()
    inputs = cycle(chunks_of(session.manifest, job.file))
    points: list[dict[str, float]] = []
    note, done, base = "", 0, 0
    for mark in marks(steps):
        clock, done = _step_to(mark, done, stepper.step, inputs, stop, steps)
        if stop.requested:
            note = f"interrupted after {done:,} of {steps:,} steps"
            break
        state = stepper.state()
        base, point = _point(mark, clock, sum(a.nbytes for a in state.values()), base)
        points.append(point)
    return {"points": points, "note": note}


def _point(steps: int, clock: Any, state_bytes: int, base: int) -> tuple[int, dict[str, float]]:
    from .memory import current_rss

    rss = current_rss()
    base = base or rss
    return base, {
        "steps": steps,
        "step_p50_us": clock.p50_ms * 1e3,
        "step_p99_us": clock.p99_ms * 1e3,
        "state_bytes": state_bytes,
        "rss_grown_bytes": rss - base,
    }


def _step_to(
    mark: int, done: int, step: Callable[[Any], object], inputs: Iterator[Any], stop: Stop, of: int
) -> tuple[Any, int]:
    """Go on to step number `mark`; the times of the last block or two before it."""
    from .latency import StepClock, time_steps

    clock = StepClock()
    while done < mark and not stop.requested:
        if mark - done > 2 * BLOCK:
            clock = StepClock()
        times = time_steps(step, islice(inputs, min(BLOCK, mark - done)))
        clock.record_all(times)
        done += len(times)
        report_progress(done / of)
    return clock, done


def main() -> None:
    """Measure what the arguments name."""
    job, steps = Job(**json.loads(sys.argv[1])), int(sys.argv[2])
    with Stop() as stop:
        write_result(lambda: _measure(job, steps, stop))


if __name__ == "__main__":
    main()
