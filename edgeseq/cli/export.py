"""`edgeseq export`: a checkpoint to a model file that explains itself, or to C data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..assets import resolve
from ..errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from ..training.checkpoint import Checkpoint

ONLY_FOR = {
    "scheme": ("onnx",),
    "chunk": ("onnx", "native"),
    "decoding": ("onnx", "native"),
    "calibration": ("native", "firmware"),
}
"""The targets that an option means something for."""

OPTION = {"scheme": "quantize"}
"""Options by parameter, where the names differ."""

DEFAULT_OUT = {"onnx": "model.onnx", "native": "model.esq", "firmware": "firmware"}


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--target", type=click.Choice(list(DEFAULT_OUT)), default="onnx", show_default=True,
    help="What to write: a file for onnxruntime, one for the native engine, or a folder of C data.",
)  # fmt: skip
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=None,
    help="File or folder to write.  [default: model.onnx, model.esq, firmware]",
)  # fmt: skip
@click.option(
    "--quantize", "scheme", type=click.Choice(["none", "int8"]), default="none", show_default=True,
    help="How weights are stored in an ONNX file; the others are always int8.",
)  # fmt: skip
@click.option(
    "--chunk", type=click.IntRange(1), default=1, show_default=True,
    help="Frames in one step of a file; firmware takes one.",
)  # fmt: skip
@click.option(
    "--decoding", type=click.Path(path_type=Path), default=None,
    help="Recipe whose decoder settings (thresholds) replace those of the checkpoint.",
)  # fmt: skip
@click.option(
    "--calibration", type=click.Path(path_type=Path, exists=True, dir_okay=False), multiple=True,
    help="Recording or text to choose int8 scales on (repeatable).  [default: bundled clip]",
)  # fmt: skip
@click.pass_context
def command(
    context: click.Context,
    checkpoint: Path,
    target: str,
    out: Path | None,
    scheme: str,
    chunk: int,
    decoding: Path | None,
    calibration: tuple[Path, ...],
) -> None:
    """Export CHECKPOINT (model.safetensors of `edgeseq train`) as one step of a stream.

    CHECKPOINT may also be an .onnx file or the name of a bundled model. For the targets native and
    firmware its int8 weights are read back; for onnx, with --decoding, it is written again with
    other decoder settings.

    An ONNX file holds the graph, the manifest and a golden input with its output; so does an .esq
    file, with the integer program in place of the graph. A firmware folder holds model_data.c, its
    header, golden.h, the manifest and a README with flash, arena and multiply-accumulates.
    """
    _refuse_other_options(context, target)
    try:
        from edgeseq_export.package import set_decoding
        from edgeseq_export.read_back import is_model_file

        from ..training.config import Recipe

        out = out or Path(DEFAULT_OUT[target])
        settings = None if decoding is None else dict(Recipe.load(decoding).decoding)
        if target == "onnx" and settings is not None and is_model_file(checkpoint):
            _refuse_new_weights(context)
            set_decoding(resolve(str(checkpoint)), out, settings)
            print(out)
            return
        loaded = _load(checkpoint, target)
        if settings is not None:
            loaded.facts["decoding"] = settings
        if target == "firmware":
            _firmware(loaded, out, calibration)
        elif target == "native":
            _native(loaded, out, chunk, calibration)
        else:
            _onnx(loaded, out, scheme, chunk)
    except ImportError as error:
        if isinstance(error, MissingExtraError):
            raise
        raise MissingExtraError(error.name or "torch", "export", "exporting") from error


def _refuse_other_options(context: click.Context, target: str) -> None:
    for name, meant_for in ONLY_FOR.items():
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and target not in meant_for:
            option = OPTION.get(name, name)
            raise click.UsageError(f"--{option} is only for --target {' or '.join(meant_for)}")


def _refuse_new_weights(context: click.Context) -> None:
    for name in ("scheme", "chunk"):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = OPTION.get(name, name)
            raise click.UsageError(f"--{option} needs the checkpoint (model.safetensors)")


def _load(path: Path, target: str) -> Checkpoint:
    """The checkpoint, which an int8 ONNX file can stand in for where weights become int8 again."""
    from edgeseq_export.read_back import is_model_file, load_weights

    if target == "onnx" and is_model_file(path):
        raise ConfigError(
            f"{path}: --target onnx needs the checkpoint (model.safetensors), or --decoding alone"
        )
    return load_weights(path)


def _onnx(loaded: Checkpoint, out: Path, scheme: str, chunk: int) -> None:
    from edgeseq_export.package import export

    manifest = export(loaded, out, scheme, chunk)
    ops = manifest.quantization
    print(
        f"{manifest.name}: {manifest.parameters:,} parameters, {ops.integer_ops} integer and "
        f"{ops.float_ops} float matrix products, {out.stat().st_size:,} bytes",
        file=sys.stderr,
    )
    print(out)


def _native(loaded: Checkpoint, out: Path, chunk: int, calibration: tuple[Path, ...]) -> None:
    from edgeseq_export.native import export_native

    manifest = export_native(loaded, out, chunk, calibration)
    print(
        f"{manifest.name}: {manifest.parameters:,} parameters, "
        f"{manifest.quantization.integer_ops} integer matrix products, "
        f"{out.stat().st_size:,} bytes",
        file=sys.stderr,
    )
    print(out)


def _firmware(loaded: Checkpoint, out: Path, calibration: tuple[Path, ...]) -> None:
    from edgeseq_export.firmware import export_firmware

    result = export_firmware(loaded, out, calibration)
    print(
        f"{loaded.facts['name']}: {result.flash_bytes:,} bytes of const data, "
        f"{result.arena_bytes:,} bytes of arena, {result.program.macs_per_frame:,} "
        "multiply-accumulates a step",
        file=sys.stderr,
    )
    print(out)
