"""`edgeseq train --profile`: where the time and the memory of a recipe's training steps go."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch import Tensor

from .config import Recipe
from .data import Batch
from .memory import StepMemory, TrainingMemory, optimizer_tensors
from .module import SequenceModule
from .plan import frames_of
from .run import _Data, _trainer

__all__ = ["Operator", "TrainingProfile", "padding_share", "profile", "verdict"]

WARM, STEPS, TRACED = 3, 20, 3
"""Steps before the timed ones, timed, and under the profiler of torch."""
TOP = 10
SQUARE = 1024
"""Rows of the matrices whose product says what the machine can do."""

WAITING = 0.25
"""Share of the time spent waiting for batches from which training is data-bound."""
DENSE = 0.5
"""Share of the operators' time in matrix products from which it is compute-bound."""
SMALL_US = 20.0
"""Mean operator below which calling operators costs more than what they do."""

PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "convolution", "linear", "lstm", "rnn", "attention")


@dataclass(frozen=True, slots=True)
class Operator:
    """One kind of operator: its share of all operators' own time, and calls a step."""

    name: str
    share: float
    calls: float


@dataclass(frozen=True, slots=True)
class TrainingProfile:
    """What a few steps of training took.

    Attributes:
        device: where it ran.
        threads: CPU threads of torch.
        step_s: median time of a step (forward, backward, optimiser), its batch not counted.
        wait_share: share of all time between steps, in which batches are made.
        frames: frames (bytes, for text) of one batch.
        padding: share of them that only fill rows up.
        memory: bytes of one step.
        operators: the ten that take most time, on the CPU or the GPU.
        products: share of the operators' time in matrix products.
        operator_us: mean time of one operator itself.
        flops: floating-point operations a second that the model asks for.
        peak_flops: those that one large float32 product reaches here.
        trace: file for https://ui.perfetto.dev.
    """

    device: str
    threads: int
    step_s: float
    wait_share: float
    frames: int
    padding: float
    memory: TrainingMemory
    operators: tuple[Operator, ...]
    products: float
    operator_us: float
    flops: float
    peak_flops: float
    trace: Path

    @property
    def steps_per_second(self) -> float:
        """Steps a second, the wait included."""
        return (1 - self.wait_share) / self.step_s


def padding_share(batch: Batch) -> float:
    """Share of a batch's frames that are zeros up to the end of their row."""
    x = batch["bytes"][:, :-1] if "bytes" in batch else batch["audio"]
    sounding = x.flatten(2).ne(0).any(dim=2)
    return float((~sounding).flip(1).cumprod(dim=1).float().mean())


class _Watch(lightning.Callback):
    """Times steps, then counts the memory of one, then traces some."""

    def __init__(self, trace: Path) -> None:
        super().__init__()
        self.trace = trace
        self.waits: list[float] = []
        self.steps: list[float] = []
        self.padding: list[float] = []
        self.memory: TrainingMemory | None = None
        self.events: Sequence[Any] = ()
        self._last = self._begin = 0.0
        self._step: StepMemory | None = None
        activities = [torch.profiler.ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        self._profiler = torch.profiler.profile(activities=activities)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, batch: Any, index: int
    ) -> None:
        if WARM <= index < WARM + STEPS:
            self.waits.append(perf_counter() - self._last)
            self.padding.append(padding_share(batch))
        elif index == WARM + STEPS:
            self._step = StepMemory(module, self._standing(trainer, module, batch))
            self._step.__enter__()
        elif index == WARM + STEPS + 1:
            self._profiler.start()
        self._begin = perf_counter()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any,
        batch: Any, index: int,
    ) -> None:  # fmt: skip
        _finish(trainer)
        if WARM <= index < WARM + STEPS:
            self.steps.append(perf_counter() - self._begin)
        elif self._step is not None:
            step, self._step = self._step, None
            step.__exit__(None, None, None)
            weights, (optimizer,) = list(module.parameters()), trainer.optimizers
            self.memory = TrainingMemory.of(weights, optimizer, _average(trainer), step)
        elif index == WARM + STEPS + TRACED:
            self._profiler.stop()
            self._profiler.export_chrome_trace(str(self.trace))
            self.events = self._profiler.key_averages()
        self._last = perf_counter()

    def _standing(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, batch: Batch
    ) -> list[Tensor]:
        assert isinstance(module, SequenceModule)
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        (optimizer,) = trainer.optimizers
        carried = list((module.carried or {}).values())
        return [
            *gradients, *optimizer_tensors(optimizer), *_average(trainer), *batch.values(), *carried
        ]  # fmt: skip


