"""The optimisers that a recipe can choose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .config import Optimise

__all__ = ["MuonWithAdamW", "optimizer_for"]

ENCODER = "encoder."


def optimizer_for(model: nn.Module, config: Optimise) -> torch.optim.Optimizer:
    """AdamW for all, or Muon for the encoder's matrices; vectors are not decayed."""
    named = list(model.named_parameters())
    vectors = [p for _, p in named if p.dim() <= 1]
    inner = [p for n, p in named if ENCODER in n and p.dim() == 2 and min(p.shape) > 8]
    known = {id(p) for p in (*vectors, *inner)}
    others = [p for _, p in named if id(p) not in known]
    if config.optimizer == "adamw":
        others, inner = [*inner, *others], []
    adamw = torch.optim.AdamW(
        [
            {"params": others, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
    )
    if not inner:
        return adamw
    muon = torch.optim.Muon(
        inner,
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    return MuonWithAdamW(muon, adamw)


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for weight matrices, AdamW for the rest, as one optimiser.

    Muon is not meant for vectors, tables and outputs, and the trainer wants one optimiser with one
    learning rate; updates of Muon are scaled to the size of AdamW's (Liu et al. 2025).
    """

    def __init__(self, muon: torch.optim.Muon, adamw: torch.optim.AdamW) -> None:
        """Take over the parameters of both."""
        self._parts: list[torch.optim.Optimizer] = [muon, adamw]
        self._sizes = [len(part.param_groups) for part in self._parts]
        super().__init__([g for part in self._parts for g in part.param_groups], {})

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step of both, on the groups and states that are held (and saved) here."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        first = 0
        for part, size in zip(self._parts, self._sizes, strict=True):
            # Loading a checkpoint replaces the groups and the states, so they are handed on anew.
            part.param_groups, part.state = self.param_groups[first : first + size], self.state
            part.step()
            first += size
        return loss
