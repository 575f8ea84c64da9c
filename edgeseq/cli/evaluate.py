"""`edgeseq eval`: how well byte models foresee a text, and whether that holds to its end."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from ..assets import resolve
from ..errors import ConfigError
from ..profile.machine import this_machine
from ..profile.positions import TextScore
from ..runtime import Session
from ..sources import open_text
from .choose import choose_any
from .figures import wide_console
from .interrupt import Interrupt
from .lines import visible
from .progress import Progress

PIECE_BYTES = 1024
"""Text between two looks at Ctrl-C, some 0.1 s of a slow model."""

TOLD = 10
"""Times that progress is told."""


@click.command(context_settings={"max_content_width": 100})
@click.argument("models", nargs=-1, required=True, metavar="MODEL... FILE")
@click.option(
    "--repeat", type=click.IntRange(1), default=1, show_default=True, metavar="N",
    help="Read FILE N times in a row, without a reset: does a pass cost what the first one did?",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(models: tuple[str, ...], repeat: int, as_json: bool) -> None:
    """Measure the bits per byte of byte MODELs (files or bundled names) on the text in FILE.

    Every model reads the whole stream without a reset, side by side; FILE may be larger than the
    memory, and - is standard input. The first byte of the stream is not counted, since nothing
    foresaw it. Bits per byte are given for the whole, for the first window of a model that has one,
    and for positions up to 100, 1,000 and so on.

    Ctrl-C ends the reading; what was measured so far is still shown.
    """
    *names, file = models
    if not names:
        raise click.UsageError("give at least one MODEL before FILE")
    if file == "-" and repeat > 1:
        raise click.UsageError("--repeat needs a file, standard input can be read once only")
    chosen = choose_any([resolve(name) for name in names])
    size = _size(file)
    if repeat > 1 and not size:
        raise ConfigError(f"{file}: --repeat needs a plain file that is not empty")
    period = size if repeat > 1 else None
    scores = {model.name: TextScore(Session(model.path), period) for model in chosen}
    total = None if size is None else size * repeat
    with Interrupt() as interrupt:
        try:
            _read(file, repeat, size, total, list(scores.values()), interrupt)
        finally:
            # A model that fails in the middle takes nothing back of what was measured before.
            if any(score.count > 1 for score in scores.values()):
                facts = [_facts(m.name, m.path, scores[m.name]) for m in chosen]
                _print(facts, file, interrupt.requested, as_json)
        if interrupt.requested:
            raise KeyboardInterrupt
    if not any(score.count for score in scores.values()):
        raise ConfigError(f"{file}: is empty; there is nothing to measure")


def _size(file: str) -> int | None:
    """Bytes of a plain file; None for a pipe, or where opening will say what is wrong."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_size if file != "-" and stat.S_ISREG(found.st_mode) else None


def _read(
    file: str,
    repeat: int,
    size: int | None,
    total: int | None,
    scores: list[TextScore],
    interrupt: Interrupt,
) -> None:
    progress, done = Progress(), 0
    try:
        for number in range(repeat):
            begin = done
            for piece in _pieces(file, interrupt):
                for score in scores:
                    score.push(piece)
                done += len(piece)
                _tell(progress, done, total)
            if interrupt.requested:
                return
            if repeat > 1 and done - begin != size:
                raise ConfigError(f"{file}: changed while it was read for time {number + 1}")
        for score in scores:
            score.flush()
    finally:
        progress.end()


def _pieces(file: str, interrupt: Interrupt) -> Iterator[Any]:
    source = open_text(file)
    try:
        for block in interrupt.blocks(source):
            for begin in range(0, len(block.samples), PIECE_BYTES):
                yield block.samples[begin : begin + PIECE_BYTES]
                if interrupt.requested:
                    return
    finally:
        source.close()


def _tell(progress: Progress, done: int, total: int | None) -> None:
    if total:
        # Told in steps: without a terminal each is a line.
        progress.tell(done, total, f"{100 // TOLD * (done * TOLD // total)} % of {total:,} bytes")
    else:
        progress.tell(0, 0, f"more than {10 ** (len(str(done)) - 1):,} bytes")


