"""`edgeseq compare`: accuracy, time and memory of models side by side."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from ..assets import bundled
from ..errors import AudioError
from ..profile.compare import Measured, combine, measure
from ..profile.labels import METRICS
from ..profile.machine import this_machine
from ..profile.scoring import Interval, WordScore, frame_accuracy, read_labels, score_words
from ..runtime import read_manifest
from .advice import faster_form, keeping_up
from .choose import Chosen, choose
from .figures import add_rows, wide_console
from .join import compare_files
from .lines import visible
from .outputs import parse_outputs

Row = dict[str, Any]


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--wav", metavar="FILE", help="Audio that every model hears; - is standard input.")
@click.option("--text", metavar="FILE", help="Text that every model reads; - is standard input.")
@click.option("--labels", metavar="TSV", help="What is right: start, end (seconds) and label.")
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option(
    "-o", "--output", "outputs", multiple=True, metavar="FILE", callback=parse_outputs,
    help="With .json files: write .json, .csv or .html; may be given again.",
)  # fmt: skip
@click.option(
    "--slower", type=click.FloatRange(1.0, 10_000.0), metavar="N",
    help="Also estimate which models keep up on a CPU that is N times slower.",
)  # fmt: skip
@click.option("--mix", is_flag=True, help="With .json files: join even what cannot be compared.")
def command(
    models: tuple[str, ...],
    wav: str | None,
    text: str | None,
    labels: str | None,
    rounds: int,
    as_json: bool,
    outputs: tuple[Path, ...],
    slower: float | None,
    mix: bool,
) -> None:
    """Run MODELs over the same input, each in fresh processes, and print one table.

    Or join files that `edgeseq profile -o` wrote, on one machine or on several: edgeseq compare
    A.json B.json. Files that hold another model or another input under the same name are refused.

    MODEL is a file or the name of a bundled model; without any, all bundled ones of the input's
    kind. Times and memory are medians over the rounds, in which the models take turns.

    With --labels, keyword models are scored by words found (until 0.75 s after the end of the
    word) and false alarms, speech detectors by the share of 10 ms frames that are right.

    Of a model that is there in float and in int8 the faster one here is named: small models and old
    processors are often faster in float. --slower scales the times measured here, which says
    nothing about caches and vector units of the other CPU: measure there before you decide.
    """
    if _are_profiles(models, wav, text, labels, outputs, mix):
        if slower is not None:
            raise click.UsageError("--slower goes with models, not with .json files")
        compare_files(models, outputs, mix, as_json)
        return
    if (wav is None) == (text is None):
        raise click.UsageError("give one input: --wav FILE or --text FILE")
    if text is not None and labels is not None:
        raise click.UsageError("--labels goes with --wav; text is scored by bits per byte")
    file = wav if wav is not None else text
    assert file is not None
    if file == "-" == labels:
        raise click.UsageError("standard input is either the input or its labels, not both")
    truth = read_labels(labels) if labels is not None else None
    chosen = choose(models, text is not None, _bundled(text is not None))
    done: dict[str, list[Measured]] = {}
    try:
        with _as_file(file) as path:
            _measure(chosen, "wav" if text is None else "text", path, rounds, done)
    finally:
        # After Ctrl-C what has been measured so far is still shown.
        if done:
            rows = [
                _row(model, combine(done[model.name]), truth)
                for model in chosen
                if model.name in done
            ]
            caption = _caption(rows, min(len(runs) for runs in done.values()))
            advice = [*faster_form(rows), *keeping_up(rows, slower)]
            _print(rows, caption, advice, file, as_json)


def _are_profiles(
    models: tuple[str, ...],
    wav: str | None,
    text: str | None,
    labels: str | None,
    outputs: tuple[Path, ...],
    mix: bool,
) -> bool:
    """Whether the arguments are files of `edgeseq profile`; a usage error for a mixture."""
    profiles = [name for name in models if name.lower().endswith(".json")]
    if not profiles:
        if outputs or mix:
            raise click.UsageError("-o and --mix go with .json files of edgeseq profile")
        return False
    if len(profiles) < len(models):
        other = next(name for name in models if name not in profiles)
        raise click.UsageError(f"{other} is no .json file; give models or profiles, not both")
    if (wav, text, labels) != (None, None, None):
        raise click.UsageError("--wav, --text and --labels go with models, not with .json files")
    return True


@contextmanager
def _as_file(file: str) -> Iterator[str]:
    """The file, or a copy of standard input: it is read once for every model and round."""
    if file != "-":
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="edgeseq") as folder:
        path = Path(folder) / "stdin"
        if sys.stdin is None or sys.stdin.closed:
            raise AudioError("standard input is closed; pipe something into it or name a file")
        with path.open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        yield str(path)


def _bundled(text: bool) -> list[Path]:
    return [p for p in bundled().values() if (read_manifest(p).input == "bytes") == text]


def _measure(
    chosen: list[Chosen], kind: str, file: str, rounds: int, done: dict[str, list[Measured]]
) -> None:
    # Nothing that moves by itself: an animation would take a part of the machine it measures.
    tty = sys.stderr is not None and sys.stderr.isatty()
    before, after = ("\r\x1b[K", "") if tty else ("", "\n")
    try:
        for number in range(1, rounds + 1):
            for model in chosen:
                words = f"{before}round {number} of {rounds}: {visible(model.name)}"
                print(words, end=after, file=sys.stderr, flush=True)
                measured = measure(model.path, kind, file)
                done.setdefault(model.name, []).append(measured)
    finally:
        print(before, end="", file=sys.stderr, flush=True)


def _row(model: Chosen, measured: Measured, truth: list[Interval] | None) -> Row:
    manifest = model.manifest
    timing = manifest.timing
    audio = timing.sample_rate is not None
    metric: object = measured.bits_per_byte
    if truth is not None and manifest.task == "keyword":
        metric = score_words(measured.events, truth, manifest.labels[2:])
    elif truth is not None and manifest.task == "vad":
        metric = frame_accuracy(measured.events, truth, measured.seconds)
    return {
        "model": model.name,
        "task": manifest.task,
        "family": manifest.family,
        "quantization": manifest.quantization.scheme,
        "config_sha256": manifest.provenance.config_sha256,
        "metric": metric,
        "file_bytes": model.path.stat().st_size,
        "weight_bytes": manifest.quantization.weight_bytes,
        "state_bytes": manifest.state_spec.nbytes(),
        "parameters": manifest.parameters,
        "macs_per_step": manifest.macs_per_frame * timing.chunk,
        "step_p50_us": measured.step_p50_us,
        "step_p99_us": measured.step_p99_us,
        "step_seconds": timing.step_seconds if audio else None,
        "rtf": measured.compute_seconds / measured.seconds if audio and measured.seconds else None,
        "rss_peak_bytes": measured.peak_rss_bytes,
        "algorithmic_latency_ms": timing.algorithmic_latency * 1000 if audio else None,
        "events": measured.event_count,
        "steps": measured.steps,
        "stream_seconds": measured.seconds if audio else None,
        "stream_bytes": None if audio else int(measured.seconds),
    }


def _caption(rows: list[Row], rounds: int) -> str:
    row = rows[0]
    audio, text = row["stream_seconds"], row["stream_bytes"]
    size = f"{text:,} bytes" if audio is None else f"{audio:.2f} s"
    return (
        f"{this_machine().sentence()}; 1 thread; {size} of input, median of {rounds} "
        f"round{'s' if rounds > 1 else ''}, each run in a fresh process"
    )


def _metric(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "-" if value is None else str(value)


def _print(rows: list[Row], caption: str, advice: list[str], file: str, as_json: bool) -> None:
    if as_json:
        for row in rows:
            row["metric"] = _plain(row)
        document = {"input": file, "machine": this_machine().as_dict(), "models": rows}
        print(json.dumps({**document, "caption": caption, "advice": advice}))
        return
    # A row per property: even three models side by side fit where fourteen columns do not.
    table = Table()
    table.add_column("")
    for row in rows:
        table.add_column(Text(visible(row["model"])), justify="right", overflow="fold")
    for task, words in METRICS.items():
        if any(row["task"] == task and row["metric"] is not None for row in rows):
            cells = [_metric(row["metric"]) if row["task"] == task else "-" for row in rows]
            table.add_row(words, *cells)
    add_rows(table, rows)
    console = wide_console()
    console.print(table)
    console.print(caption)
    for line in advice:
        console.print(visible(line))


def _plain(row: Row) -> object:
    """The metric by name, as plain values."""
    value = row["metric"]
    if isinstance(value, WordScore):
        return {"found": value.found, "total": value.total, "false_alarms": value.false_alarms}
    name = "bits_per_byte" if row["task"] == "bytes" else "frame_accuracy"
    return None if value is None else {name: value}
