"""Events and sums as lines: plain ones to read, JSON ones for programs."""

from __future__ import annotations

import json
import select
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..events import Event, Gap, Keyword, Speech, Text, Token
from ..sources import Block, Source
from .follow import Track
from .summary import Summary

__all__ = ["JsonLines", "LiveNotes", "PlainLines", "print_summary", "visible"]


def visible(text: str) -> str:
    """`text` without anything that could steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class PlainLines:
    """One line an event on stdout, such as `   1.24 s  words-gru  yes  0.93`."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        """Line up the names of `tracks`."""
        self._width = max(len(visible(track.name)) for track in tracks)

    def hear(self, block: Block) -> None:
        """Nothing: lines tell of events only."""

    def events(self, track: Track, events: list[Event]) -> None:
        """Write each event at once."""
        name = visible(track.name)
        for event in events:
            time = f"{event.time:7.0f} B" if track.text else f"{event.time:7.2f} s"
            print(f"{time}  {name:{self._width}}  {_words(event)}", flush=True)

    def tick(self) -> None:
        """Notice at once that nobody reads any more, not only at the next event."""
        _check_reader()


class LiveNotes:
    """What a live source wants known, on stderr as soon as it is."""

    def __init__(self, source: Source) -> None:
        """Follow the notes of `source`."""
        self._source = source
        self._told = 0

    def hear(self, block: Block) -> None:
        """Nothing: notes come with or without input."""

    def events(self, track: Track, events: list[Event]) -> None:
        """Nothing: notes are no events."""

    def tick(self) -> None:
        """Write the notes that are new."""
        for note in self._source.notes[self._told :]:
            self._told += 1
            print(f"note: {visible(note)}", file=sys.stderr, flush=True)


class JsonLines:
    """One JSON object a line on stdout: an event with the name of its model."""

    def hear(self, block: Block) -> None:
        """Nothing: lines tell of events only."""

    def events(self, track: Track, events: list[Event]) -> None:
        """Write each event at once."""
        for event in events:
            print_json({"model": track.name, **json.loads(event.to_json())})

    def tick(self) -> None:
        """Notice at once that nobody reads any more, not only at the next event."""
        _check_reader()


def print_json(values: Mapping[str, Any]) -> None:
    """One JSON line on stdout, flushed; ASCII, so that no locale can spoil it."""
    print(json.dumps(values), flush=True)


def print_summary(summary: Summary) -> None:
    """The whole sum in a few aligned lines on stderr."""
    text = summary.stream_seconds is None
    width = max(5, *(len(visible(model["model"])) for model in summary.models))
    last = "bits/byte" if text else "   RTF"
    lines = [f"{'model':{width}}  p50 ms  p99 ms  max ms  {last}  events"]
    for model in summary.models:
        value = model["bits_per_byte" if text else "rtf"]
        shown = "-" if value is None else f"{value:.3f}" if text else f"{value:.4f}"
        kinds = ", ".join(f"{count} {kind}" for kind, count in model["events"].items()) or "none"
        lines.append(
            f"{visible(model['model']):{width}}  {model['step_p50_ms']:6.3f}  "
            f"{model['step_p99_ms']:6.3f}  {model['step_max_ms']:6.3f}  "
            f"{shown:>{len(last)}}  {kinds}"
        )
    size = f"{summary.stream_bytes} bytes" if text else f"{summary.stream_seconds:.2f} s"
    lines.append(f"{size} of input, peak RSS {summary.peak_rss_bytes / 2**20:.1f} MiB")
    if not text:
        lines.append(f"samples lost {summary.lost_samples}, repaired {summary.repaired_samples}")
    if summary.device is not None:
        drift = summary.device["drift_ppm"]
        lines.append(
            f"microphone: {summary.device['overflows']} overflows, "
            f"{summary.device['losses']} times gone, "
            f"{summary.device['silent_seconds']:.1f} s of digital silence, "
            f"drift {'not known yet' if drift is None else f'{drift:+.0f} ppm'}"
        )
    lines += [f"note: {visible(note)}" for note in summary.notes]
    print("\n".join(lines), file=sys.stderr, flush=True)


def _words(event: Event) -> str:
    match event:
        case Keyword():
            return f"{visible(event.label)}  {event.score:.2f}"
        case Speech():
            return "speech begins" if event.active else "speech ends"
        case Gap():
            return f"gap  {event.seconds:.3f} s {visible(event.cause)}"
        case Token():
            bits = "-" if event.bits is None else f"{event.bits:.2f}"
            return f"{event.text!r}  {bits} bits"
        case Text():
            return f"{'text' if event.final else 'partial'}  {visible(event.text)}"
        case _:
            return type(event).__name__.lower()


def _check_reader() -> None:
    """Raise BrokenPipeError when stdout is a pipe that nobody reads any more."""
    if not hasattr(select, "poll") or sys.stdout is None:
        return
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        # Not a real file, as under a test runner.
        return
    if any(state & select.POLLERR for _, state in poll.poll(0)):
        raise BrokenPipeError
