"""`edgeseq train`: a recipe to a checkpoint."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import MissingExtraError

if TYPE_CHECKING:
    from ..training.config import Recipe


def default_cache() -> Path:
    """Where decoded recordings are kept: the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgeseq"


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--data", "roots", multiple=True, type=click.Path(path_type=Path), default=[Path("data")],
    show_default=True, help="Folder that holds the recipe's recordings or text; may be repeated.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), default=None,
    help="Folder for checkpoints and the TensorBoard log.  [default: runs/NAME]",
)  # fmt: skip
@click.option(
    "--cache", type=click.Path(path_type=Path), default=None,
    help="Folder for decoded recordings.  [default: ~/.cache/edgeseq]",
)  # fmt: skip
@click.option(
    "--init", type=click.Path(path_type=Path), default=None,
    help="Weights to start from: a checkpoint, an int8 .onnx file, or a bundled model's name.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1), default=None, help="CPU threads.")
@click.option(
    "--plan", "only_plan", is_flag=True,
    help="Print what a step needs in memory and train nothing; needs no data.",
)  # fmt: skip
@click.option(
    "--profile", "only_profile", is_flag=True,
    help="Train a few steps and print where time and memory go; OUT/profile gets the trace.",
)  # fmt: skip
@click.option("--progress/--no-progress", default=True, help="Show a progress bar.")
def command(
    recipe: Path, roots: tuple[Path, ...], out: Path | None, cache: Path | None,
    init: Path | None,
    threads: int | None, only_plan: bool, only_profile: bool, progress: bool,
) -> None:  # fmt: skip
    """Train a model by RECIPE (TOML) and write OUT/model.safetensors.

    An interrupted run goes on where its last checkpoint stopped: give the same command again.
    Watch it with: tensorboard --logdir OUT
    """
    try:
        import torch

        from edgeseq_export.read_back import load_weights

        from ..training.config import Recipe
        from ..training.run import train
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train", "training") from error
    if threads is not None:
        torch.set_num_threads(threads)
    if only_plan and only_profile:
        raise click.UsageError("--plan trains nothing and --profile does; give one of them")
    plan = Recipe.load(recipe)
    folder = out or Path("runs") / plan.name
    if only_plan or only_profile:
        return _measure(plan, list(roots), folder, cache or default_cache(), only_plan)
    base = None if init is None else load_weights(init)
    try:
        path = train(plan, list(roots), folder, cache or default_cache(), progress, base)
    except KeyboardInterrupt:
        print(f"interrupted; the same command goes on from {folder}/last.ckpt", file=sys.stderr)
        raise
    print(path)


def _measure(recipe: Recipe, roots: list[Path], folder: Path, cache: Path, only_plan: bool) -> None:
    """Print sizes or a profile; neither keeps a checkpoint."""
    from .training import plan_lines, profile_lines

    if only_plan:
        from ..training.plan import plan

        lines = plan_lines(recipe, plan(recipe))
    else:
        from ..training.profiling import profile, verdict

        found = profile(recipe, roots, folder / "profile", cache)
        lines = profile_lines(recipe, found, verdict(found))
    print("\n".join(lines))
