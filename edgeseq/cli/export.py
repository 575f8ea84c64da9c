"""`edgeseq export`: a checkpoint to an ONNX file that explains itself."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..errors import MissingExtraError


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("model.onnx"),
    show_default=True, help="File to write.",
)  # fmt: skip
@click.option(
    "--quantize", "scheme", type=click.Choice(["none", "int8"]), default="none", show_default=True,
    help="How weights are stored.",
)  # fmt: skip
@click.option(
    "--chunk", type=click.IntRange(1), default=1, show_default=True, help="Frames in one step."
)
@click.option(
    "--decoding", type=click.Path(path_type=Path), default=None,
    help="Recipe whose decoder settings (thresholds) replace those of the checkpoint.",
)  # fmt: skip
def command(checkpoint: Path, out: Path, scheme: str, chunk: int, decoding: Path | None) -> None:
    """Export CHECKPOINT (model.safetensors of `edgeseq train`) as one step of a stream.

    The file holds the graph, the manifest and a golden input with its output.
    """
    try:
        from edgeseq_export.package import export

        from ..training.checkpoint import load_checkpoint
        from ..training.config import Recipe
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "export", "exporting") from error
    loaded = load_checkpoint(checkpoint)
    if decoding is not None:
        loaded.facts["decoding"] = dict(Recipe.load(decoding).decoding)
    manifest = export(loaded, out, scheme, chunk)
    ops = manifest.quantization
    print(
        f"{manifest.name}: {manifest.parameters:,} parameters, {ops.integer_ops} integer and "
        f"{ops.float_ops} float matrix products, {out.stat().st_size:,} bytes",
        file=sys.stderr,
    )
    print(out)
