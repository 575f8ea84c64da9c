"""Where the time from a sound to its event goes, split by cause."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import numpy as np
import numpy.typing as npt

from ..events import Event, Keyword, Speech, Token
from ..sources import open_audio, open_text
from ..sources.pace import BLOCK_SECONDS
from ..sources.resample import Resampler
from ..spec import Timing
from ..stream import Stream
from .bits import BitsPerByte
from .scoring import Interval, frame_accuracy, match_words, read_labels, score_words

__all__ = ["Arrival", "follow", "longest_wait", "queue_waits"]

Floats = npt.NDArray[np.float32]
Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event, and when it came out.

    Attributes:
        event: what came.
        block: number of the capture block that brought it, from 0.
        outputs: output frames that had been computed then.
    """

    event: Event
    block: int
    outputs: int


def follow(stream: Stream, file: str, labels: str | None) -> dict[str, Any]:
    """Run a whole stream over a file: how good it is, and for audio the latency budget."""
    if stream.session.manifest.input == "bytes":
        return _follow_text(stream, file)
    return _follow_audio(stream, file, read_labels(labels) if labels else [])


def _follow_text(stream: Stream, file: str) -> dict[str, Any]:
    bits, count = BitsPerByte(), 0
    with closing(open_text(file)) as source:
        for event in stream.events(source):
            count += 1
            if isinstance(event, Token):
                bits.push((event,))
    return {
        "metric_name": "bits per byte",
        "metric": bits.value,
        "events": count,
        "budget": None,
        "words": [],
    }


def _follow_audio(stream: Stream, file: str, truth: list[Interval]) -> dict[str, Any]:
    manifest = stream.session.manifest
    timing = manifest.timing
    arrivals: list[Arrival] = []
    service: list[int] = []
    held = 0.0
    with closing(open_audio(file)) as source:
        rate = source.sample_rate or 1
        # One resampler beside the stream's own, to see how much it holds back.
        twin = Resampler(rate, timing.sample_rate or 1) if rate != timing.sample_rate else None
        made = taken = 0
        for samples in _capture(source.blocks(), max(1, round(BLOCK_SECONDS * rate))):
            start = perf_counter_ns()
            events = stream.push(samples, rate)
            service.append(perf_counter_ns() - start)
            if twin is not None:
                made += len(twin.push(samples))
                taken += len(samples)
                held = max(held, taken / rate - made / twin.to_rate)
            if events:
                outputs = stream.state["outputs"]
                arrivals += [Arrival(event, len(service) - 1, outputs) for event in events]
    end = stream.seconds
    late = stream.flush()
    seconds = np.array(service) / 1e9
    events = [arrival.event for arrival in arrivals] + late
    waits = queue_waits(seconds, BLOCK_SECONDS)
    words = _delays(arrivals, truth, manifest.task, seconds + waits)
    return {
        **_metric(events, truth, manifest.task, manifest.labels[2:], end),
        "events": len(events),
        "budget": _budget(timing, held, arrivals, seconds, waits),
        "words": words,
    }


def _capture(blocks: Iterator[Any], size: int) -> Iterator[Floats]:
    """The audio in blocks of `size` samples, as a microphone gives it; the last may be shorter."""
    waiting: list[Floats] = []
    count = 0
    for block in blocks:
        waiting.append(np.asarray(block.samples, np.float32))
        count += len(block.samples)
        if count >= size:
            whole = np.concatenate(waiting)
            for at in range(0, count - size + 1, size):
                yield whole[at : at + size]
            waiting = [whole[count // size * size :]]
            count %= size
    if count:
        yield np.concatenate(waiting)


def queue_waits(service: Seconds, period: float) -> Seconds:
    """Seconds that each block waits for the ones before it, when one comes every `period` seconds.

    Lindley's recursion over the measured `service` times: a stall of 100 ms delays the blocks after
    it until the machine has caught up.
    """
    waits = np.zeros(len(service))
    for i in range(1, len(service)):
        waits[i] = max(0.0, waits[i - 1] + service[i - 1] - period)
    return waits


def longest_wait(block: int, chunk: int) -> int:
    """Samples from one sample to the end of the capture block that completes its chunk, at most.

    Counted from the beginning of the sample, over every way in which `block` and `chunk` can lie.
    """
    whole = math.lcm(block, chunk)
    if whole > 10_000_000:
        # Such lengths meet in nearly every way, so the worst one is met.
        return block + chunk
    first = np.arange(0, whole, chunk)
    complete = -(-(first + chunk) // block) * block
    return int((complete - first).max())


def _budget(
    timing: Timing, held: float, arrivals: Sequence[Arrival], service: Seconds, waits: Seconds
) -> dict[str, float | None]:
    rate = timing.sample_rate or 1
    block = max(1, round(BLOCK_SECONDS * rate))
    wait = longest_wait(block, timing.step_samples)
    late = [
        timing.output_seconds(a.outputs - 1) - a.event.time
        for a in arrivals
        if isinstance(a.event, Keyword | Speech)
    ]
    decoder = 1e3 * float(np.mean(late)) if late else None
    parts = {
        "capture_ms": 1e3 * block / rate,
        "resampler_ms": 1e3 * held,
        "fill_ms": 1e3 * (wait - block) / rate,
        "lookahead_ms": 1e3 * timing.lookahead * timing.hop / rate,
    }
    compute, queue = (1e3 * float(np.quantile(values, 0.99)) for values in (service, waits))
    return {
        **parts,
        "decoder_ms": decoder,
        "compute_p50_ms": 1e3 * float(np.median(service)),
        "compute_p99_ms": compute,
        "queue_p99_ms": queue,
        "queue_max_ms": 1e3 * float(waits.max()),
        "algorithmic_ms": sum(parts.values()) + (decoder or 0.0),
        "computing_ms": compute + queue,
    }


def _delays(
    arrivals: Sequence[Arrival], truth: Sequence[Interval], task: str, taken: Seconds
) -> list[dict[str, object]]:
    """From the labelled end of each word to its event: input needed, queue and compute."""

    def row(interval: Interval, arrival: Arrival) -> dict[str, object]:
        out = (arrival.block + 1) * BLOCK_SECONDS + float(taken[arrival.block])
        delay = 1e3 * (out - interval.end)
        return {"label": interval.label, "end_s": interval.end, "event_s": out, "delay_ms": delay}

    if task == "keyword":
        by_event = {id(a.event): a for a in arrivals}
        pairs = match_words([a.event for a in arrivals], truth)
        return [row(interval, by_event[id(e)]) for e, interval in pairs if interval is not None]
    ends = [a for a in arrivals if isinstance(a.event, Speech) and not a.event.active]
    rows = []
    for number, interval in enumerate(truth):
        until = truth[number + 1].start if number + 1 < len(truth) else math.inf
        # Padding may put the end into the pause after the word, never before its middle.
        middle = (interval.start + interval.end) / 2
        hit = next((a for a in ends if middle <= a.event.time <= until), None)
        if hit is not None:
            rows.append(row(interval, hit))
    return rows


def _metric(
    events: list[Event], truth: list[Interval], task: str, words: tuple[str, ...], seconds: float
) -> dict[str, object]:
    if task == "keyword":
        score = score_words(events, truth, words)
        value = score.found / score.total if score.total else None
        return {"metric_name": "words found", "metric": value, "false_alarms": score.false_alarms}
    accuracy = frame_accuracy(events, truth, seconds) if truth else None
    return {"metric_name": "right frames", "metric": accuracy}
