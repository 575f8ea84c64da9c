"""F65: losses in float32, batches that are not finite skipped and counted, an end when all are."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import lightning
import pytest
import torch
from torch.utils.data import DataLoader

from edgeseq.errors import ConfigError
from edgeseq.training.config import Recipe
from edgeseq.training.data import AudioCorpora, Batch, KeywordBatches
from edgeseq.training.module import MOST_BAD, SequenceModule
from edgeseq.training.run import train

from .test_data import recipe, root

__all__ = ["root"]


def plan(precision: str, **more: object) -> Recipe:
    own = dataclasses.replace(
        recipe().optimise, precision=precision, batch=8, warmup_steps=2, **more
    )
    return dataclasses.replace(recipe(), optimise=own)


def batches_of(own: Recipe, root: Path, folder: Path, count: int) -> list[Batch]:
    batches = iter(KeywordBatches(own, AudioCorpora(own, [root], folder / "cache"), "train", 1))
    return [next(batches) for _ in range(count)]


def fit(module: SequenceModule, batches: list[Batch]) -> lightning.Trainer:
    precision = "bf16-mixed" if module.recipe.optimise.precision == "bf16" else "32-true"
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=1, precision=precision, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    return trainer


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_f65_bad_batches_are_skipped_and_counted(
    precision: str, root: Path, tmp_path: Path
) -> None:
    own = plan(precision)
    good = batches_of(own, root, tmp_path, 4)
    silent = {**good[0], "audio": torch.zeros_like(good[0]["audio"])}
    broken = {**good[1], "audio": torch.full_like(good[1]["audio"], float("nan"))}
    module = SequenceModule(own)
    before = {name: value.clone() for name, value in module.model.state_dict().items()}
    trainer = fit(module, [good[0], broken, silent, broken, *good[1:]])
    assert module.skipped == 2
    assert trainer.callback_metrics["train/skipped"] == 2
    after = module.model.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values())
    assert any((after[name] != before[name]).any() for name in before)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_f65_a_bad_batch_changes_no_weight(precision: str, root: Path, tmp_path: Path) -> None:
    own = plan(precision)
    (batch,) = batches_of(own, root, tmp_path, 1)
    module = SequenceModule(own)
    before = {name: value.clone() for name, value in module.model.state_dict().items()}
    fit(module, [{**batch, "audio": batch["audio"] * float("inf")}])
    assert all(
        torch.equal(value, before[name]) for name, value in module.model.state_dict().items()
    )


def test_f65_training_ends_with_words_when_nothing_is_finite_any_more(
    root: Path, tmp_path: Path
) -> None:
    own = plan("bf16")
    (batch,) = batches_of(own, root, tmp_path, 1)
    broken = {**batch, "audio": torch.full_like(batch["audio"], float("nan"))}
    with pytest.raises(ConfigError, match=rf"{MOST_BAD} batches in a row is not finite; lower"):
        fit(SequenceModule(own), [broken] * (MOST_BAD + 5))


def test_f65_products_are_in_bfloat16_and_losses_and_features_are_not(
    root: Path, tmp_path: Path
) -> None:
    own = plan("bf16")
    (batch,) = batches_of(own, root, tmp_path, 1)
    module = SequenceModule(own)
    seen: dict[str, torch.dtype] = {}
    for name in ("frontend", "head"):
        module.model.layers[name].register_forward_hook(
            lambda _, __, output, name=name: seen.update({name: output[0].dtype})
        )
    with torch.autocast("cpu", torch.bfloat16):
        values = module._loss(batch, carry=False)
    assert seen == {"frontend": torch.float32, "head": torch.bfloat16}
    assert values["loss"].dtype == torch.float32


def test_a_recipe_trains_in_bf16_and_keeps_float32_weights(root: Path, tmp_path: Path) -> None:
    from edgeseq.training.checkpoint import load_checkpoint

    made = train(
        plan("bf16", steps=4, validate_every=2), [root], tmp_path / "out", tmp_path / "cache", False
    )
    weights = load_checkpoint(made).model.state_dict().values()
    assert {w.dtype for w in weights if w.is_floating_point()} == {torch.float32}


def test_a_precision_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train.precision is 'fp16'; allowed: float32, bf16"):
        plan("fp16")
