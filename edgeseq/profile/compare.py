"""Measuring models side by side, each run in a fresh process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Any

from ..errors import ConfigError, EdgeseqError
from ..events import Event, Gap, Keyword, Speech

__all__ = ["Measured", "combine", "measure"]

PACKAGES = Path(__file__).parents[2]
"""The folder that this package lies in, which the fresh process must find as well."""

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
    paths = [str(PACKAGES), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    # -P: a file in the current folder that is called like a module must not be taken for it.
    command = [sys.executable, "-P", "-m", "edgeseq.profile.worker", str(model), kind, file]
    code, written, said = _run(command, env)
    try:
        result: dict[str, Any] = json.loads(written)
    except ValueError:
        last = said.strip().splitlines()[-1:] or ["no message"]
        raise EdgeseqError(f"{model}: its process ended with {code}: {last[0]}") from None
    if "error" in result:
        raise EdgeseqError(result["error"])
    events = tuple(EVENTS[e["kind"]](**e["values"]) for e in result.pop("events"))
    return Measured(events=events, **result)


def _run(command: list[str], env: dict[str, str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; however this ends, the process has ended as well."""
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        # subprocess.run would lose a process that Ctrl-C hits while it is being started.
        with _signals_held():
            process = stack.enter_context(
                subprocess.Popen(
                    command, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe,
                    encoding="utf-8",
                )
            )  # fmt: skip
            # After Ctrl-C, Popen itself would neither end the process nor wait for its end.
            stack.callback(process.wait)
            stack.callback(process.kill)
        written, said = process.communicate()
    return process.returncode, written, said


@contextmanager
def _signals_held() -> Iterator[None]:
    """SIGINT and SIGTERM act only at the end of this block."""
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        held.append(number)

    # One that is ignored stays so, here and in the new process.
    before: dict[int, Any] = {
        number: signal.signal(number, hold)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) not in (signal.SIG_IGN, None)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number in held:
        signal.raise_signal(number)


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
