"""One measurement in a process of its own: `python -m edgeseq.profile.worker MODEL KIND FILE`.

KIND is wav or text. Writes one JSON object: the result, or {"error": words}. Only what a stream
needs is imported, so that the memory is that of a stream.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from ..errors import EdgeseqError
from ..events import Event, Token
from ..runtime import Session
from ..sources import Source, open_audio, open_text
from ..stream import Stream
from .bits import BitsPerByte
from .memory import peak_rss

WARM_UP_STEPS = 50
"""The first steps fault pages in and fill caches; a stream that goes on does not pay it again."""


def measure(model: str, kind: str, file: str) -> dict[str, object]:
    """Run `model` over `file` once."""
    session = Session(model)
    stepper, x = session.stepper(), session.manifest.inputs[0].zeros()
    for _ in range(WARM_UP_STEPS):
        stepper.step(x)
    source: Source = open_text(file) if kind == "text" else open_audio(file)
    stream = Stream(session)
    bits, count = BitsPerByte(), 0
    events: list[Event] = []
    for event in stream.events(source):
        count += 1
        # A token per character of a long text would fill the memory that is measured.
        if isinstance(event, Token):
            bits.push((event,))
        else:
            events.append(event)
    source.close()
    clock = stream.clock
    return {
        "seconds": stream.seconds,
        "steps": clock.steps,
        "step_p50_us": clock.p50_ms * 1000,
        "step_p99_us": clock.p99_ms * 1000,
        "compute_seconds": clock.total_s,
        "peak_rss_bytes": peak_rss(),
        "event_count": count,
        "bits_per_byte": bits.value,
        "events": [{"kind": type(event).__name__, "values": asdict(event)} for event in events],
    }


def main() -> None:
    """Measure what the arguments name."""
    try:
        result = measure(*sys.argv[1:])
    except EdgeseqError as error:
        result = {"error": str(error)}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