def _average(trainer: lightning.Trainer) -> list[Tensor]:
    """Weights and buffers of the moving average."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EMAWeightAveraging):
            model = callback._average_model
            return [] if model is None else [*model.module.parameters(), *model.module.buffers()]
    return []


def _finish(trainer: lightning.Trainer) -> None:
    """Wait for a GPU, so that its work counts for the step that asked for it."""
    if trainer.strategy.root_device.type == "cuda":
        torch.cuda.synchronize()


def profile(recipe: Recipe, roots: list[Path], out: Path, cache: Path) -> TrainingProfile:
    """Train a few steps from fresh weights on the recipe's data, and measure; nothing is kept.

    Args:
        recipe: what to train.
        roots: folders that hold the recipe's corpora.
        out: folder for the trace.
        cache: folder for decoded recordings.

    Raises:
        ConfigError: a corpus is missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    count = WARM + STEPS + 1 + TRACED
    own = replace(
        recipe,
        optimise=replace(recipe.optimise, steps=count, validate_every=count),
        # What a model mistakes is found by --init, and costs as much to load as what it does not.
        augment=replace(recipe.augment, hard_p=0.0),
    )
    lightning.seed_everything(recipe.optimise.seed, verbose=False)
    data, module = _Data(own, roots, cache), SequenceModule(own)
    watch = _Watch(out / "trace.json")
    trainer = _trainer(own, out, False)
    trainer.limit_val_batches = 0
    trainer.logger = None
    kept = [c for c in trainer.callbacks if not isinstance(c, ModelCheckpoint)]  # type: ignore[attr-defined]
    trainer.callbacks = [*kept, watch]  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        try:
            trainer.fit(module, datamodule=data)
        except SystemExit as error:
            # lightning ends the whole process with code 1 on Ctrl-C; that is for the caller to say.
            raise KeyboardInterrupt from error
    assert watch.memory is not None
    device = trainer.strategy.root_device
    frames = recipe.optimise.batch * frames_of(recipe)
    step_s = median(watch.steps)
    # Backward has two products for each one of forward (Kaplan et al. 2020).
    asked = 3 * 2 * module.model.macs_per_frame() * frames
    spent = [(e, _own_time(e, device.type)) for e in watch.events]
    total = sum(time for _, time in spent) or 1.0
    spent.sort(key=lambda pair: -pair[1])
    calls = sum(e.count for e, time in spent if time)
    return TrainingProfile(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        threads=torch.get_num_threads(),
        step_s=step_s,
        wait_share=sum(watch.waits) / (sum(watch.waits) + sum(watch.steps)),
        frames=frames,
        padding=sum(watch.padding) / len(watch.padding),
        memory=watch.memory,
        operators=tuple(Operator(e.key, t / total, e.count / TRACED) for e, t in spent[:TOP]),
        products=sum(t for e, t in spent if _is_product(e.key)) / total,
        operator_us=total / max(1, calls),
        flops=asked / step_s,
        peak_flops=_peak_flops(device),
        trace=watch.trace,
    )


def _own_time(event: Any, device: str) -> float:
    """Microseconds of an operator without those that it calls; what is no operator has none."""
    if not event.key.startswith(("aten::", "mkldnn", "cudnn")) and device == "cpu":
        return 0.0
    time = event.self_device_time_total if device == "cuda" else event.self_cpu_time_total
    return float(time)


def _is_product(name: str) -> bool:
    words = name.lower().replace("::", "_").split("_")
    return any(word in PRODUCTS for word in words) or "gemm" in name.lower()


def _peak_flops(device: torch.device) -> float:
    """Floating-point operations a second of one large product, the best of a few."""
    a = torch.ones(SQUARE, SQUARE, device=device)
    best = float("inf")
    for _ in range(5):
        begin = perf_counter()
        (a @ a).sum().item()
        best = min(best, perf_counter() - begin)
    return 2 * SQUARE**3 / best


def verdict(found: TrainingProfile) -> str:
    """What bounds the speed, and what to change first, in one line."""
    if found.wait_share >= WAITING:
        return (
            f"data-bound: {found.wait_share:.0%} of the time goes by waiting for batches; make "
            "them cheaper (lower augment.noise_p and room_p, a faster disk for --cache)"
        )
    if found.products >= DENSE:
        return (
            f"compute-bound: {found.products:.0%} of the operators' time are matrix products; "
            f"{_more_compute(found)}"
        )
    if found.operator_us < SMALL_US:
        return (
            f"overhead-bound: an operator takes {found.operator_us:.0f} us in the mean, about what "
            "calling it costs; raise train.batch, or take a family that trains in parallel "
            "(linear, transformer)"
        )
    movers = [o for o in found.operators if not _is_product(o.name)]
    most = f", most by {movers[0].name} ({movers[0].share:.0%})" if movers else ""
    return (
        f"memory-bound: {1 - found.products:.0%} of the operators' time moves numbers about, no "
        f"products of matrices{most}; set train.precision to bf16 where the processor has it, "
        "or make window, conv or feed_forward smaller"
    )


def _more_compute(found: TrainingProfile) -> str:
    if found.device == "CPU" and found.threads < (os.cpu_count() or 1):
        return f"give more --threads ({found.threads} now, {os.cpu_count()} here)"
    return "set train.precision to bf16 where the processor has it, or make the model smaller"
