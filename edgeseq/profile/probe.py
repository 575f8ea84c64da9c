"""One configuration, measured in a process of its own; `measure_fresh` starts that process.

Order within the process: imports, loading, first step, warm-up, timed steps, and only then the
whole stream with its decoder, so that memory and cold start are those of the model alone.

Garbage collection: everything alive before the timed steps is collected and frozen, and automatic
collection is off until they end, since a model step makes no garbage cycles. The pass through
the whole stream runs with it on, as a program would.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from ..errors import EdgeseqError
from .process import run_code, write_result

if TYPE_CHECKING:
    from ..runtime import Session

__all__ = ["Job", "default_input", "measure_fresh", "open_session"]

START = (
    "import time; began = time.perf_counter_ns()\n"
    "from edgeseq.profile.probe import main\nmain(began)"
)

WARM_UP_STEPS = 200
"""The first steps fault pages in, fill caches and raise the clock; a stream pays that once."""

TRACE_POINTS = 120
MOST_BLOCK, LEAST_BLOCK = 4096, 16
OVERHEAD_STEPS = 20_000
OPERATOR_STEPS = 300


@dataclass(frozen=True, slots=True)
class Job:
    """What to measure.

    Attributes:
        model: path of the file.
        backend: a backend of Session.
        threads: threads of a step.
        file: audio or text that is its input.
        labels: a file of labels for the audio, or None.
        steps: timed steps; None to measure for `seconds`.
        seconds: how long to time steps, by the clock.
        operators: whether to find the shares of the operators, which takes a run of its own.
        weights: for torch, the checkpoint that it runs.
    """

    model: str
    backend: str
    threads: int
    file: str
    labels: str | None
    steps: int | None
    seconds: float
    operators: bool = False
    weights: str | None = None


def measure_fresh(job: Job) -> dict[str, Any]:
    """The measures of one round of `job`, made in a new process; see the schema in document.py."""
    arguments = [json.dumps(asdict(job)), str(time.perf_counter_ns())]
    what = f"{job.model} on {job.backend} with {job.threads} threads"
    return run_code(START, arguments, what)


def main(began: int) -> None:
    """Measure what the arguments name and write it; `began` is when this process could think."""
    job, started = Job(**json.loads(sys.argv[1])), int(sys.argv[2])
    write_result(lambda: _measure(job, began, started))


def _measure(job: Job, began: int, started: int) -> dict[str, Any]:
    clock = time.perf_counter_ns
    # Part of the imports that are timed.
    from ..runtime import Session  # noqa: F401
    from ..stream import Stream
    from .backends import known
    from .memory import current_rss, peak_rss

    backend = known(job.backend)
    for library in backend.libraries:
        importlib.import_module(library)
    imported, rss_imported = clock(), current_rss()
    session = open_session(job)
    stepper = session.stepper()
    loaded, rss_loaded = clock(), current_rss()
    stepper.step(session.manifest.inputs[0].zeros())
    stepped = clock()

    from .feed import chunks_of

    xs = chunks_of(session.manifest, job.file)
    timed = _timed_steps(stepper.step, xs, job)
    steady, peak = current_rss(), peak_rss()
    timing = session.manifest.timing
    seconds = timed["steps"] * timing.step_seconds
    compute = timed["compute_s"]
    frames = timed["steps"] * timing.chunk
    result: dict[str, Any] = {
        **timed,
        "stream_seconds": seconds if timing.sample_rate else None,
        "rtf": compute / seconds if timing.sample_rate else None,
        "cpu_per_audio_s": timed["cpu_s"] / seconds if timing.sample_rate else None,
        "frames_per_s": frames / compute,
        # Without meaning where the clocks of two processes have nothing in common.
        "cold_process_ms": max(0.0, (began - started) / 1e6),
        "cold_import_ms": (imported - began) / 1e6,
        "cold_load_ms": (loaded - imported) / 1e6,
        "cold_first_step_ms": (stepped - loaded) / 1e6,
        "rss_imported_bytes": rss_imported,
        "rss_loaded_bytes": rss_loaded,
        "rss_steady_bytes": steady,
        "rss_peak_bytes": peak,
        "arena_bytes": getattr(session, "arena_bytes", None),
    }
    from .budget import follow

    result |= follow(Stream(session), job.file, job.labels)
    if job.operators and backend.operators is not None:
        some = list(islice(cycle(xs), OPERATOR_STEPS))
        result["operators"] = backend.operators(job.model, job.threads, some)
    return result


def open_session(job: Job) -> Session:
    """The model of a job, loaded into its backend."""
    if job.weights is not None:
        from .eager import EagerSession

        return EagerSession(job.model, job.weights, job.backend, job.threads)
    from ..runtime import Session

    return Session(job.model, job.backend, job.threads)


def _timed_steps(step: Callable[[Any], object], xs: list[Any], job: Job) -> dict[str, Any]:
    """Warm up, then time steps over `xs` again and again, with what the system counts."""
    import numpy as np

    from .energy import EnergyMeter
    from .latency import StepClock, time_steps
    from .memory import current_rss
    from .usage import Usage

    inputs = cycle(xs)
    warm = time_steps(step, islice(inputs, WARM_UP_STEPS))
    size = _block_size(job, float(np.median(warm)))
    empty = time_steps(lambda x: None, islice(cycle(xs), OVERHEAD_STEPS))
    whole, trace, changes = StepClock(), _Trace(), 0
    energy = EnergyMeter()
    gc.collect()
    gc.freeze()
    gc.disable()
    usage = Usage.now()
    energy.start()
    start = time.perf_counter_ns()
    try:
        for count in _blocks(job, size, start):
            times = time_steps(step, islice(inputs, count))
            part = StepClock()
            part.record_all(times)
            whole.merge(part)
            changes += int(np.abs(np.diff(times)).sum())
            energy.sample()
            now = (time.perf_counter_ns() - start) / 1e9
            trace.add([now, current_rss(), part.p50_ms * 1e3, part.p99_ms * 1e3])
    finally:
        gc.enable()
        gc.unfreeze()
    joules = energy.stop()
    used = Usage.now() - usage
    return {
        "steps": whole.steps,
        "compute_s": whole.total_s,
        **{f"step_{n}_us": whole.quantile_ms(q) * 1e3 for n, q in QUANTILES.items()},
        "step_mean_us": whole.total_ns / whole.steps / 1e3,
        "step_max_us": whole.max_ms * 1e3,
        "step_jitter_us": changes / max(1, whole.steps - 1) / 1e3,
        "overhead_us": float(np.median(empty)) / 1e3,
        **used.as_dict(),
        "energy_j": joules,
        "energy_source": energy.source,
        "histogram": [list(bar) for bar in whole.histogram_us()],
        "trace": trace.points,
    }


QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


def _block_size(job: Job, step_ns: float) -> int:
    wanted = job.steps if job.steps is not None else job.seconds * 1e9 / max(step_ns, 1.0)
    return max(LEAST_BLOCK, min(MOST_BLOCK, round(wanted / TRACE_POINTS)))


def _blocks(job: Job, size: int, start: int) -> Iterator[int]:
    """Sizes of the blocks of steps until enough have been timed."""
    left = job.steps
    while left is None or left > 0:
        count = size if left is None else min(size, left)
        yield count
        if left is not None:
            left -= count
        elif time.perf_counter_ns() - start >= job.seconds * 1e9:
            return


class _Trace:
    """At most TRACE_POINTS points over time: every second one goes when there are too many."""

    def __init__(self) -> None:
        self.points: list[list[float]] = []
        self._stride = 1
        self._seen = 0

    def add(self, point: list[float]) -> None:
        if self._seen % self._stride == 0:
            self.points.append([round(value, 3) for value in point])
            if len(self.points) > TRACE_POINTS:
                del self.points[1::2]
                self._stride *= 2
        self._seen += 1


def default_input(text: bool) -> tuple[str, str | None]:
    """The bundled recording and its labels, or the bundled text; EdgeseqError without them."""
    from ..assets import clip

    file, labels = clip("passage.txt" if text else "words.wav"), clip("words.tsv")
    if file is None:
        option = "--text FILE" if text else "--wav FILE"
        raise EdgeseqError(f"this installation has no bundled clip; give {option}")
    return str(file), None if text or labels is None else str(labels)
