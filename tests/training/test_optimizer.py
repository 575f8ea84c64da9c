"""Two optimisers as one: who updates what, and that saving loses nothing."""

from __future__ import annotations

import copy

import pytest
import torch

from edgeseq.errors import ConfigError
from edgeseq.models import GruConfig, LogMelConfig, ModelConfig, TransformerConfig
from edgeseq.training.config import Optimise
from edgeseq.training.optimizer import MuonWithAdamW, optimizer_for

ENCODERS = [GruConfig(hidden=16), TransformerConfig(dim=16, heads=2, layers=2, window=16, conv=3)]
MUON = Optimise(optimizer="muon", learning_rate=1e-2)


def model_of(encoder: GruConfig | TransformerConfig) -> torch.nn.Module:
    torch.manual_seed(0)
    return ModelConfig(LogMelConfig(), encoder, 4).build()


def give_gradients(model: torch.nn.Module, seed: int) -> None:
    torch.manual_seed(seed)
    for p in model.parameters():
        p.grad = torch.randn_like(p)


@pytest.mark.parametrize("encoder", ENCODERS, ids=["gru", "transformer"])
def test_every_parameter_is_updated_once(encoder: GruConfig | TransformerConfig) -> None:
    model = model_of(encoder)
    optimizer = optimizer_for(model, MUON)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    before = copy.deepcopy(model.state_dict())
    give_gradients(model, 1)
    optimizer.step()
    for name, _ in model.named_parameters():
        assert not torch.equal(model.state_dict()[name], before[name]), name


@pytest.mark.parametrize("encoder", ENCODERS, ids=["gru", "transformer"])
def test_only_matrices_of_the_encoder_go_to_muon(encoder: GruConfig | TransformerConfig) -> None:
    model = model_of(encoder)
    first = optimizer_for(model, MUON).param_groups[0]["params"]
    matrices = {n for n, p in model.named_parameters() if any(p is q for q in first)}
    assert matrices
    for name in matrices:
        assert "encoder" in name
        assert "bias" not in name
        assert "conv" not in name
    # Muon's update is a rotation: all its singular values are of one size.
    name = next(n for n in sorted(matrices) if "weight" in n)
    before = model.state_dict()[name].clone()
    optimizer = optimizer_for(model, Optimise(optimizer="muon", weight_decay=0.0))
    give_gradients(model, 1)
    optimizer.step()
    change = torch.linalg.svdvals(model.state_dict()[name] - before)
    assert float(change.max() / change.min()) < 3.0


def test_a_saved_optimiser_goes_on_exactly() -> None:
    """Loading replaces groups and states, which both inner optimisers must see."""
    through, first = model_of(ENCODERS[0]), model_of(ENCODERS[0])
    whole, part = optimizer_for(through, MUON), optimizer_for(first, MUON)
    for seed in (1, 2):
        for model, optimizer in ((through, whole), (first, part)):
            give_gradients(model, seed)
            optimizer.step()
    resumed = model_of(ENCODERS[0])
    resumed.load_state_dict(first.state_dict())
    again = optimizer_for(resumed, MUON)
    again.load_state_dict(copy.deepcopy(part.state_dict()))
    for group in (*whole.param_groups, *again.param_groups):
        group["lr"] = 3e-3
    for model, optimizer in ((through, whole), (resumed, again)):
        give_gradients(model, 3)
        optimizer.step()
    for name, value in through.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_adamw_is_the_default() -> None:
    assert not isinstance(optimizer_for(model_of(ENCODERS[0]), Optimise()), MuonWithAdamW)
    with pytest.raises(ConfigError, match="adamw, muon"):
        Optimise(optimizer="sgd")
