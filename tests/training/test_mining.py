"""What a model mistakes for keywords is found, wherever it lies, and comes back in training."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeseq.errors import ConfigError
from edgeseq.models import Chain
from edgeseq.training.checkpoint import load_checkpoint, save_checkpoint
from edgeseq.training.config import Optimise, Recipe
from edgeseq.training.data import AudioCorpora, KeywordBatches
from edgeseq.training.losses import smoothed_log_p
from edgeseq.training.mining import FAINTEST, HardStretches, find_hard
from edgeseq.training.run import facts_of, train

from .test_data import RATE, holding, recipe, root

__all__ = ["root"]

HOP = 320


def eager_model(plan: Recipe) -> Chain:
    """A model with random weights that hears keywords here and there."""
    torch.manual_seed(3)
    model = plan.model.build().eval()
    with torch.no_grad():
        head = model.state_dict()["layers.head.linear.weight"]
        head *= 12.0
    return model


def peak_hz(audio: torch.Tensor) -> float:
    """The loudest frequency."""
    return float(torch.fft.rfft(audio).abs().argmax()) * RATE / len(audio)


def mined(plan: Recipe, root: Path, cache: Path) -> tuple[KeywordBatches, Chain, HardStretches]:
    batches = KeywordBatches(plan, AudioCorpora(plan, [root], cache), "train", 1)
    model = eager_model(plan)
    talk = [i for p in batches.pools if p.corpus.role == "speech" for i in p.indices]
    store = batches.corpora.store
    unjudged = batches.corpora.unjudged
    return batches, model, find_hard(model, store, talk, batches.length, HOP, unjudged)


def test_each_stretch_that_is_found_sounds_like_a_keyword(root: Path, tmp_path: Path) -> None:
    batches, model, hard = mined(recipe(), root, tmp_path / "cache")
    store = batches.corpora.store
    everywhere = sum(-(-2 * (store.length(i)) // batches.length) for i in batches.voices)
    assert 0 < len(hard) < everywhere
    assert hard.share.sum() == pytest.approx(1.0)
    heard = []
    for clip, start in zip(hard.clip.tolist(), hard.start.tolist(), strict=True):
        assert 0 <= start <= store.length(clip) - batches.length
        x = torch.from_numpy(store.read(clip, start, batches.length)).reshape(1, -1, HOP)
        with torch.no_grad():
            logits, _ = model(x, model.initial_state(1))
        heard.append(float(smoothed_log_p(logits).exp()[..., 2:].max()))
    assert min(heard) > FAINTEST
    np.testing.assert_allclose(hard.share, np.array(heard) / sum(heard), rtol=1e-3)


def test_words_that_a_recording_may_hold_are_not_looked_for(root: Path, tmp_path: Path) -> None:
    everything = mined(recipe(), root, tmp_path / "cache")[2]
    yes_only = mined(holding("no"), root, tmp_path / "cache")[2]
    no_only = mined(holding("yes"), root, tmp_path / "cache")[2]
    assert len(mined(holding("yes", "no"), root, tmp_path / "cache")[2]) == 0
    assert len(everything) > 0
    assert {*yes_only.start, *no_only.start} == {*everything.start}


def test_what_was_found_is_heard_again(root: Path, tmp_path: Path) -> None:
    plan = recipe(
        hard_p=1.0, noise_p=0.0, room_p=0.0, band_limit_p=0.0, gain_db=[0.0, 0.0],
        floor_dbfs=[-150.0, -150.0],
    )  # fmt: skip
    batches, _, hard = mined(plan, root, tmp_path / "cache")
    batches.hard = hard
    batch = batches.batch(np.random.default_rng(1))
    known = {
        batches.corpora.store.read(c, s, batches.length).tobytes()
        for c, s in zip(hard.clip.tolist(), hard.start.tolist(), strict=True)
    }
    other = batch["audio"].flatten(1)[batch["target"] == -1]
    talk = [row for row in other if peak_hz(row) > 1300]  # the others are halves of words
    assert len(talk) >= 3
    for row in torch.stack(talk).numpy():
        nearest = min(np.abs(np.frombuffer(k, np.float32) - row).max() for k in known)
        assert nearest < 1e-4


def test_noise_rows_stay_noise(root: Path, tmp_path: Path) -> None:
    """A row that teaches silence must not be given speech."""
    plan = recipe(hard_p=1.0, noise_p=0.0, room_p=0.0, band_limit_p=0.0)
    batches, _, hard = mined(plan, root, tmp_path / "cache")
    batches.hard = hard
    batch = batches.batch(np.random.default_rng(1))
    for audio in batch["audio"].flatten(1)[batch["target"] == 0]:
        assert 90 <= peak_hz(audio) <= 140


def test_mining_needs_a_model_to_start_from(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--init"):
        train(recipe(hard_p=0.5), [root], tmp_path / "out", tmp_path / "cache", False)


def test_training_with_mining_runs_from_a_checkpoint(root: Path, tmp_path: Path) -> None:
    short = Optimise(steps=2, validate_every=2, batch=8)
    plan = dataclasses.replace(recipe(hard_p=0.5), optimise=short)
    start = tmp_path / "start.safetensors"
    save_checkpoint(start, eager_model(plan), plan.model, facts_of(plan))
    made = train(
        plan, [root], tmp_path / "out", tmp_path / "cache", False, init=load_checkpoint(start)
    )
    assert load_checkpoint(made).facts["init"] == {"name": "model", "steps": 2, "seed": 1}
    shutil.rmtree(tmp_path / "cache")  # a finished run reads no recordings when it is asked again
    again = train(
        plan, [], tmp_path / "out", tmp_path / "cache", False, init=load_checkpoint(start)
    )
    assert again == made
