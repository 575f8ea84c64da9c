"""Gates of a linear recurrence on the byte task: minGRU, as edgeseq has it, against RG-LRU.

    python -m benchmarks.gating --data DATA [--steps 600] [--seeds 3]

Two models of bytes.toml's task that differ in the gate alone, from the same seeds, on the same
batches: bits per byte of held-out text after a short training, and the processor time of a step.
RG-LRU (De et al. 2024, Griffin, section 2.4): a = exp(-8 softplus(l) r), h = a h + sqrt(1-a^2) i x,
gates r and i; it has a map more than minGRU has (gates r, i, value and output gate).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import mean
from time import process_time

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeseq.models import Chain, LinearRnnConfig
from edgeseq.models.linear_rnn import LONGEST, SHORTEST, GatedRecurrence
from edgeseq.models.scan import linear_scan
from edgeseq.training.config import Recipe
from edgeseq.training.data import ByteBatches
from edgeseq.training.losses import byte_loss
from edgeseq.training.optimizer import optimizer_for

SHARPNESS = 8.0
NATS = 0.6931471805599453
HELD_OUT_BATCHES = 12


class RealGated(GatedRecurrence):
    """The RG-LRU in the place of the minGRU; time constants start over the same range."""

    def __init__(self, dim: int) -> None:
        """Add the map of the input gate, and the decay of each state."""
        super().__init__(dim)
        self.enter = nn.Linear(dim, 4 * dim)
        frames = torch.logspace(
            torch.tensor(SHORTEST).log2(), torch.tensor(LONGEST).log2(), dim, base=2.0
        )
        # Where the gate r is a half: exp(-8 softplus(l) / 2) is the decay of that many frames.
        rate = 2.0 / (SHARPNESS * frames)
        self.decay = nn.Parameter(torch.log(torch.expm1(rate)))

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Frames `[B, T, dim]` and the state `[B, dim]` before them."""
        recur, enter, value, gate = self.enter(x).chunk(4, dim=-1)
        log_a = -SHARPNESS * functional.softplus(self.decay) * torch.sigmoid(recur)
        # Not 1 - exp(2 log a), whose root has no gradient at 1.
        size = torch.sqrt(-torch.expm1(2 * log_a) + 1e-6)
        states = linear_scan(torch.exp(log_a), size * torch.sigmoid(enter) * value, state)
        return self.out(states * functional.silu(gate)), states[:, -1]


def build(recipe: Recipe, gates: str, seed: int) -> Chain:
    """The recipe's model with either recurrence."""
    torch.manual_seed(seed)
    model = recipe.model.build()
    if gates == "RG-LRU":
        for block in model.layers["encoder"].blocks:
            block.recurrence = RealGated(block.recurrence.out.in_features)
    return model


def bits(model: Chain, recipe: Recipe, roots: list[Path]) -> float:
    """Bits per byte of held-out text."""
    batches = iter(ByteBatches(recipe, roots, "validation", 5))
    state, nats = model.initial_state(recipe.optimise.batch), []
    with torch.no_grad():
        for _ in range(HELD_OUT_BATCHES):
            rows = next(batches)["bytes"]
            logits, state = model.eval()(rows[:, :-1], state)
            nats.append(float(byte_loss(logits, rows[:, 1:, 0])))
    model.train()
    return mean(nats) / NATS


def train(recipe: Recipe, roots: list[Path], gates: str, seed: int) -> tuple[float, float, int]:
    """Bits per byte, processor seconds of a step, and weights, after the recipe's steps."""
    model, o = build(recipe, gates, seed), recipe.optimise
    optimizer = optimizer_for(model, o)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, o.learning_rate, total_steps=o.steps, pct_start=0.1
    )
    batches = iter(ByteBatches(recipe, roots, "train", seed))
    state, begin = model.initial_state(o.batch), process_time()
    for _ in range(o.steps):
        rows = next(batches)["bytes"]
        logits, state = model(rows[:, :-1], {k: v.detach() for k, v in state.items()})
        optimizer.zero_grad()
        byte_loss(logits, rows[:, 1:, 0]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), o.clip_norm)
        optimizer.step()
        schedule.step()
    spent = (process_time() - begin) / o.steps
    return bits(model, recipe, roots), spent, model.parameter_count()


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds text/")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(1)
    recipe = Recipe.load(Path(__file__).parents[1] / "recipes" / "bytes-linear.toml")
    encoder = recipe.model.encoder
    assert isinstance(encoder, LinearRnnConfig)
    encoder = replace(encoder, dim=options.width, feed_forward=2 * options.width, dropout=0.0)
    recipe = replace(
        recipe,
        model=replace(recipe.model, encoder=encoder),
        optimise=replace(recipe.optimise, steps=options.steps, batch=options.batch),
    )
    print(
        f"width {options.width}, {encoder.layers} layers, {options.steps} steps of {options.batch} "
        f"x {recipe.optimise.length} bytes, one thread, torch {torch.__version__}"
    )
    for seed in range(1, options.seeds + 1):
        for gates in ("minGRU", "RG-LRU"):
            loss, spent, weights = train(recipe, [options.data], gates, seed)
            print(
                f"seed {seed} {gates:>7}: {loss:.4f} bits per byte held out, {weights:,} weights, "
                f"{1e3 * spent:.1f} ms of processor time a step",
                flush=True,
            )


if __name__ == "__main__":
    main()