def _facts(name: str, path: Path, score: TextScore) -> dict[str, Any]:
    manifest, passes, clock = score.session.manifest, score.passes, score.clock
    return {
        "model": name,
        "backend": score.session.backend,
        "family": manifest.family,
        "quantization": manifest.quantization.scheme,
        "parameters": manifest.parameters,
        "file_bytes": path.stat().st_size,
        "state_bytes": manifest.state_spec.nbytes(),
        "bytes": score.count,
        "first_byte_counted": False,
        "bits_per_byte": score.bits_per_byte,
        "window": score.window,
        "window_bits_per_byte": score.window_bits_per_byte,
        "positions": [
            {"from": 0 if i == 0 else 10 ** (i + 1), "to": 10 ** (i + 2), "bytes": count,
             "bits_per_byte": bits / count if count else None}
            for i, (bits, count) in enumerate(score.decades)
        ],
        "passes": None if passes is None else {
            "bytes": passes.size, "count": passes.count, "first": passes.first,
            "last": passes.last, "largest_change": passes.largest_change,
        },
        "chunk": manifest.timing.chunk,
        "bytes_per_second": clock.steps * manifest.timing.chunk / clock.total_s
        if clock.total_ns else None,
        "step_p50_us": clock.p50_ms * 1000,
        "step_p99_us": clock.p99_ms * 1000,
    }  # fmt: skip


def _print(facts: list[dict[str, Any]], file: str, interrupted: bool, as_json: bool) -> None:
    machine = this_machine()
    if as_json:
        document = {"input": file, "interrupted": interrupted, "machine": machine.as_dict()}
        print(json.dumps({**document, "models": facts}))
        return
    table = Table()
    table.add_column("")
    for fact in facts:
        table.add_column(Text(visible(fact["model"])), justify="right", overflow="fold")
    for words, cells in _rows(facts):
        table.add_row(words, *cells)
    console = wide_console()
    console.print(table)
    console.print(
        f"bits per byte without the first byte of {max(f['bytes'] for f in facts):,}, no resets"
        f"{', interrupted' if interrupted else ''}; {machine.sentence()}; 1 thread"
    )


def _rows(facts: list[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Words and cells, one for each model, of the rows that say something."""

    def bits(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    yield "bits per byte", [bits(fact["bits_per_byte"]) for fact in facts]
    if any(fact["window_bits_per_byte"] is not None for fact in facts):
        yield "  first window", [
            "-" if fact["window_bits_per_byte"] is None
            else f"{bits(fact['window_bits_per_byte'])} ({fact['window']} bytes)"
            for fact in facts
        ]  # fmt: skip
    for i, place in enumerate(facts[0]["positions"]):
        yield (
            f"  bytes {place['from']:,} to {place['to'] - 1:,}",
            [
                bits(f["positions"][i]["bits_per_byte"]) if i < len(f["positions"]) else "-"
                for f in facts
            ],
        )
    if facts[0]["passes"] is not None:
        passes = [fact["passes"] for fact in facts]
        yield "passes", [f"{p['count']:,} of {p['bytes']:,} bytes" for p in passes]
        yield "  first", [bits(p["first"]) for p in passes]
        yield "  last", [bits(p["last"]) for p in passes]
        yield (
            "  largest change from the first",
            [
                "-" if p["largest_change"] is None else f"{100 * p['largest_change']:.3f} %"
                for p in passes
            ],
        )
    yield "backend", [fact["backend"] for fact in facts]
    yield "parameters", [f"{fact['parameters']:,}" for fact in facts]
    yield "file bytes", [f"{fact['file_bytes']:,}" for fact in facts]
    yield "state bytes", [f"{fact['state_bytes']:,}" for fact in facts]
    yield (
        "bytes a second",
        [
            "-" if fact["bytes_per_second"] is None else f"{fact['bytes_per_second']:,.0f}"
            for fact in facts
        ],
    )
    yield (
        "step p50, p99 (µs)",
        [f"{fact['step_p50_us']:,.1f}, {fact['step_p99_us']:,.1f}" for fact in facts],
    )
