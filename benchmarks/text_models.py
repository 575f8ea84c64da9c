"""Trains and exports the models that text.py measures: each family at about 0.5, 1 and 2 M weights.

    python -m benchmarks.text_models --data DATA --out RUNS --minutes 30 [NAME ...]

DATA is made by `recipes/fetch_text.py --essays`. Each model gets as many steps of recipes/book.toml
as take --minutes of one core's time here (measured over a few steps), so what is compared is what
each family learns from the same work. NAME picks models, such as gru-0.5 or linear-2. A run that
was interrupted goes on when the command is given again.
"""

from __future__ import annotations

import argparse
import json
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from edgeseq.errors import ExportError
from edgeseq.training.checkpoint import load_checkpoint
from edgeseq.training.config import Recipe
from edgeseq.training.data import ByteBatches
from edgeseq.training.module import SequenceModule
from edgeseq.training.run import train
from edgeseq_export.native import export_native
from edgeseq_export.package import export

RECIPE = Path(__file__).parent.parent / "recipes" / "book.toml"

LINEAR, MIXED = "linear", ["linear", "linear", "attention", "linear"]
WINDOW = {"heads": 4, "window": 96, "conv": 4}

ENCODERS: dict[str, dict[str, Any]] = {
    **{f"gru-{m}": {"kind": "gru", "hidden": h, "layers": 1}
       for m, h in (("0.5", 336), ("1", 496), ("2", 736))},
    **{f"lstm-{m}": {"kind": "lstm", "hidden": h, "layers": 1}
       for m, h in (("0.5", 280), ("1", 424), ("2", 640))},
    **{f"linear-{m}": {"kind": "linear", "dim": d, "layers": 4, "feed_forward": 2 * d, "conv": 4}
       for m, d in (("0.5", 120), ("1", 176), ("2", 248))},
    **{f"hybrid-{m}": {"kind": "hybrid", "dim": d, "layers": MIXED, "feed_forward": 2 * d, **WINDOW}
       for m, d in (("0.5", 120), ("1", 176), ("2", 248))},
    **{f"transformer-{m}": {"kind": "transformer", "dim": d, "layers": 4, "feed_forward": 3 * d,
                            **WINDOW}
       for m, d in (("0.5", 108), ("1", 156), ("2", 224))},
}  # fmt: skip
"""Encoder of each model, by family and millions of weights."""

EPOCHS = 5
PROBED = 6


def recipe(name: str, steps: int) -> Recipe:
    """recipes/book.toml with the encoder of `name`."""
    values = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    values["name"] = name
    values["model"]["encoder"] = ENCODERS[name]
    values["train"] |= {
        "steps": steps,
        "validate_every": steps // EPOCHS,
        "warmup_steps": min(300, steps // 10),
    }
    return Recipe.from_dict(values, RECIPE.parent)


def step_seconds(plan: Recipe, roots: list[Path]) -> float:
    """Processor seconds of one training step, after two that warm up."""
    torch.manual_seed(1)
    module = SequenceModule(plan)
    optimizer = module.configure_optimizers()["optimizer"]
    batches = iter(ByteBatches(plan, roots, "train", 1))
    bf16 = plan.optimise.precision == "bf16"
    for i in range(2 + PROBED):
        if i == 2:
            began = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = module._loss(next(batches), carry=True)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.process_time() - began) / PROBED


def make(name: str, roots: list[Path], out: Path, minutes: float) -> None:
    """Train `name` for its budget and export it in every form that it has."""
    folder = out / name
    budget = folder / "budget.json"
    if budget.exists():
        steps = json.loads(budget.read_text())["steps"]
    else:
        folder.mkdir(parents=True, exist_ok=True)
        seconds = step_seconds(recipe(name, EPOCHS), roots)
        steps = max(1, round(minutes * 60 / seconds / EPOCHS)) * EPOCHS
        plan = recipe(name, steps)
        facts = {"steps": steps, "bytes": steps * plan.optimise.batch * plan.optimise.length,
                 "step_seconds": seconds, "minutes": minutes}  # fmt: skip
        budget.write_text(json.dumps(facts))
    began = time.process_time()
    path = train(recipe(name, steps), roots, folder, folder / "cache", progress=False)
    spent = (time.process_time() - began) / 60
    checkpoint = load_checkpoint(path)
    print(f"{name}: {steps} steps in {spent:.1f} min of one core, {checkpoint.facts['figures']}")
    for form, write in forms(name, folder):
        try:
            write(checkpoint)
        except ExportError as error:
            print(f"{name}: no {form} form: {error}")


def forms(name: str, folder: Path) -> Iterator[tuple[str, Any]]:
    """The forms of a model that are not there yet, each with what writes it."""
    for form, scheme in (("float", "none"), ("int8", "int8")):
        file = folder / f"{name}-{form}.onnx"
        if not file.exists():
            yield form, lambda c, f=file, s=scheme: export(c, f, s)
    file = folder / f"{name}-native.esq"
    if not file.exists():
        yield "native", lambda c, f=file: export_native(c, f)


def main() -> None:
    """Make the models, the smallest first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ENCODERS)}")
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/text"))
    parser.add_argument("--minutes", type=float, default=30.0, help="of one core, for each model")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(ENCODERS))
    if unknown:
        parser.error(f"no model {unknown[0]!r}; there are {', '.join(ENCODERS)}")
    torch.set_num_threads(1)
    for name in options.names or sorted(ENCODERS, key=lambda n: float(n.rpartition("-")[2])):
        make(name, options.data, options.out, options.minutes)


if __name__ == "__main__":
    main()
