"""The lightning module: one step of training or validation for each task."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from torch import Tensor

from ..errors import ConfigError
from ..models import LogMelConfig, State
from .augment import SpecAugment
from .config import Recipe
from .data import Batch
from .losses import byte_loss, keyword_loss, smoothed_log_p, vad_loss
from .optimizer import optimizer_for
from .tasks import BYTES, KEYWORD

__all__ = ["SequenceModule"]

CARRY_SKIP_SECONDS = 0.3

MOST_BAD = 20
"""Batches in a row with a loss that is not finite, after which training ends."""


class SequenceModule(lightning.LightningModule):
    """Trains the model of a recipe on streams.

    The state of one batch is carried (without gradient) into the next, so the model meets states
    that are as old as those of a device that has been on for a while.
    """

    def __init__(self, recipe: Recipe) -> None:
        """Build the model; masks on features are a hook, so the model itself has no mode."""
        super().__init__()
        self.recipe = recipe
        self.model = recipe.model.build()
        front = recipe.model.frontend
        self.skip_frames = 0
        if isinstance(front, LogMelConfig):
            self.skip_frames = round(CARRY_SKIP_SECONDS * front.sample_rate / front.hop)
            frontend = self.model.layers["frontend"]
            frontend.register_forward_hook(SpecAugment(recipe.augment))
            if recipe.optimise.precision != "float32":
                # Powers span ten decades; bfloat16 has three digits.
                exact = torch.autocast(
                    "cuda" if torch.cuda.is_available() else "cpu", enabled=False
                )
                frontend.forward = exact(frontend.forward)
        self.carried: State | None = None
        self.skipped = self.in_a_row = 0

    def _start(self, batch: int, fresh: Tensor) -> State:
        """The carried state, with the start state in rows that begin a new stream."""
        initial = self.model.initial_state(batch)
        if self.carried is None:
            return initial
        return {
            name: torch.where(fresh.reshape(-1, *[1] * (value.dim() - 1)), initial[name], value)
            for name, value in self.carried.items()
        }

    def _loss(self, batch: Batch, carry: bool) -> dict[str, Tensor]:
        if self.recipe.task == BYTES:
            inputs, target = batch["bytes"][:, :-1], batch["bytes"][:, 1:, 0]
            fresh = torch.zeros(len(inputs), dtype=torch.bool)
        else:
            inputs, target = batch["audio"], batch["target"]
            fresh = batch.get("fresh", torch.ones(len(inputs), dtype=torch.bool))
        if not carry:
            fresh = torch.ones_like(fresh)
        fresh = fresh if self.carried is not None else torch.ones_like(fresh)
        logits, state = self.model(inputs, self._start(len(inputs), fresh))
        logits = logits.float()
        if carry:
            self.carried = {name: value.detach() for name, value in state.items()}
        if self.recipe.task == BYTES:
            nats = byte_loss(logits, target)
            return {"loss": nats, "bits_per_byte": nats.detach() / math.log(2)}
        if self.recipe.task == KEYWORD:
            skip = torch.where(fresh, 0, self.skip_frames)
            log_p = smoothed_log_p(logits)
            loss, right = keyword_loss(
                log_p, target, skip, batch["answer"], batch["early"], batch["unjudged"]
            )
            return {"loss": loss.mean(), "error": 1 - right.float().mean()}
        loss = vad_loss(logits, target)
        return {"loss": loss, "error": (logits.argmax(-1) != target).float().mean()}

    def on_train_epoch_start(self) -> None:
        """Start without a carried state, so that a resumed run equals one never stopped."""
        self.carried = None

    def on_train_batch_start(self, batch: Batch, index: int) -> None:
        """Draw dropout and masks from the number of the step alone, for the same reason."""
        torch.manual_seed(self.recipe.optimise.seed * 1_000_003 + self.global_step)

    def training_step(self, batch: Batch, index: int) -> Tensor | None:
        """Loss of one batch; logs it and the task's figure.

        A batch whose loss is not finite is skipped and counted (`train/skipped`), and the streams
        begin anew, since the carried state may be as bad.

        Raises:
            ConfigError: MOST_BAD batches in a row were bad: the weights are.
        """
        values = self._loss(batch, carry=True)
        if not torch.isfinite(values["loss"]):
            self.skipped += 1
            self.in_a_row += 1
            self.carried = None
            self.log("train/skipped", float(self.skipped))
            if self.in_a_row == MOST_BAD:
                raise ConfigError(
                    f"the loss of {MOST_BAD} batches in a row is not finite; lower "
                    "train.learning_rate, or go on from an earlier checkpoint (--init)"
                )
            return None
        self.in_a_row = 0
        self.log_dict({f"train/{k}": v for k, v in values.items()}, prog_bar=True)
        return values["loss"]

    def validation_step(self, batch: Batch, index: int) -> None:
        """The same figures on held-out material, from fresh states."""
        values = self._loss(batch, carry=False)
        self.log_dict(
            {f"val/{k}": v for k, v in values.items()}, prog_bar=True, on_step=False, on_epoch=True,
            batch_size=self.recipe.optimise.batch,
        )  # fmt: skip

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser, with warm-up and then a cosine to zero."""
        o = self.recipe.optimise
        optimizer = optimizer_for(self.model, o)

        def factor(step: int) -> float:
            if step < o.warmup_steps:
                return (step + 1) / o.warmup_steps
            done = (step - o.warmup_steps) / max(1, o.steps - o.warmup_steps)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
