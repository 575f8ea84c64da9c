"""Runs a recipe: data, trainer, progress bar, log, resume, and the checkpoint at the end."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, IterableDataset

from .. import __version__
from ..errors import ConfigError
from ..models import Chain, LogMelConfig
from ..models.frontend import LogMel
from .checkpoint import Checkpoint, save_checkpoint
from .config import Recipe
from .corpora import TRAIN, VALIDATION
from .data import AudioCorpora, Batch, ByteBatches, KeywordBatches, VadBatches
from .mining import HardStretches, find_hard
from .module import SequenceModule
from .tasks import BYTES, KEYWORD

__all__ = ["train"]

LAST = "last"
HEAD = "layers.head."
VALIDATION_BATCHES = 6
VALIDATION_SEED = 10_000


class _Data(lightning.LightningDataModule):
    """Loaders whose batches depend only on seed and epoch, so that a resumed run goes on."""

    def __init__(self, recipe: Recipe, roots: list[Path], cache: Path) -> None:
        super().__init__()
        self.recipe, self.roots = recipe, roots
        self.corpora = None if recipe.task == BYTES else AudioCorpora(recipe, roots, cache)
        self.hard: HardStretches | None = None

    def mine(self, model: Chain) -> None:
        """Look for what a model mistakes for keywords."""
        data = self._set(TRAIN, seed=0)
        if isinstance(data, KeywordBatches):
            clips = [i for p in data.pools if p.corpus.role != "words" for i in p.indices]
            self.hard = find_hard(
                model, data.corpora.store, clips, data.length, data.hop, data.corpora.unjudged
            )

    def _set(self, split: str, seed: int) -> IterableDataset[Batch]:
        if self.corpora is None:
            return ByteBatches(self.recipe, self.roots, split, seed)
        if self.recipe.task != KEYWORD:
            return VadBatches(self.recipe, self.corpora, split, seed)
        batches = KeywordBatches(self.recipe, self.corpora, split, seed)
        batches.hard = self.hard if split == TRAIN else None
        return batches

    def train_dataloader(self) -> DataLoader[Batch]:
        epoch = self.trainer.current_epoch if self.trainer else 0
        seed = self.recipe.optimise.seed * 1000 + epoch
        return DataLoader(self._set(TRAIN, seed), batch_size=None)

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        try:
            return DataLoader(self._set(VALIDATION, VALIDATION_SEED), batch_size=None)
        except ConfigError:
            return []  # a recipe without a validation split trains without the figure


def facts_of(recipe: Recipe, base: Checkpoint | None = None) -> dict[str, Any]:
    """What the exporter must know beside the weights; `base` is where training starts from."""
    kept = ("name", "steps", "seed", "figures", "init", "int8_sha256")
    first = {} if base is None else {"init": {k: base.facts[k] for k in kept if k in base.facts}}
    return {
        **first,
        "name": recipe.name,
        "task": recipe.task,
        "labels": list(recipe.labels),
        "decoding": dict(recipe.decoding),
        "licence": recipe.licence,
        "edgeseq": __version__,
        "steps": recipe.optimise.steps,
        "seed": recipe.optimise.seed,
        "data": [
            {"name": path, "licence": licence, "attribution": attribution}
            for path, licence, attribution in sorted(
                {(c.path, c.licence, c.attribution) for c in recipe.corpora}
            )
        ],
    }


def train(
    recipe: Recipe,
    roots: list[Path],
    out: Path,
    cache: Path,
    progress: bool = True,
    init: Checkpoint | None = None,
) -> Path:
    """Train a recipe to its last step; an interrupted run goes on where it stopped.

    Args:
        recipe: what to train.
        roots: folders that hold the recipe's corpora.
        out: folder for logs and checkpoints.
        cache: folder for decoded recordings.
        progress: show a progress bar.
        init: checkpoint to start from; weights that do not fit (a head with other labels) start
            anew.

    Returns:
        The checkpoint, `out/model.safetensors`.

    Raises:
        ConfigError: a corpus is missing, or `out` holds a run of another recipe.
    """
    out.mkdir(parents=True, exist_ok=True)
    facts = facts_of(recipe, init)
    identity = hashlib.sha256(
        json.dumps([facts, recipe.model.as_dict()], sort_keys=True).encode()
    ).hexdigest()
    path, marker, last = out / "model.safetensors", out / "recipe.sha256", out / f"{LAST}.ckpt"
    if last.exists() and marker.exists():
        if marker.read_text() != identity:
            raise ConfigError(
                f"{out} holds a run of another recipe; choose another --out or delete it"
            )
        if path.exists():
            return path
    marker.write_text(identity)
    lightning.seed_everything(recipe.optimise.seed, verbose=False)
    data = _Data(recipe, roots, cache)
    module = SequenceModule(recipe)
    if recipe.augment.hard_p:
        if init is None:
            raise ConfigError(
                "augment.hard_p needs a checkpoint to listen with; name it with --init"
            )
        data.mine(init.model)
    if init is not None:
        start_from(module.model, recipe.labels, init)
    elif isinstance(recipe.model.frontend, LogMelConfig) and not last.exists():
        _fit_frontend(module, data)
    trainer = _trainer(recipe, out, progress)
    with warnings.catch_warnings():
        # lightning 2.6 calls a pytree function that torch 2.14 deprecates, and advises workers
        # that would only compete for the same cores.
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        try:
            trainer.fit(module, datamodule=data, ckpt_path=str(last) if last.exists() else None)
        except SystemExit as error:
            # lightning ends the whole process with code 1 on Ctrl-C; that is for the caller to say.
            raise KeyboardInterrupt from error
    facts["figures"] = {
        k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")
    }
    save_checkpoint(path, module.model, recipe.model, facts)
    return path


def start_from(model: Chain, labels: tuple[str, ...], base: Checkpoint) -> None:
    """Copy the weights of a checkpoint that fit by name and shape, and of its head by label.

    Raises:
        ConfigError: no weight of the encoder fits.
    """
    own = model.state_dict()
    given = base.model.state_dict()
    known = tuple(base.facts["labels"])
    fitting = {
        k: v
        for k, v in given.items()
        if k in own and own[k].shape == v.shape and (known == labels or not k.startswith(HEAD))
    }
    if not any(k.startswith("layers.encoder.") for k in fitting):
        raise ConfigError(
            f"no weight of {base.facts['name']!r} fits this recipe's model; "
            "it is another architecture"
        )
    model.load_state_dict({**own, **fitting})
    shared = [label for label in labels if label in known]
    rows, from_rows = ([of.index(label) for label in shared] for of in (labels, known))
    for name in own:
        fits = name in given and own[name].shape[1:] == given[name].shape[1:]
        if name.startswith(HEAD) and name not in fitting and fits:
            own[name][rows] = given[name][from_rows]


def _fit_frontend(module: SequenceModule, data: _Data) -> None:
    """Normalise the log-mel bands by the first training batches."""
    frontend = module.model.layers["frontend"]
    assert isinstance(frontend, LogMel)
    batches = iter(data.train_dataloader())
    frontend.fit(torch.cat([next(batches)["audio"] for _ in range(4)]))


def _trainer(recipe: Recipe, out: Path, progress: bool) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    o = recipe.optimise
    epochs, rest = divmod(o.steps, o.validate_every)
    if rest:
        raise ConfigError(
            f"train.steps {o.steps} is no multiple of validate_every {o.validate_every}"
        )
    return lightning.Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=epochs,
        limit_train_batches=o.validate_every,
        limit_val_batches=VALIDATION_BATCHES,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        gradient_clip_val=o.clip_norm,
        precision="bf16-mixed" if o.precision == "bf16" else "32-true",
        logger=TensorBoardLogger(str(out), name="", version="log"),
        log_every_n_steps=20,
        callbacks=[
            ModelCheckpoint(out, LAST, enable_version_counter=False, save_on_train_epoch_end=True),
            EMAWeightAveraging(decay=o.ema),
        ],
        enable_progress_bar=progress,
        enable_model_summary=False,
    )
