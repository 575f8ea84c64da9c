"""What a plan says of memory is what training takes, and where its time goes is told."""

from __future__ import annotations

import dataclasses
import gc
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from edgeseq.training.config import Recipe
from edgeseq.training.data import AudioCorpora, ByteBatches, KeywordBatches, VadBatches
from edgeseq.training.memory import StepMemory, TrainingMemory
from edgeseq.training.module import SequenceModule
from edgeseq.training.plan import plan, shaped_batch
from edgeseq.training.profiling import (
    Operator,
    TrainingProfile,
    padding_share,
    profile,
    verdict,
)

from .test_data import recipe as audio_recipe
from .test_data import root

__all__ = ["root"]

LICENCE = Path(__file__).parents[2] / "LICENSE"
ENCODERS: dict[str, dict[str, Any]] = {
    "gru": {"kind": "gru", "hidden": 24, "layers": 2, "dropout": 0.1},
    "lstm": {"kind": "lstm", "hidden": 24, "layers": 1},
    "linear": {"kind": "linear", "dim": 24, "layers": 2, "feed_forward": 32},
    "transformer": {"kind": "transformer", "dim": 24, "layers": 2, "window": 9, "dropout": 0.1},
    "hybrid": {"kind": "hybrid", "dim": 24, "layers": ["linear", "attention"], "latent": 8},
}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "licence.txt").write_bytes(LICENCE.read_bytes())
    return tmp_path


def text_recipe(kind: str, **train: object) -> Recipe:
    values = {
        "name": kind,
        "task": "bytes",
        "model": {"frontend": {"kind": "bytes", "dim": 8}, "encoder": ENCODERS[kind]},
        "train": {"batch": 16, "length": 40, **train},
        "data": [{"path": "text", "reader": "text", "role": "text"}],
    }
    return Recipe.from_dict(values, Path())


def same(planned: TrainingMemory, measured: TrainingMemory) -> None:
    for field in ("parameters", "gradients", "optimizer", "average"):
        assert getattr(planned, field) == getattr(measured, field), field
    assert planned.activations == pytest.approx(measured.activations, rel=0.01)
    assert planned.peak == pytest.approx(measured.peak, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENCODERS)
def test_a_plan_is_what_training_takes(kind: str, text: Path) -> None:
    """Counted without content, and in a step that the trainer runs on real text."""
    own = text_recipe(kind, optimizer="muon" if kind == "gru" else "adamw")
    planned = plan(own).memory
    same(planned, profile(own, [text], text / "out", text / "cache").memory)
    twice = dataclasses.replace(own, optimise=dataclasses.replace(own.optimise, batch=32))
    assert plan(twice).memory.activations == pytest.approx(2 * planned.activations, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lstm", "hybrid"])
def test_a_plan_in_bf16_is_what_training_takes(kind: str, text: Path) -> None:
    own = text_recipe(kind, precision="bf16")
    same(plan(own).memory, profile(own, [text], text / "out", text / "cache").memory)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_plan_of_an_audio_model_is_what_training_takes(
    precision: str, root: Path, tmp_path: Path
) -> None:
    own = audio_recipe()
    optimise = dataclasses.replace(own.optimise, batch=12, precision=precision)
    own = dataclasses.replace(own, optimise=optimise)
    found = profile(own, [root], tmp_path / "out", tmp_path / "cache")
    same(plan(own).memory, found.memory)
    assert found.frames == 12 * 75


@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_what_autograd_keeps_is_what_the_allocator_gave(kind: str, text: Path) -> None:
    """The allocator knows nothing of tensors; it also holds logits, loss and next state."""
    own = text_recipe(kind, batch=16)
    module = SequenceModule(own)
    batch = next(iter(ByteBatches(own, [text], "train", 1)))
    module._loss(batch, carry=True)
    # Garbage of other tests that goes meanwhile would count as memory that is given back.
    gc.collect()
    gc.disable()
    try:
        with torch.profiler.profile(profile_memory=True) as allocator:
            losses = module._loss(batch, carry=True)
    finally:
        gc.enable()
    given = sum(event.self_cpu_memory_usage for event in allocator.key_averages())
    with StepMemory(module, []) as step:
        losses = module._loss(batch, carry=True)
    assert losses["loss"].requires_grad
    assert step.activations <= step.peak
    assert step.activations == pytest.approx(given, rel=0.1)


def test_a_planned_batch_has_the_shapes_of_real_ones(
    root: Path, text: Path, tmp_path: Path
) -> None:
    def shapes(batch: dict[str, torch.Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
        return {name: (value.shape, value.dtype) for name, value in batch.items()}

    words, speech, prose = audio_recipe(), audio_recipe("vad"), text_recipe("gru")
    corpora = AudioCorpora(words, [root], tmp_path / "cache")
    real = {
        "words": next(iter(KeywordBatches(words, corpora, "train", 1))),
        "speech": next(iter(VadBatches(speech, corpora, "train", 1))),
        "prose": next(iter(ByteBatches(prose, [text], "train", 1))),
    }
    for own, name in ((words, "words"), (speech, "speech"), (prose, "prose")):
        assert shapes(shaped_batch(own)) == shapes(real[name])


def test_padding_is_zeros_at_the_end_of_a_row() -> None:
    audio = torch.ones(2, 10, 4)
    audio[0, 6:] = 0
    audio[1, :5] = 0  # silence before a sound is no padding
    assert padding_share({"audio": audio}) == pytest.approx(4 / 20)
    assert padding_share({"bytes": torch.ones(2, 11, 1, dtype=torch.int64)}) == 0


FOUND = TrainingProfile(
    device="CPU", threads=1, step_s=0.1, wait_share=0.1, frames=1000, padding=0.0,
    memory=TrainingMemory(1, 1, 2, 1, 100, 103),
    operators=(Operator("aten::mm", 0.4, 10.0), Operator("aten::mul", 0.3, 90.0)),
    products=0.4, operator_us=100.0, flops=1e9, peak_flops=1e10, trace=Path("trace.json"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"wait_share": 0.6}, "data-bound: 60% of the time goes by waiting for batches"),
        ({"products": 0.7, "threads": 10_000}, "compute-bound: 70% .*bf16"),
        ({"products": 0.7, "threads": 0}, "compute-bound: 70% .*give more --threads"),
        ({"operator_us": 4.0}, "overhead-bound: an operator takes 4 us .*raise train.batch"),
        ({}, r"memory-bound: 60% .*most by aten::mul \(30%\)"),
    ],
)
def test_the_verdict_is_one_line(changes: dict[str, Any], words: str) -> None:
    line = verdict(dataclasses.replace(FOUND, **changes))
    assert line.count("\n") == 0
    assert re.search(words, line), line


@pytest.mark.slow
def test_a_profile_leaves_a_trace_and_no_checkpoint(text: Path) -> None:
    own = text_recipe("transformer")
    found = profile(own, [text], text / "out", text / "cache")
    assert [p.name for p in (text / "out").iterdir()] == ["trace.json"]
    names = {e.get("name") for e in json.loads(found.trace.read_text())["traceEvents"]}
    assert {"aten::bmm", "aten::_softmax"} <= names
    assert 0 < found.products < 1
    assert sum(o.share for o in found.operators) <= 1
    assert found.wait_share < 1
    assert found.steps_per_second > 0
