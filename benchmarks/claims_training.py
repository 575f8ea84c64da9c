"""The other half of claims.py: what training tricks and small numbers cost a small byte model."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from edgeseq.assets import clip
from edgeseq.models import (
    ByteEmbeddingConfig,
    Chain,
    GruConfig,
    ModelConfig,
    TransformerConfig,
)
from edgeseq.profile.positions import TextScore
from edgeseq.runtime import Session
from edgeseq.training.checkpoint import Checkpoint
from edgeseq_export.native import export_native
from edgeseq_export.package import export

from .claims import HOLDS, Claim, kept_bytes

__all__ = ["accumulation", "checkpointing", "mixed_precision", "quantization"]

BATCH, FRAMES = 8, 128
ROOT = Path(__file__).parents[1]
CONFIGS = {
    "gru": ModelConfig(ByteEmbeddingConfig(48), GruConfig(48, hidden=128, layers=1), 256),
    "transformer": ModelConfig(
        ByteEmbeddingConfig(48),
        TransformerConfig(48, dim=96, layers=2, heads=4, window=48, feed_forward=192, conv=4),
        256,
    ),
}


def _text() -> Tensor:
    """English of this repository: its pages."""
    pages = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
    # The table that this makes is left out, so that the same text gives the same figures.
    data = b"".join(page.read_bytes() for page in pages if page.name != "claims.md")
    return torch.from_numpy(np.frombuffer(data, np.uint8).astype(np.int64))


def _batches(steps: int, seed: int = 0) -> list[Tensor]:
    """Pieces `[BATCH, FRAMES + 1, 1]` of the text."""
    text, generator = _text(), torch.Generator().manual_seed(seed)
    starts = torch.randint(0, len(text) - FRAMES - 1, (steps, BATCH), generator=generator)
    return [torch.stack([text[s : s + FRAMES + 1] for s in row])[..., None] for row in starts]


def _loss(model: Chain, x: Tensor) -> Tensor:
    y, _ = model(x[:, :-1], model.initial_state(len(x)))
    return functional.cross_entropy(y.flatten(0, 1).float(), x[:, 1:].flatten())


class _Training:
    """A model in training, one step at a time, so that several can take turns."""

    def __init__(self, kind: str, half: bool = False, device: str = "cpu") -> None:
        torch.manual_seed(0)
        self.model = CONFIGS[kind].build().to(device)
        self.half, self.device = half, device
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=3e-3)
        self.losses: list[float] = []
        self.times: list[float] = []

    def step(self, x: Tensor) -> None:
        begin = process_time()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.half):
            loss = _loss(self.model, x.to(self.device))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss.item())
        self.times.append(process_time() - begin)

    @property
    def loss(self) -> float:
        """Mean of the last tenth, in nats a byte."""
        tail = max(1, len(self.losses) // 10)
        return sum(self.losses[-tail:]) / tail


def mixed_precision(steps: int, device: str = "cpu") -> Claim:
    """float32 against bfloat16 with float32 weights; on CPU and wherever `device` is."""
    runs = {
        (kind, half): _Training(kind, half, device) for kind in CONFIGS for half in (False, True)
    }
    for x in _batches(steps):
        for run in runs.values():
            run.step(x)
    parts, facts = [], {}
    for kind in CONFIGS:
        full, half = runs[kind, False], runs[kind, True]
        ratio = median(full.times[1:]) / median(half.times[1:])
        facts[kind] = {"speed": ratio, "loss": (full.loss, half.loss)}
        parts.append(
            f"{kind}: {ratio:.2f} times the speed, loss {half.loss:.3f} against {full.loss:.3f}"
        )
    faster = [kind for kind in CONFIGS if facts[kind]["speed"] > 1.05]
    close = all(abs(f["loss"][1] - f["loss"][0]) < 0.05 for f in facts.values())
    verdict = f"faster for {' and '.join(faster)}" if faster else "not faster"
    verdict += f" on this {'GPU' if device == 'cuda' else 'CPU'}; the loss is "
    return Claim(
        "Mixed precision (bfloat16) trains faster at equal quality",
        f"{steps} steps of {BATCH} x {FRAMES} bytes ({device}): {'; '.join(parts)}",
        verdict + ("the same within 0.05" if close else "another one"),
        facts,
    )


def checkpointing(frames: Sequence[int] = (512,), rounds: int = 3) -> Claim:
    """A Transformer whose blocks are computed again in the backward pass."""
    torch.manual_seed(0)
    model = CONFIGS["transformer"].build()
    encoder: Any = model.layers["encoder"]
    length = frames[-1]
    x = torch.randint(0, 256, (4, length + 1, 1))
    plain = [block.forward for block in encoder.blocks]
    inputs = 4 * length * encoder.output_dim * 4

    def again(on: bool) -> None:
        for block, forward in zip(encoder.blocks, plain, strict=True):

            def run(*args: Any, forward: Any = forward) -> Any:
                return checkpoint(forward, *args, use_reentrant=False)

            block.forward = run if on else forward

    def grads() -> list[Tensor]:
        model.zero_grad()
        _loss(model, x).backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    kept, times, found = {}, {False: [], True: []}, {}
    for on in (False, True):
        again(on)
        kept[on] = kept_bytes(lambda: _loss(model, x), model)
        # The hooks do not see what checkpoint itself holds: the input of each block.
        kept[on] += inputs * len(plain) if on else 0
        found[on] = grads()
    for _ in range(rounds):
        for on in (False, True):
            again(on)
            begin = process_time()
            grads()
            times[on].append(process_time() - begin)
    again(False)
    gap = max(float((a - b).abs().max()) for a, b in zip(found[False], found[True], strict=True))
    cost = median(times[True]) / median(times[False])
    return Claim(
        "Checkpointing trades time for memory",
        f"2 blocks of 96, T = {length}: {kept[False] / 2**20:.1f} MiB kept without, "
        f"{kept[True] / 2**20:.1f} MiB with, {cost:.2f} times the time; "
        f"gradients differ by {gap:.1g}",
        HOLDS if kept[True] < kept[False] and cost > 1 else "does not hold",
        {"kept": kept, "gap": gap},
    )


def accumulation(parts: int = 4) -> Claim:
    """One large batch against the sum over its parts."""
    (x,) = _batches(1)
    gaps, kept = {}, {}
    for kind, config in CONFIGS.items():
        torch.manual_seed(0)
        model = config.build()
        grads = []
        for count in (1, parts):
            model.zero_grad()
            for piece in x.chunk(count):
                (_loss(model, piece) / count).backward()
            grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
            piece = x.chunk(count)[0]
            kept[kind, count] = kept_bytes(
                lambda m=model, p=piece: _loss(m, p), model  # type: ignore[misc]
            )  # fmt: skip
        largest = max(float(g.abs().max()) for g in grads[0])
        gap = max(float((a - b).abs().max()) for a, b in zip(*grads, strict=True))
        gaps[kind] = gap / largest
    words = "; ".join(
        f"{kind}: {kept[kind, 1] / kept[kind, parts]:.1f} times less memory, gradients differ by "
        f"{gaps[kind]:.1g} of the largest"
        for kind in CONFIGS
    )
    same = all(gap < 1e-4 for gap in gaps.values())
    return Claim(
        "Accumulating gradients equals a larger batch in less memory",
        f"a batch of {BATCH} in {parts} parts: {words}",
        HOLDS if same else "does not hold",
        {"gaps": gaps, "kept": kept},
    )


def quantization(steps: int) -> list[Claim]:
    """Bits per byte of a model trained here, exported in each precision."""
    passage = clip("passage.txt")
    assert passage is not None
    held_out = np.frombuffer(passage.read_bytes(), np.uint8)
    parts, facts = [], {}
    for kind in CONFIGS:
        training = _Training(kind)
        for x in _batches(steps):
            training.step(x)
        facts[kind] = _forms(kind, training.model.eval(), held_out)
        parts.append(f"{kind} {', '.join(f'{v:.3f} {n}' for n, v in facts[kind].items())}")
        print(parts[-1], file=sys.stderr)
    how = f"bits per byte on held-out text, {steps} steps of training: {'; '.join(parts)}"
    return [
        _cost("int8 costs next to no quality", ("int8", "integer program"), how, facts, 0.03),
        _cost(
            "int4 costs little quality",
            ("int4",),
            "the same models, four bits in blocks rounded to the nearest; `edgeseq quantize` "
            "rounds on real input: [quantization.md](quantization.md)",
            facts,
            0.1,
        ),
    ]


def _cost(
    claim: str, forms: Sequence[str], how: str, facts: dict[str, dict[str, float]], most: float
) -> Claim:
    worst = max(f[form] - f["float"] for f in facts.values() for form in forms)
    verdict = (
        f"holds: at most {max(worst, 0):.3f} bits" if worst < most else f"costs {worst:.3f} bits"
    )
    return Claim(claim, how, verdict, facts)


def _forms(kind: str, model: Chain, text: np.ndarray[Any, Any]) -> dict[str, float]:
    facts = {
        "name": kind, "task": "bytes", "labels": [], "decoding": {}, "steps": 0, "seed": 0,
        "licence": "Apache-2.0", "edgeseq": "0.1.0",
        "data": [{"name": "pages", "licence": "Apache-2.0", "attribution": "edgeseq"}],
    }  # fmt: skip
    made = Checkpoint(model, CONFIGS[kind], facts)
    with tempfile.TemporaryDirectory(prefix="edgeseq") as name:
        folder = Path(name)
        export(made, folder / "float.onnx", "none")
        export(made, folder / "int8.onnx", "int8")
        export(made, folder / "int4.onnx", "int4")
        export_native(made, folder / "native.esq")
        return {
            "float": _bits(folder / "float.onnx", text),
            "int8": _bits(folder / "int8.onnx", text),
            "integer program": _bits(folder / "native.esq", text),
            "int4": _bits(folder / "int4.onnx", text),
        }


def _bits(path: Path, text: np.ndarray[Any, Any]) -> float:
    """Bits per byte after the first one, from one stream."""
    score = TextScore(Session(path))
    score.push(text)
    score.flush()
    assert score.bits_per_byte is not None
    return score.bits_per_byte
