"""The networks whose size, time and memory `edgeseq advise` knows: random weights, real exports.

Step time and bytes do not depend on the weights; accuracy does, and only the bundled models, which
stand among these, have any.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from edgeseq.assets import bundled
from edgeseq.models import (
    ByteEmbeddingConfig,
    GruConfig,
    HybridConfig,
    LinearRnnConfig,
    LogMelConfig,
    LstmConfig,
    ModelConfig,
    TransformerConfig,
)
from edgeseq.training.checkpoint import Checkpoint
from edgeseq_export.integer import calibration_input
from edgeseq_export.native import export_native
from edgeseq_export.package import export
from edgeseq_export.read_back import load_weights

__all__ = ["TRAINED_SHAPES", "checkpoints", "export_all", "shapes"]

HYBRID = ("linear", "linear", "attention")
INTEGER = ("gru", "lstm", "transformer")
"""Families that the integer program knows."""

TRAINED_SHAPES = {
    "keyword-gru-2x160": "words-gru",
    "keyword-transformer-3x96-w32": "words-transformer",
    "vad-gru-2x64": "vad-gru",
    "bytes-gru-1x384": "bytes-gru",
    "bytes-transformer-3x128-w96": "bytes-transformer",
}
"""Shapes of bundled models: only their float form is made here, the int8 files are bundled."""


def _transformer(dim: int, layers: int, window: int, front: int, conv: int = 4) -> Any:
    width = 3 * dim
    return TransformerConfig(
        front, dim=dim, layers=layers, window=window, feed_forward=width, conv=conv
    )


def _linear(dim: int, layers: int, front: int) -> Any:
    return LinearRnnConfig(front, dim=dim, layers=layers, feed_forward=2 * dim)


def _hybrid(dim: int, repeat: int, window: int, front: int) -> Any:
    return HybridConfig(front, dim=dim, layers=HYBRID * repeat, window=window, feed_forward=2 * dim)


def shapes() -> dict[str, ModelConfig]:
    """Configs by name: task, family, layers x width, window."""
    words, speech, text = LogMelConfig(), LogMelConfig(hop=160, mels=32), ByteEmbeddingConfig(64)
    encoders: dict[str, tuple[Any, ...]] = {
        "keyword": (
            *(GruConfig(40, hidden=n, layers=2) for n in (64, 160, 256)),
            *(LstmConfig(40, hidden=n, layers=2) for n in (64, 128, 256)),
            *(_linear(dim, layers, 40) for dim, layers in ((64, 2), (96, 3), (128, 4))),
            _transformer(64, 2, 32, 40), _transformer(96, 3, 32, 40, conv=5),
            _transformer(96, 3, 128, 40), _transformer(144, 4, 64, 40),
            _hybrid(64, 1, 32, 40), _hybrid(96, 1, 64, 40), _hybrid(128, 2, 64, 40),
        ),
        "vad": (
            *(GruConfig(32, hidden=n, layers=2) for n in (32, 64)),
            LstmConfig(32, hidden=48, layers=2), _linear(48, 2, 32),
            _transformer(48, 2, 64, 32), _hybrid(48, 1, 64, 32),
        ),
        "bytes": (
            *(GruConfig(64, hidden=n, layers=1) for n in (128, 384)),
            *(LstmConfig(64, hidden=n, layers=1) for n in (128, 256)),
            _linear(96, 2, 64), _linear(128, 3, 64),
            _transformer(64, 2, 64, 64), _transformer(128, 3, 96, 64),
            _hybrid(64, 1, 64, 64), _hybrid(96, 1, 64, 64),
        ),
    }  # fmt: skip
    front = {"keyword": (words, 22), "vad": (speech, 2), "bytes": (text, 256)}
    made = {}
    for task, parts in encoders.items():
        for encoder in parts:
            config = ModelConfig(front[task][0], encoder, front[task][1])
            made[_name(task, config)] = config
    return made


def _name(task: str, config: ModelConfig) -> str:
    encoder: Any = config.encoder
    layers = encoder.layers if isinstance(encoder.layers, int) else len(encoder.layers)
    width = encoder.hidden if hasattr(encoder, "hidden") else encoder.dim
    window = f"-w{encoder.window}" if hasattr(encoder, "window") else ""
    return f"{task}-{config.family}-{layers}x{width}{window}"


def checkpoints() -> Iterator[tuple[str, Checkpoint]]:
    """Every shape with random weights, by name."""
    for name, config in shapes().items():
        task = name.split("-")[0]
        torch.manual_seed(0)
        model = config.build().eval()
        if task != "bytes":
            front: Any = model.layers["frontend"]
            front.fit(calibration_input(model)[:1])
        labels = {
            "keyword": ["_silence_", "_unknown_", *(f"word{n}" for n in range(20))],
            "vad": ["_silence_", "speech"],
            "bytes": [],
        }[task]
        yield name, Checkpoint(
            model,
            config,
            {
                "name": name, "task": task, "labels": labels, "decoding": {}, "steps": 0,
                "seed": 0, "licence": "CC0-1.0", "edgeseq": "0.1.0",
                "data": [
                    {"name": "none", "licence": "CC0-1.0", "attribution": "random weights"}
                ],
            },
        )  # fmt: skip


def export_all(folder: Path) -> list[Path]:
    """Model files: every shape in float, int8 and natively where that is possible, and bundled.

    Files that are in `folder` already are taken as they are.
    """
    made = []
    for name, checkpoint in checkpoints():
        schemes = ["none"] if name in TRAINED_SHAPES else ["none", "int8"]
        for scheme in schemes:
            path = folder / f"{name}-{'float' if scheme == 'none' else 'int8'}.onnx"
            if not path.exists():
                export(_renamed(checkpoint, path), path, scheme)
            made.append(path)
        if checkpoint.config.family in INTEGER and name not in TRAINED_SHAPES:
            path = folder / f"{name}-native.esq"
            if not path.exists():
                export_native(_renamed(checkpoint, path), path)
            made.append(path)
    for name, path in bundled().items():
        made.append(path)
        esq = folder / f"{name}-native.esq"
        # Byte for byte what `edgeseq export NAME --target native` writes: it is known again.
        export_native(load_weights(path), esq)
        made.append(esq)
    return made


def _renamed(checkpoint: Checkpoint, path: Path) -> Checkpoint:
    """The same under the name of the file, so that a profile tells its forms apart."""
    return Checkpoint(checkpoint.model, checkpoint.config, {**checkpoint.facts, "name": path.stem})
