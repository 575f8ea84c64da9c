"""`edgeseq verify`: does a file compute what it says, and what the trained model computes?"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from ..assets import resolve
from ..errors import MissingExtraError, ParityError
from ..runtime import Session
from ..runtime.proof import Proof, verify_golden


@click.command()
@click.argument("model")
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), default=None,
    help="model.safetensors to compare with, every state tensor, over two windows and more.",
)  # fmt: skip
def command(model: str, checkpoint: Path | None) -> None:
    """Replay the golden of MODEL; with --checkpoint also compare it with the trained model.

    Exit code 0 when every tensor is within its limit, else 1.
    """
    path = resolve(model)
    proofs = [verify_golden(Session(path))]
    if checkpoint is not None:
        try:
            from edgeseq_export.verify import verify_file

            from ..training.checkpoint import load_checkpoint
        except ImportError as error:
            raise MissingExtraError(error.name or "torch", "export", "comparing") from error
        proofs += verify_file(path, load_checkpoint(checkpoint))
    _show(proofs)
    bad = [proof for proof in proofs if not proof.good]
    for proof in bad:
        print(proof.sentence(path), file=sys.stderr)
    if bad:
        raise ParityError(f"{path}: {len(bad)} of {len(proofs)} comparisons failed")


def _show(proofs: list[Proof]) -> None:
    table = Table("comparison", "steps", "tensor", "largest difference", "relative", "allowed", "")
    for proof in proofs:
        for d in proof.differences:
            table.add_row(
                proof.what, str(proof.steps), d.tensor, f"{d.largest:.2e}", f"{d.relative:.2e}",
                f"{d.limit:g}", "ok" if d.good else "DIFFERS",
            )  # fmt: skip
    Console().print(table)
