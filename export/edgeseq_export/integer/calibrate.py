"""Scales of activations, from running the float model over real input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgeseq.assets import clip
from edgeseq.errors import ExportError
from edgeseq.models import Chain
from edgeseq.sources import open_audio

from .fixed import Reals

__all__ = ["Recorder", "best_scale", "calibration_input"]

MAX_FRAMES = 4000
"""Frames that calibration uses at most: 80 s of 20 ms frames."""

QUIETER = 0.25
"""Every recording is also heard at this gain."""

KEPT = 200_000
"""Values kept of each activation; more change no scale by a visible amount."""


def calibration_input(model: Chain, files: Sequence[Path] = ()) -> Tensor:
    """Real input `[2, T, hop]` (PCM, loud and quieter) or `[1, T, 1]` (bytes).

    Args:
        model: what will be calibrated.
        files: recordings or texts; without any, the clips that ship with the package.

    Raises:
        ExportError: less than one second (100 bytes) of input.
    """
    text = model.timing.sample_rate is None
    own = clip("passage.txt" if text else "words.wav")
    paths = list(files) or ([own] if own is not None else [])
    if text:
        data = b"".join(path.read_bytes() for path in paths)
        if len(data) < 100:
            raise ExportError(f"calibration has {len(data)} bytes of text; give 100 or more")
        values = np.frombuffer(data, np.uint8)[:MAX_FRAMES].astype(np.int64)
        return torch.from_numpy(values).reshape(1, -1, 1)
    hop = model.input_dim
    parts = []
    for path in paths:
        with closing(open_audio(str(path))) as source:
            parts += [block.samples.copy() for block in source.blocks()]
    samples = np.concatenate(parts) if parts else np.empty(0, np.float32)
    frames = min(MAX_FRAMES, len(samples) // hop)
    if frames * hop < (model.timing.sample_rate or 0):
        raise ExportError(f"calibration has {len(samples)} samples; give one second or more")
    loud = torch.from_numpy(samples[: frames * hop].reshape(1, frames, hop).astype(np.float32))
    return torch.cat([loud, QUIETER * loud])


def best_scale(values: Reals, limit: int = 127) -> float:
    """The real value of 1 in int8 with the least squared error over `values`."""
    flat = np.abs(values.reshape(-1).astype(np.float64))
    largest = float(flat.max(initial=0.0))
    if largest == 0:
        return 1.0 / limit
    flat = flat[:: max(1, flat.size // KEPT)]
    candidates = largest / limit * np.linspace(0.2, 1.0, 33)
    errors = [
        float(np.square(np.minimum(np.round(flat / s), limit) * s - flat).mean())
        for s in candidates
    ]
    return float(candidates[int(np.argmin(errors))])


class Recorder:
    """Collects what modules put out (or take in) while the float model runs.

    Use: `watch` each module, `run`, then ask for `scale` or `largest`.
    """

    def __init__(self, model: Chain) -> None:
        """Record for `model`, which is put in evaluation mode."""
        self._model = model.eval()
        self._values: dict[str, list[Tensor]] = {}
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def watch(self, name: str, module: nn.Module, *, entering: bool = False) -> None:
        """Keep the output of `module` (its first input if `entering`) under `name`."""
        kept = self._values.setdefault(name, [])

        def keep(value: object) -> None:
            first = value[0] if isinstance(value, tuple) else value
            assert isinstance(first, Tensor)
            kept.append(first.detach().reshape(-1, first.shape[-1]))

        hook: Callable[..., None] = (
            (lambda _module, args: keep(args))
            if entering
            else (lambda _module, _args, output: keep(output))
        )
        register = module.register_forward_pre_hook if entering else module.register_forward_hook
        self._hooks.append(register(hook))

    def run(self, x: Tensor, *, stepwise: bool = False) -> None:
        """Run the model over `x` `[B, T, D]`; `stepwise` also keeps every state tensor."""
        state = self._model.initial_state(len(x))
        cuts = torch.split(x, 1, dim=1) if stepwise else (x,)
        with torch.inference_mode():
            for part in cuts:
                _, state = self._model(part, state)
                if stepwise:
                    for name, value in state.items():
                        self._values.setdefault(f"state.{name}", []).append(
                            value.reshape(-1, value.shape[-1])
                        )
        for hook in self._hooks:
            hook.remove()

    def values(self, name: str) -> Reals:
        """What was kept under `name`, `[n, features]`."""
        found = torch.cat(self._values[name]).double().numpy()
        if not np.isfinite(found).all():
            raise ExportError(f"activation {name} is not finite on the calibration input")
        return np.asarray(found)

    def scale(self, name: str) -> float:
        """The best int8 scale of `name`."""
        return best_scale(self.values(name))

    def largest(self, *names: str) -> float:
        """The largest magnitude under any of `names`."""
        return max(float(np.abs(self.values(name)).max(initial=0.0)) for name in names)
