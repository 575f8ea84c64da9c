"""Starting from another checkpoint: what is copied, and by what name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgeseq.errors import ConfigError
from edgeseq.models import Chain, GruConfig, LogMelConfig, ModelConfig
from edgeseq.training.checkpoint import load_checkpoint, save_checkpoint
from edgeseq.training.run import start_from

HEAD = "layers.head.linear.weight"


def config(outputs: int, hidden: int = 8) -> ModelConfig:
    return ModelConfig(LogMelConfig(), GruConfig(hidden=hidden, layers=1), outputs)


def saved(path: Path, labels: list[str]) -> Chain:
    model = config(len(labels)).build()
    save_checkpoint(path, model, config(len(labels)), {"name": "old", "labels": labels})
    return model


@pytest.mark.parametrize("old", [["s", "u", "no", "yes"], ["s", "u", "bed", "no", "cat", "yes"]])
def test_a_head_goes_by_label_not_by_row(tmp_path: Path, old: list[str]) -> None:
    given = saved(tmp_path / "old.safetensors", old).state_dict()
    new = ("s", "u", "yes", "new")
    model = config(len(new)).build()
    before = model.state_dict()[HEAD].clone()
    start_from(model, new, load_checkpoint(tmp_path / "old.safetensors"))
    after = model.state_dict()
    for label in ("s", "u", "yes"):
        assert torch.equal(after[HEAD][new.index(label)], given[HEAD][old.index(label)])
    assert torch.equal(after[HEAD][3], before[3]), "a label that is new keeps its fresh row"
    encoder = [name for name in after if name.startswith("layers.encoder.")]
    assert encoder
    assert all(torch.equal(after[name], given[name]) for name in encoder)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "old.safetensors", ["s", "u"])
    model = config(2, hidden=16).build()
    with pytest.raises(ConfigError, match=r"'old'.*another architecture"):
        start_from(model, ("s", "u"), load_checkpoint(tmp_path / "old.safetensors"))
