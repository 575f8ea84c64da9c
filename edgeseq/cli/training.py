"""What `edgeseq train --plan` and `--profile` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lines import visible

if TYPE_CHECKING:
    from ..training.config import Recipe
    from ..training.memory import TrainingMemory
    from ..training.plan import TrainingPlan
    from ..training.profiling import TrainingProfile

__all__ = ["plan_lines", "profile_lines"]


def plan_lines(recipe: Recipe, plan: TrainingPlan) -> list[str]:
    """Sizes of a recipe's training, before it."""
    frames = plan.batch * plan.frames
    return [
        f"{visible(recipe.name)}: {plan.weights:,} weights, {plan.batch} rows of {plan.frames:,} "
        f"{_unit(recipe)} a step, {recipe.optimise.precision}, {recipe.optimise.optimizer}",
        *_memory_lines(plan.memory, frames, _unit(recipe)),
    ]


def profile_lines(recipe: Recipe, found: TrainingProfile, verdict: str) -> list[str]:
    """Where the time and the memory of a recipe's training go; the verdict is the last line."""
    unit, rate = _unit(recipe), found.steps_per_second
    used = found.flops / found.peak_flops
    return [
        f"{visible(recipe.name)} on {found.device}, {found.threads} thread"
        f"{'' if found.threads == 1 else 's'}: {rate:,.2f} steps/s, "
        f"{rate * found.frames:,.0f} {unit}/s, {1e3 * found.step_s:,.1f} ms a step",
        f"waiting for batches {found.wait_share:.1%}, padding {found.padding:.1%} of the {unit}",
        f"{found.flops / 1e9:,.1f} GFLOP/s asked by the model, {used:.0%} of one large float32 "
        f"product here ({found.peak_flops / 1e9:,.0f} GFLOP/s)",
        *_memory_lines(found.memory, found.frames, unit),
        f"{'operators, own time':<32}{'share':>8}{'calls a step':>14}",
        *(f"  {o.name:<30}{o.share:>8.1%}{o.calls:>14,.0f}" for o in found.operators),
        f"trace of torch for https://ui.perfetto.dev: {found.trace}",
        verdict,
    ]


def _unit(recipe: Recipe) -> str:
    return "bytes" if recipe.task == "bytes" else "frames"


def _memory_lines(memory: TrainingMemory, frames: int, unit: str) -> list[str]:
    per_frame = f"{memory.activations / frames:,.0f} for each of {frames:,} {unit}"
    rows = [
        ("parameters", memory.parameters, ""),
        ("gradients", memory.gradients, ""),
        ("optimiser", memory.optimizer, ""),
        ("moving average", memory.average, ""),
        ("activations", memory.activations, per_frame),
        ("most at once", memory.peak, ""),
    ]
    lines = [f"{'memory of tensors, bytes':<24}"]
    return lines + [f"  {name:<22}{size:>16,}  {words}".rstrip() for name, size, words in rows]
