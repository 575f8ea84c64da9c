"""`edgeseq profile`: latency, memory, start and energy of models on this machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from ..assets import bundled, resolve
from ..errors import ConfigError
from ..profile.backends import EAGER, available, runs
from ..profile.document import Document
from ..profile.eager import with_weights
from ..profile.labels import run_names, soak_words
from ..profile.machine import this_machine
from ..profile.probe import Job, default_input
from ..profile.rounds import Configuration, Profile
from ..profile.scoring import read_labels
from ..runtime.session import backend_of
from .choose import Chosen, choose_any
from .figures import print_growth, print_runs
from .lines import visible
from .outputs import parse_outputs, write_outputs
from .progress import Progress
from .quantities import parse_duration

SECONDS = 2.0


def parse_threads(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """Numbers with commas between them, each once."""
    parts = [part.strip() for part in value.split(",")]
    if not all(re.fullmatch(r"[1-9]\d{0,2}", part) for part in parts):
        raise click.BadParameter(f"{value!r} is not numbers from 1 to 999, as in 1,2,4")
    return tuple(dict.fromkeys(map(int, parts)))


def parse_backends(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, ...]:
    """Names with commas between them, each once; none for every one there is."""
    names = [] if value is None else [part.strip() for part in value.split(",")]
    unknown = [name for name in names if name not in available()]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(available())}")
    return tuple(dict.fromkeys(names))


def parse_count(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """A number of steps such as 100000 or 1e5, from 1,000 to 10^9."""
    if value is None:
        return None
    try:
        count = float(value)
    except ValueError:
        count = 0.0
    if not 1000 <= count <= 1e9 or count != int(count):
        raise click.BadParameter(f"{value!r} is not a number of steps from 1000 to 1e9")
    return int(count)


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--wav", metavar="FILE", help="Audio for audio models.  [default: bundled clip]")
@click.option("--labels", metavar="TSV", help="What is right in it: start, end and label.")
@click.option("--text", metavar="FILE", help="Text for byte models.  [default: bundled passage]")
@click.option("--steps", type=click.IntRange(1), metavar="N", help="Time N steps a round.")
@click.option(
    "--seconds", type=click.FloatRange(0, 86400, min_open=True), metavar="N",
    help=f"Time steps for N seconds a round.  [default: {SECONDS:g}]",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True)
@click.option("--threads", default="1", metavar="N,N", callback=parse_threads, show_default=True)
@click.option(
    "--backends", metavar="B,B", callback=parse_backends,
    help="What runs the models, each by those that it is for; torch: the float model, on the CPU "
    "and a GPU.  [default: the one that each file is for]",
)  # fmt: skip
@click.option(
    "--checkpoint", metavar="FILE",
    help="What torch runs for the one MODEL.  [default: weights read back from its int8 file]",
)  # fmt: skip
@click.option(
    "-o", "--output", "outputs", multiple=True, metavar="FILE", callback=parse_outputs,
    help="Write .json, .csv or .html; may be given again.",
)  # fmt: skip
@click.option(
    "--growth", metavar="N", callback=parse_count,
    help="Also follow one stream from 100 to N steps (1e6 may be written).",
)  # fmt: skip
@click.option(
    "--soak", metavar="DURATION", callback=parse_duration,
    help="Also stream so long, as fast as the machine can: 24h, 30m, 90s.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The JSON document on stdout.")
def command(
    models: tuple[str, ...],
    wav: str | None,
    labels: str | None,
    text: str | None,
    steps: int | None,
    seconds: float | None,
    rounds: int,
    threads: tuple[int, ...],
    backends: tuple[str, ...],
    checkpoint: str | None,
    outputs: tuple[Path, ...],
    growth: int | None,
    soak: float | None,
    as_json: bool,
) -> None:
    """Measure MODELs on this machine: step times, memory, start, latency by cause, energy.

    MODEL is a file or the name of a bundled model; without any, all bundled ones. Each
    configuration runs in fresh processes, in turns; figures are medians over the rounds, behind a
    warm-up of 200 steps, with garbage collection off while steps are timed.

    Files may be compared later, from several machines: edgeseq compare A.json B.json.
    """
    if steps is not None and seconds is not None:
        raise click.UsageError("--steps and --seconds exclude each other; give one")
    if labels is not None and wav is None:
        raise click.UsageError("--labels goes with --wav; the bundled clip has its own")
    if labels is not None:
        read_labels(labels)
    chosen = choose_any([resolve(name) for name in models] or list(bundled().values()))
    if checkpoint is not None and (EAGER not in backends or len(chosen) > 1):
        raise click.UsageError("--checkpoint goes with --backends torch and one MODEL")
    settings = {"rounds": rounds, "steps": steps, "seconds": None if steps else seconds or SECONDS}
    profile = Profile(settings)
    wanted = [
        (model, _jobs(model, wav, labels, text, steps, seconds, threads, backends))
        for model in chosen
    ]
    progress = Progress()
    folder = TemporaryDirectory(prefix="edgeseq")
    try:
        configurations = [
            Configuration(model.name, model.manifest, job)
            for model, jobs in wanted
            for job in with_weights(jobs, checkpoint, folder.name, profile.notes)
        ]
        profile.measure(configurations, rounds, progress.tell)
        # Long streams of one thread: the other numbers of threads have the same state.
        single = [c for c in profile.done if c.job.threads == threads[0]]
        if growth is not None:
            profile.follow_growth(single, growth, progress.tell)
        if soak is not None:
            profile.follow_soak(single, soak, progress.tell)
    finally:
        # After Ctrl-C what has been measured so far is still shown and written.
        progress.end()
        folder.cleanup()
        if any(profile.done.values()):
            _write(profile.document(), outputs, as_json)


def _jobs(
    model: Chosen,
    wav: str | None,
    labels: str | None,
    text: str | None,
    steps: int | None,
    seconds: float | None,
    threads: tuple[int, ...],
    backends: tuple[str, ...],
) -> list[Job]:
    takes_text = model.manifest.input == "bytes"
    given = text if takes_text else wav
    file, truth = default_input(takes_text) if given is None else (given, labels)
    if not Path(file).is_file():
        raise ConfigError(f"{file}: no such file")
    path = str(model.path)
    fitting = [name for name in backends or (backend_of(path),) if runs(name, path)]
    if not fitting:
        raise ConfigError(
            f"{path}: is not for --backends {','.join(backends)}, but for {backend_of(path)}"
        )
    return [
        Job(path, backend, count, file, truth, steps, seconds or SECONDS, True)
        for backend in fitting
        for count in threads
    ]


def _write(document: Document, outputs: tuple[Path, ...], as_json: bool) -> None:
    try:
        write_outputs(outputs, document)
    finally:
        # A full disk must not cost the figures.
        _show(document, as_json)


def _show(document: Document, as_json: bool) -> None:
    if as_json:
        print(json.dumps(document))
        return
    print_runs(document["runs"])
    settings = document["settings"]
    for run, name in zip(document["runs"], run_names(document["runs"]), strict=True):
        if run["budget"]:
            budget = run["budget"]
            print(
                f"{visible(name)}: {budget['algorithmic_ms']:.0f} ms algorithmic latency "
                f"(capture {budget['capture_ms']:.0f}, resampler {budget['resampler_ms']:.0f}, "
                f"fill {budget['fill_ms']:.0f}, lookahead {budget['lookahead_ms']:.0f}, decoder "
                f"{budget['decoder_ms'] or 0:.0f}) + {budget['computing_ms']:.2f} ms (compute "
                f"{budget['compute_p99_ms']:.2f}, queue {budget['queue_p99_ms']:.2f}; p99)"
            )
    rounds = settings["rounds"]
    overhead = max((run["overhead_us"] for run in document["runs"]), default=0.0)
    print(
        f"{this_machine().sentence()}; median of {rounds} round{'s' if rounds > 1 else ''}, each "
        f"in a fresh process; timing adds {overhead:.2f} µs to a step"
    )
    for row in document["growth"]:
        print_growth(row)
    for row in document["soak"]:
        told = ", ".join(f"{key} {words}" for key, words in soak_words(row).items())
        print(f"{visible(row['name'])}: {told}")
    for words in document["warnings"]:
        print(f"warning: {visible(words)}")
    for words in document["notes"]:
        print(f"not measured: {visible(words)}")
