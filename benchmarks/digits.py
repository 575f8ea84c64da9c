"""Digits of an unseen speaker: leaves each real speaker out in turn, trains, and tests on that one.

    python benchmarks/digits.py --data DATA --data AUDIO --family gru \\
        --base words-gru

The base, a checkpoint or a bundled model, has never heard these recordings; it is fine-tuned by
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
from edgeseq_export.read_back import load_weights
from scoring import clip_label, logits_of, percent, read, scores_of, smooth_frames

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


def accuracy(model: Path, clips: list[Path]) -> tuple[float, float]:
    """Percent of clips whose most likely digit is right, and of those whose label is.

    The first asks which of the ten digits a clip holds; the second also counts an answer of unknown
    or silence as wrong, by the rule of the keyword benchmark.
    """
    session = Session(model)
    labels, frames = session.manifest.labels, smooth_frames(session)
    digit, label = [], []
    for clip in clips:
        best = scores_of(logits_of(session, read(clip)), frames).max(axis=0)
        name = NAMES[int(clip.stem[0])]
        digit.append(labels[2 + int(best[2:].argmax())] == name)
        label.append(labels[clip_label(best)] == name)
    return percent(digit), percent(label)


def main() -> None:
    """Run the round and print a line per speaker and the mean."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--family", choices=["gru", "transformer"], required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/digits"))
    parser.add_argument("--speaker", action="append", help="only these speakers")
    parser.add_argument("--base", type=Path, required=True, help="weights to go on from")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = next(root / DIGITS for root in options.data if (root / DIGITS).is_dir())
    clips = sorted(folder.glob("*.flac")) + sorted(folder.glob("*.wav"))
    speakers = options.speaker or sorted({clip.stem.split("_")[1] for clip in clips})
    recipe = Recipe.load(RECIPES / f"digits-{options.family}.toml")
    base = load_weights(options.base)
    if any(source["name"] == DIGITS for source in base.facts["data"]):
        sys.exit(f"{options.base} has learnt from {DIGITS}; take one of words-*.toml")
    rows = []
    for speaker in speakers:
        out = options.out / f"{options.family}-{speaker}"
        checkpoint = out / "model.safetensors"
        if not checkpoint.exists():
            plan = leave_out(recipe, speaker)
            train(plan, options.data, out, default_cache(), progress=False, init=base)
        loaded = load_checkpoint(checkpoint)
        mine = [clip for clip in clips if clip.stem.split("_")[1] == speaker]
        row = []
        for scheme in ("none", "int8"):
            export(loaded, out / f"{scheme}.onnx", scheme)
            row += accuracy(out / f"{scheme}.onnx", mine)
        rows.append(row)
        print(f"{options.family} without {speaker}: {said(row)}", flush=True)
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    print(f"{options.family} mean of {len(rows)}: {said(means)}")


def said(row: list[float]) -> str:
    """Four figures in words."""
    return (
        f"of ten digits float {row[0]:.1f} %, int8 {row[2]:.1f} %; with unknown and silence "
        f"float {row[1]:.1f} %, int8 {row[3]:.1f} %"
    )


if __name__ == "__main__":
    main()
