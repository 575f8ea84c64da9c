"""Small models of every family with random weights, and their integer programs."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import torch

from edgeseq.models import (
    ByteEmbeddingConfig,
    Chain,
    GruConfig,
    LogMelConfig,
    LstmConfig,
    ModelConfig,
    TransformerConfig,
)
from edgeseq.training.checkpoint import Checkpoint
from edgeseq_export.integer import IntegerProgram, build_program, calibration_input

# Sizes that no SIMD width divides are among them: hidden 27, head size 12, 33 mels, 19 outputs.
CONFIGS = {
    "gru": ModelConfig(LogMelConfig(), GruConfig(hidden=40, layers=2), 7),
    "gru-odd": ModelConfig(LogMelConfig(mels=33, hop=160), GruConfig(33, hidden=27, layers=1), 19),
    "lstm": ModelConfig(LogMelConfig(), LstmConfig(hidden=36, layers=2), 7),
    "transformer": ModelConfig(
        LogMelConfig(),
        TransformerConfig(dim=48, layers=2, heads=4, window=12, feed_forward=80, conv=4),
        7,
    ),
    # Weights so large that gates, scores and the residual path saturate.
    "gru-loud": ModelConfig(LogMelConfig(), GruConfig(hidden=24, layers=2), 5),
    "transformer-loud": ModelConfig(
        LogMelConfig(),
        TransformerConfig(dim=24, layers=1, heads=3, window=9, feed_forward=40, conv=2),
        5,
    ),
    "gru-bytes": ModelConfig(ByteEmbeddingConfig(24), GruConfig(24, hidden=32, layers=2), 256),
    "transformer-bytes": ModelConfig(
        ByteEmbeddingConfig(24),
        TransformerConfig(24, dim=32, layers=2, heads=2, window=20, feed_forward=48),
        256,
    ),
}


@cache
def float_model(name: str) -> Chain:
    """A model with weights large enough that gates and heads are not all alike."""
    torch.manual_seed(7)
    model = CONFIGS[name].build().eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if parameter.dim() > 1 and "table" not in key and "conv" not in key:
                parameter.mul_(40.0 if name.endswith("loud") else 1.5)
        for key, parameter in model.named_parameters():
            if key.endswith("distance_bias") or "norm" in key or "conv" in key:
                parameter.add_(0.2 * torch.randn_like(parameter))
    if not name.endswith("bytes"):
        frontend = model.layers["frontend"]
        frontend.fit(calibration_input(model)[:1])  # type: ignore[operator]
    return model


@cache
def program(name: str) -> IntegerProgram:
    """The integer program, calibrated on the bundled clip."""
    model = float_model(name)
    return build_program(model, calibration_input(model))


def checkpoint(name: str) -> Checkpoint:
    """The float model with the facts that an export needs."""
    text = name.endswith("bytes")
    outputs = CONFIGS[name].outputs
    labels = [] if text else ["_silence_", "_unknown_", *(f"word{n}" for n in range(outputs - 2))]
    facts = {
        "name": name, "task": "bytes" if text else "keyword", "labels": labels, "decoding": {},
        "licence": "CC0-1.0", "edgeseq": "0.1.0", "steps": 0, "seed": 7,
        "data": [{"name": "none", "licence": "CC0-1.0", "attribution": "random weights"}],
    }  # fmt: skip
    return Checkpoint(float_model(name), CONFIGS[name], facts)


def noise(built: IntegerProgram, batch: int, frames: int, seed: int) -> npt.NDArray[np.int16]:
    """Loud noise, or any byte values."""
    rng = np.random.default_rng(seed)
    shape = (batch, frames, built.input_dim)
    if built.bytes_input:
        return rng.integers(0, 256, shape).astype(np.int16)
    return np.clip(3000 * rng.standard_normal(shape), -32768, 32767).astype(np.int16)
