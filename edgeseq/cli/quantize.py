"""`edgeseq quantize`: smaller weights for a model, and what they cost, in one table."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfigError, ExportError, MissingExtraError
from ..files import write_whole
from ..profile.evaluate import read_data
from ..profile.probe import default_input
from ..runtime import read_manifest
from .progress import Progress
from .savings import make_document, measure_rows, print_document

if TYPE_CHECKING:
    from edgeseq_export.study import Made, Study

SCHEMES = ("fp16", "int8", "int8-static", "int4", "mixed")


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--scheme", "schemes", type=click.Choice(SCHEMES), multiple=True,
    help="What to try (repeatable).  [default: all; mixed with --max-loss]",
)  # fmt: skip
@click.option(
    "--eval", "data", type=click.Path(path_type=Path), metavar="DATA",
    help="What is judged: a recording, a text, or a folder with a folder of clips for each label.  "
    "[default: bundled clip]",
)  # fmt: skip
@click.option("--labels", metavar="TSV", help="What is right in a recording: start, end, label.")
@click.option(
    "--max-loss", type=click.FloatRange(0, 100), metavar="X",
    help="Refuse a scheme that loses more: points of the metric, or percent of the bits per byte.",
)  # fmt: skip
@click.option(
    "--calibration", type=click.Path(path_type=Path, exists=True, dir_okay=False), multiple=True,
    help="Recording or text that int4 and int8-static are fitted to (repeatable).  "
    "[default: bundled clip]",
)  # fmt: skip
@click.option(
    "--drift-steps", type=click.IntRange(2, 10**9), default=100_000, show_default=True, metavar="N",
    help="Steps over which the states are compared with those of float.",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True)
@click.option(
    "--sensitivity/--no-sensitivity", default=True,
    help="Also try each weight alone, which takes the longest.  [default: yes]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=None,
    help="Write the .onnx file of the one --scheme, or those of all into a folder.",
)  # fmt: skip
def command(
    model: Path,
    schemes: tuple[str, ...],
    data: Path | None,
    labels: str | None,
    max_loss: float | None,
    calibration: tuple[Path, ...],
    drift_steps: int,
    rounds: int,
    sensitivity: bool,
    as_json: bool,
    out: Path | None,
) -> None:
    """Store the weights of MODEL in fewer bytes, and show what that costs.

    MODEL is a checkpoint (model.safetensors), a float .onnx file, or the name of a bundled model,
    whose int8 weights are read back. Each scheme is compared with the float form: metric on DATA,
    bytes, step time in fresh processes, and states over a long stream. A scheme that moves more
    than a tenth of the probability to other labels is refused, as one that loses more than
    --max-loss.

    \b
    fp16   weights in 16 bits, widened when the file is loaded; computed in float32
    int8   weights in 8 bits, activations in 8 bits with a scale of their own each time
    int8-static  activations with a fixed scale, chosen on --calibration; products with a state
           and look-up tables as in int8
    int4   weights in 4 bits, by blocks with one scale each; look-up tables in 8 bits
    mixed  int4 where it costs little, else int8, else float: found within --max-loss
    """
    chosen = _chosen(schemes, max_loss, sensitivity)
    _check_out(out, chosen)
    if data is not None and not data.exists():
        raise ConfigError(f"{data}: there is no such file or folder")
    progress = Progress()
    try:
        with tempfile.TemporaryDirectory(prefix="edgeseq") as inner:
            study, chunks = _begin(model, data, labels, calibration, Path(inner), progress)
            made = [study.base]
            for scheme in chosen:
                if scheme != "mixed":
                    progress.tell(0, 1, f"making {scheme}")
                    made.append(study.make(scheme, max_loss))

            def tell(done: float, words: str) -> None:
                progress.tell(done, 1, words)

            effects = study.effects(tell) if sensitivity else []
            plan = None
            if "mixed" in chosen:
                assert max_loss is not None
                plan = study.mixed_plan(effects, max_loss, tell)
                made.append(study.make("mixed", max_loss, plan))
            rows = measure_rows(made, chunks, study.data, drift_steps, rounds, progress)
            progress.end()
            document = make_document(study, rows, effects, plan, drift_steps, rounds)
            if as_json:
                print(json.dumps(document))
            else:
                print_document(document)
            if out is not None:
                _write(out, made, rows)
    finally:
        progress.end()


def _chosen(schemes: tuple[str, ...], max_loss: float | None, sensitivity: bool) -> list[str]:
    """Schemes in the order of SCHEMES; usage errors for what cannot be."""
    chosen = [s for s in SCHEMES if s in schemes]
    if not chosen:
        possible = max_loss is not None and sensitivity
        chosen = [s for s in SCHEMES if s != "mixed" or possible]
    elif "mixed" in chosen and max_loss is None:
        raise click.UsageError("--scheme mixed needs --max-loss: what the mixture may lose")
    elif "mixed" in chosen and not sensitivity:
        raise click.UsageError("--scheme mixed needs the sensitivity of each weight")
    return chosen


def _check_out(out: Path | None, chosen: list[str]) -> None:
    """Said before minutes of work, not after them."""
    if out is None:
        return
    if out.suffix == ".onnx":
        if len(chosen) > 1:
            raise click.UsageError(
                f"-o {out} is one file for {len(chosen)} schemes; give one --scheme, or a folder"
            )
        folder = out.parent
    else:
        folder = out.parent if not out.exists() else out
    if not folder.is_dir():
        raise ConfigError(f"{folder}: is no folder; make it first")


def _begin(
    model: Path,
    data: Path | None,
    labels: str | None,
    calibration: tuple[Path, ...],
    folder: Path,
    progress: Progress,
) -> tuple[Study, list[Any]]:
    """The float form, judged, and the chunks that logits and states are compared on."""
    try:
        from edgeseq_export.activations import calibration_chunks
        from edgeseq_export.requantize import load_float
        from edgeseq_export.study import Study
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "export", "quantizing") from error

    progress.tell(0, 1, f"reading {model}")
    float_file = folder / "none.onnx"
    loaded = load_float(model, float_file, calibration)
    if data is None:
        file, own = default_input(loaded.manifest.input == "bytes")
        data, labels = Path(file), labels if labels is not None else own
    judged = read_data(data, labels, loaded.manifest)
    chunks = calibration_chunks(loaded.manifest, () if judged.file is None else (judged.file,))
    return Study(loaded, float_file, judged, chunks, folder), chunks


def _write(out: Path, made: list[Made], rows: list[dict[str, Any]]) -> None:
    """Copy the files that were not refused; ExportError names those that were."""
    refused = []
    for one, row in zip(made, rows, strict=True):
        if one.scheme == "none":
            continue
        if row["refused"]:
            refused.append(row["refused"])
            continue
        path = out
        if out.suffix != ".onnx":
            out.mkdir(exist_ok=True)
            path = out / f"{read_manifest(one.path).name}-{one.scheme}.onnx"
        write_whole(path, one.path.read_bytes())
        print(path, file=sys.stderr)
    if refused:
        raise ExportError("; ".join(refused))
