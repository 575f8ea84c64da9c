"""`edgeseq train --plan`: what a recipe needs in memory, before anything is trained.

One training step runs on tensors without content (torch's fake tensors), so that the real code is
counted, in no memory and at any size; a GRU or LSTM runs on a few rows in earnest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from ..models import GruConfig, LogMelConfig, LstmConfig
from .config import Recipe
from .data import Batch
from .memory import StepMemory, TrainingMemory, optimizer_tensors
from .module import SequenceModule
from .optimizer import optimizer_for
from .tasks import BYTES, KEYWORD

__all__ = ["TrainingPlan", "frames_of", "plan", "shaped_batch"]

FEW = 16
"""Rows of a batch that a plan of nn.GRU or nn.LSTM runs."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Sizes of a recipe's training.

    Attributes:
        weights: how many numbers are trained.
        batch: rows of a batch.
        frames: frames (bytes, for text) of a row.
        memory: bytes of a step.
    """

    weights: int
    batch: int
    frames: int
    memory: TrainingMemory


def frames_of(recipe: Recipe) -> int:
    """Frames of one row of a training batch; bytes for text."""
    front = recipe.model.frontend
    if not isinstance(front, LogMelConfig):
        return recipe.optimise.length
    return round(recipe.augment.seconds * front.sample_rate / front.hop)


def shaped_batch(recipe: Recipe) -> Batch:
    """A batch of zeros with the names, shapes and types of the recipe's batches."""
    rows, frames, front = recipe.optimise.batch, frames_of(recipe), recipe.model.frontend
    if recipe.task == BYTES or not isinstance(front, LogMelConfig):
        return {"bytes": torch.zeros(rows, frames + 1, 1, dtype=torch.int64)}
    batch: dict[str, Tensor] = {"audio": torch.zeros(rows, frames, front.hop)}
    if recipe.task == KEYWORD:
        for name in ("target", "answer", "early"):
            batch[name] = torch.zeros(rows, dtype=torch.int64)
        batch["fresh"] = torch.zeros(rows, dtype=torch.bool)
        batch["unjudged"] = torch.zeros(rows, len(recipe.labels), dtype=torch.bool)
    else:
        batch["target"] = torch.zeros(rows, frames, dtype=torch.int64)
    return batch


def plan(recipe: Recipe) -> TrainingPlan:
    """Bytes of a training step that is not the first, so that it finds an optimiser's memory."""
    rows = recipe.optimise.batch
    # oneDNN takes over nn.GRU and nn.LSTM in ways that tensors without content do not show, so
    # these run for a few rows in earnest; what they keep is in proportion to the rows.
    recurrent = isinstance(recipe.model.encoder, GruConfig | LstmConfig)
    if not recurrent:
        with FakeTensorMode(allow_non_fake_inputs=True):
            weights, memory, peak = _step(recipe, rows)
    else:
        weights, memory, peak = _step(recipe, min(rows, FEW))
        if rows > FEW:
            _, half, half_peak = _step(recipe, FEW // 2)
            more = (rows - FEW) / (FEW - FEW // 2)
            activations = memory.activations + more * (memory.activations - half.activations)
            memory = replace(memory, activations=round(activations))
            peak += round(more * (peak - half_peak))
    return TrainingPlan(
        weights, rows, frames_of(recipe), replace(memory, peak=max(peak, memory.peak))
    )


def _step(recipe: Recipe, rows: int) -> tuple[int, TrainingMemory, int]:
    """Number of weights, bytes of a step of `rows` rows, and most bytes before the optimiser."""
    module = SequenceModule(recipe)
    model = module.model
    weights = list(model.parameters())
    average = [t.clone() for t in (*weights, *model.buffers())]
    optimizer = optimizer_for(model, recipe.optimise)
    batch = {name: value[:rows] for name, value in shaped_batch(recipe).items()}
    # As after a first step, which is too dear to run only for its traces.
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    with torch.no_grad():  # What is carried may be part of something larger.
        module._loss(batch, carry=True)
    assert module.carried is not None
    step = StepMemory(
        model,
        [
            *(p.grad for p in weights if p.grad is not None),
            *optimizer_tensors(optimizer),
            *average,
            *batch.values(),
            *module.carried.values(),
        ],
    )
    low = recipe.optimise.precision == "bf16"
    with step:
        # As lightning does it: weights are cast anew for every use.
        with torch.autocast("cpu", torch.bfloat16, enabled=low, cache_enabled=False):
            loss = module._loss(batch, carry=True)["loss"]
        # The trainer drops the last gradients here, not before the forward pass.
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        peak = step.peak
        torch.nn.utils.clip_grad_norm_(weights, recipe.optimise.clip_norm)
        optimizer.step()
    memory = TrainingMemory.of(weights, optimizer, average, step)
    return sum(p.numel() for p in weights), memory, peak
