"""Digits of an unseen speaker: leaves each real speaker out in turn, trains, and tests on that one.

    python benchmarks/digits.py --data DATA --data AUDIO --family gru \\
        --base runs/words-base-gru/model.safetensors

The base model of recipes/words-base-gru.toml never hears these recordings; it is fine-tuned by
recipes/digits-gru.toml on all speakers but one. Four speakers alone teach their voices rather than
the words. Both the float and the int8 file are scored through the runtime. Trained
models are kept below --out, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import torch

from edgeseq import Session
from edgeseq.cli.train import default_cache
from edgeseq.training.checkpoint import load_checkpoint
from edgeseq.training.config import Recipe
from edgeseq.training.run import train
from edgeseq_export.package import export
from scoring import clip_label, logits_of, percent, read

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGITS = "fsdd"
RECIPES = Path(__file__).parent.parent / "recipes"


def leave_out(recipe: Recipe, speaker: str) -> Recipe:
    """The recipe without one speaker of the real digits."""
    corpora = tuple(
        dataclasses.replace(c, hold_out=(speaker,)) if c.path == DIGITS else c
        for c in recipe.corpora
    )
    return dataclasses.replace(recipe, corpora=corpora)


def accuracy(model: Path, clips: list[Path]) -> float:
    """Percent of clips whose label is right, unknown and silence counting as wrong."""
    session = Session(model)
    labels = session.manifest.labels
    return percent(
        [labels[clip_label(logits_of(session, read(c)))] == NAMES[int(c.stem[0])] for c in clips]
    )


def main() -> None:
    """Run the round and print a line per speaker and the mean."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--family", choices=["gru", "transformer"], required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/digits"))
    parser.add_argument("--speaker", action="append", help="only these speakers")
    parser.add_argument("--base", type=Path, required=True, help="checkpoint to go on from")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = next(root / DIGITS for root in options.data if (root / DIGITS).is_dir())
    clips = sorted(folder.glob("*.flac")) + sorted(folder.glob("*.wav"))
    speakers = options.speaker or sorted({clip.stem.split("_")[1] for clip in clips})
    recipe = Recipe.load(RECIPES / f"digits-{options.family}.toml")
    if any(source["name"] == DIGITS for source in load_checkpoint(options.base).facts["data"]):
        sys.exit(f"{options.base} has learnt from {DIGITS}; take one of words-base-*.toml")
    rows = []
    for speaker in speakers:
        out = options.out / f"{options.family}-{speaker}"
        checkpoint = out / "model.safetensors"
        if not checkpoint.exists():
            plan = leave_out(recipe, speaker)
            train(plan, options.data, out, default_cache(), progress=False, init=options.base)
        loaded = load_checkpoint(checkpoint)
        mine = [clip for clip in clips if clip.stem.split("_")[1] == speaker]
        row = []
        for scheme in ("none", "int8"):
            export(loaded, out / f"{scheme}.onnx", scheme)
            row.append(accuracy(out / f"{scheme}.onnx", mine))
        rows.append(row)
        print(
            f"{options.family} without {speaker}: float {row[0]:.1f} %, int8 {row[1]:.1f} %",
            flush=True,
        )
    float_mean, int8_mean = (sum(column) / len(rows) for column in zip(*rows, strict=True))
    print(f"{options.family} mean of {len(rows)}: float {float_mean:.1f} %, int8 {int8_mean:.1f} %")


if __name__ == "__main__":
    main()
