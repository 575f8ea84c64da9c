"""A trained model as one safetensors file: weights, and everything the exporter must know.

No pickle: a checkpoint from a stranger can be opened.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..errors import ConfigError
from ..models import Chain, ModelConfig

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]

KEY = "edgeseq"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model with its recipe facts: name, task, labels, decoding, provenance."""

    model: Chain
    config: ModelConfig
    facts: dict[str, Any]


def save_checkpoint(path: Path, model: Chain, config: ModelConfig, facts: dict[str, Any]) -> None:
    """Write the checkpoint; the file appears only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    document = json.dumps({"model": config.as_dict(), **facts}, sort_keys=True)
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, partial, metadata={KEY: document})
    partial.replace(path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        ConfigError: the file is missing, no safetensors file, or not written by edgeseq.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            document = (opened.metadata() or {}).get(KEY)
            weights = {name: opened.get_tensor(name) for name in opened.keys()}
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{path}: cannot be read as a checkpoint: {error}") from error
    if document is None:
        raise ConfigError(f"{path}: is a safetensors file, but not a checkpoint of edgeseq train")
    try:
        facts = json.loads(document)
        config = ModelConfig.from_dict(facts.pop("model"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{path}: what it says of its model is damaged: {error}") from error
    model = config.build()
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(f"{path}: weights do not fit the model they name: {error}") from error
    return Checkpoint(model.eval(), config, facts)
