"""What quantization saves and costs: the rows of `edgeseq quantize`, and its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ..profile.drift import Drift, follow_drift
from ..profile.evaluate import Data
from ..profile.labels import METRICS
from ..profile.machine import instruction_set, this_machine
from ..profile.probe import Job, default_input, measure_fresh
from ..runtime import Session, read_manifest
from ..runtime.backend import Array
from .figures import wide_console
from .lines import visible
from .progress import Progress

if TYPE_CHECKING:
    from edgeseq_export.study import Effect, Made, Study

__all__ = ["make_document", "measure_rows", "print_document"]

TIMED_STEPS = 2000

MOST_DRIFT = 2.0
"""A stream whose states are so much further apart at its end than in its first pass drifts away."""

LEAST_DRIFT = 0.01
"""Differences below this are no drift, whatever they were before."""

Row = dict[str, Any]


def measure_rows(
    made: Sequence[Made],
    chunks: Sequence[Array],
    data: Data,
    drift_steps: int,
    rounds: int,
    progress: Progress,
) -> list[Row]:
    """A row for the float form, which is the first, and for each scheme.

    Args:
        made: the files.
        chunks: input of the long stream.
        data: what steps are timed on, where it is a recording or a text.
        drift_steps: length of the stream.
        rounds: how often steps are timed, each in a fresh process, in turns.
        progress: told what happens.
    """
    sessions = {one.scheme: Session(one.path) for one in made}
    base = made[0]
    progress.tell(0, 1, f"states over {drift_steps:,} steps")
    drifts = follow_drift(
        sessions[base.scheme],
        {one.scheme: sessions[one.scheme] for one in made[1:]},
        chunks,
        drift_steps,
        lambda share: progress.tell(share, 1, f"states over {drift_steps:,} steps"),
    )
    times = _times(made, data, rounds, progress)
    size = base.path.stat().st_size
    rows = []
    for one in made:
        stored = read_manifest(one.path).quantization
        drift = drifts.get(one.scheme)
        rows.append(
            {
                "scheme": one.scheme,
                "metric": one.score.value,
                "metric_words": one.score.words,
                "loss": base.score.loss(one.score),
                "moved": one.moved,
                "file_bytes": one.path.stat().st_size,
                "ratio": one.path.stat().st_size / size,
                "weight_bytes": stored.weight_bytes,
                "integer_ops": stored.integer_ops,
                "float_ops": stored.float_ops,
                "step_p50_us": median(t["step_p50_us"] for t in times[one.scheme]),
                "step_p99_us": median(t["step_p99_us"] for t in times[one.scheme]),
                "drift_early": None if drift is None else drift.early,
                "drift_late": None if drift is None else drift.late,
                "refused": one.refused or _drifted(one.scheme, drift),
            }
        )
    return rows


def _drifted(scheme: str, drift: Drift | None) -> str:
    if drift is None:
        return ""
    if not drift.finite:
        return f"{scheme} has states that are not finite at the end of the stream"
    if drift.late > max(LEAST_DRIFT, MOST_DRIFT * drift.early):
        return (
            f"{scheme} drifts: its states are {drift.late:.3f} from those of float at the end of "
            f"the stream, {drift.early:.3f} at its beginning"
        )
    return ""


def _times(
    made: Sequence[Made], data: Data, rounds: int, progress: Progress
) -> dict[str, list[dict[str, Any]]]:
    text = read_manifest(made[0].path).input == "bytes"
    file = default_input(text)[0] if data.file is None else str(data.file)
    found: dict[str, list[dict[str, Any]]] = {one.scheme: [] for one in made}
    for turn in range(rounds):
        for at, one in enumerate(made):
            words = f"round {turn + 1} of {rounds}: {one.scheme}"
            progress.tell(turn * len(made) + at, rounds * len(made), words)
            job = Job(str(one.path), "onnx", 1, file, None, TIMED_STEPS, 0.0)
            found[one.scheme].append(measure_fresh(job))
    return found


def make_document(
    study: Study,
    rows: Sequence[Row],
    effects: Sequence[Effect],
    plan: Mapping[str, str] | None,
    drift_steps: int,
    rounds: int,
) -> dict[str, Any]:
    """Everything that was found, as plain values."""
    manifest = study.model.manifest
    return {
        "model": manifest.name,
        "family": manifest.family,
        "task": manifest.task,
        "data": study.data.words,
        "machine": this_machine().as_dict(),
        "instruction_set": instruction_set(),
        "caption": (
            f"{this_machine().sentence()}; integer products may use {instruction_set()}; judged on "
            f"{study.data.words}; 1 thread, chunk {manifest.timing.chunk}, {TIMED_STEPS:,} steps, "
            f"median of {rounds} round{'s' if rounds > 1 else ''} in fresh processes; states over "
            f"{drift_steps:,} steps"
        ),
        "notes": _notes(study, rows),
        "bits": study.base.score.bits,
        "schemes": list(rows),
        "sensitivity": [
            {
                "weight": e.weight.name,
                "shape": list(e.weight.shape),
                "form": e.form,
                "moved": e.moved,
                "loss": e.loss,
            }
            for e in effects
        ],
        "plan": None if plan is None else dict(plan),
    }


def _notes(study: Study, rows: Sequence[Row]) -> list[str]:
    notes = []
    if study.model.was_int8:
        notes.append(
            "The float form has the weights of an int8 file, so that int8 costs them nothing more: "
            "give the checkpoint to see what int8 costs."
        )
    names = {row["scheme"] for row in rows}
    if "fp16" in names:
        notes.append("fp16 is widened to float32 when the file is loaded: products are in float32.")
    if "int8-static" in names:
        notes.append(
            "int8-static fixes the scales of activations but of those that are states: products "
            "with a state, and look-up tables, are those of int8."
        )
    if "int4" in names and any(w.kind == "table" for w in study.model.weights):
        notes.append("int4 keeps look-up tables in int8.")
    return notes


def print_document(document: Mapping[str, Any]) -> None:
    """The table of schemes, that of weights, and the mixture."""
    console = wide_console()
    rows = document["schemes"]
    table = Table()
    table.add_column("")
    for row in rows:
        table.add_column("float" if row["scheme"] == "none" else row["scheme"], justify="right")
    metric = "right clips" if " clips of " in document["data"] else METRICS[document["task"]]
    unit = "%" if document["bits"] else "points"
    for words, cells in (
        (metric, [row["metric_words"] for row in rows]),
        (f"loss ({unit})", ["" if n == 0 else f"{r['loss']:.2f}" for n, r in enumerate(rows)]),
        ("probability moved", ["" if n == 0 else f"{r['moved']:.4f}" for n, r in enumerate(rows)]),
        ("file bytes", [f"{row['file_bytes']:,}" for row in rows]),
        ("share of float", [f"{row['ratio']:.4f}" for row in rows]),
        ("integer / float products", [f"{r['integer_ops']} / {r['float_ops']}" for r in rows]),
        ("step p50 (µs)", [f"{row['step_p50_us']:,.1f}" for row in rows]),
        ("step p99 (µs)", [f"{row['step_p99_us']:,.1f}" for row in rows]),
        ("states off, first pass", [_share(row["drift_early"]) for row in rows]),
        ("states off, last pass", [_share(row["drift_late"]) for row in rows]),
        ("gate", ["" if n == 0 else _gate(row) for n, row in enumerate(rows)]),
    ):
        table.add_row(words, *cells)
    console.print(table)
    for line in (document["caption"], *document["notes"]):
        console.print(visible(line))
    for row in rows:
        if row["refused"]:
            console.print(visible(f"refused: {row['refused']}"))
    if document["sensitivity"]:
        _print_effects(document["sensitivity"], unit)
    if document["plan"] is not None:
        _print_plan(document["plan"])


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _gate(row: Row) -> str:
    return "refused" if row["refused"] else "ok"


def _print_effects(effects: Sequence[Mapping[str, Any]], unit: str) -> None:
    """A row for each weight, the one with the strongest effect in four bits first."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for effect in effects:
        found.setdefault(effect["weight"], {})[effect["form"]] = effect
    table = Table(title="each weight alone, all others in float", title_justify="left")
    table.add_column("weight")
    table.add_column("shape", justify="right")
    for form in ("int8", "int4"):
        table.add_column(f"{form}: moved", justify="right")
        table.add_column(f"loss ({unit})", justify="right")

    def strength(forms: Mapping[str, Mapping[str, Any]]) -> float:
        return -float(forms.get("int4", forms["int8"])["moved"])

    for name, forms in sorted(found.items(), key=lambda item: (strength(item[1]), item[0])):
        cells = []
        for form in ("int8", "int4"):
            one = forms.get(form)
            cells += [f"{one['moved']:.4f}", f"{one['loss']:.2f}"] if one else ["", ""]
        shape = " x ".join(str(n) for n in forms["int8"]["shape"])
        table.add_row(Text(visible(name)), shape, *cells)
    wide_console().print(table)


def _print_plan(plan: Mapping[str, str]) -> None:
    console = wide_console()
    for form in ("int4", "int8", "float"):
        names = [name for name, chosen in plan.items() if chosen == form]
        if names:
            console.print(visible(f"mixed: {form}: {', '.join(names)}"))
