"""The model in torch, step by step, beside its exported file: what training would see.

Only the process that measures it, and the one that prepares its weights, import torch:
`python -m edgeseq.profile.eager MODEL CHECKPOINT OUT`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..manifest import Manifest
from ..runtime import read_manifest
from ..runtime.backend import Array
from ..runtime.session import Session
from ..spec import State
from .backends import EAGER
from .probe import Job
from .process import run_module, write_result

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DEVICES", "EagerBackend", "EagerSession", "with_weights"]

DEVICES = {"torch": "cpu", "torch-cuda": "cuda"}
"""Names of this backend in a profile, and torch's name of what runs it."""


def with_weights(
    jobs: Sequence[Job], checkpoint: str | None, folder: str, notes: list[str]
) -> Iterator[Job]:
    """The jobs of one model, those of torch with weights, and one more for a GPU.

    Args:
        jobs: of one ONNX file, on any backends.
        checkpoint: where its weights come from; None to read them back from an int8 file.
        folder: where the checkpoint to run is written; it must last until the jobs have ended.
        notes: gets a line when there is no GPU.

    Raises:
        EdgeseqError: torch is missing, the file's weights cannot be read back, or the checkpoint is
            one of another model.
    """
    ready: Job | None = None
    for job in jobs:
        if job.backend != EAGER:
            yield job
        elif ready is not None:
            yield replace(job, weights=ready.weights)
        else:
            # An own folder in it: models of one name may lie in several.
            out = Path(mkdtemp(dir=folder)) / "model.safetensors"
            arguments = [job.model, checkpoint or "", str(out)]
            made = run_module("edgeseq.profile.eager", arguments, f"{job.model} in torch")
            ready = replace(job, weights=str(out))
            yield ready
            if made["gpu"]:
                # Once: the CPU's threads do not matter to it.
                yield replace(ready, backend="torch-cuda", threads=1)
            else:
                notes.append("torch on a GPU: torch sees none")


def _prepare(model: str, checkpoint: str, out: Path) -> dict[str, Any]:
    try:
        import onnx  # noqa: F401
        import torch

        from edgeseq_export.read_back import load_weights

        from ..training.checkpoint import save_checkpoint
    except ImportError as error:
        raise ConfigError(
            f"backend 'torch' needs {error.name}, which is not installed; install it with: "
            "pip install 'edgeseq[export]'"
        ) from None
    found = load_weights(Path(checkpoint or model))
    wanted = read_manifest(model).provenance.config.get("model")
    if checkpoint and json.loads(json.dumps(found.config.as_dict())) != wanted:
        raise ConfigError(
            f"{checkpoint}: has another shape than the model {model}; give the checkpoint that it "
            "was exported from"
        )
    save_checkpoint(out, found.model, found.config, found.facts)
    return {"gpu": torch.cuda.is_available()}


class EagerSession(Session):
    """A Session whose steps torch runs eagerly, in float32."""

    def __init__(self, path: str, weights: str, backend: str, threads: int) -> None:
        """Load the weights of `path`; the manifest is that of the file."""
        import torch

        from ..training.checkpoint import load_checkpoint

        torch.set_num_threads(threads)
        model = load_checkpoint(Path(weights)).model.to(DEVICES[backend])
        self.path, self.backend = path, backend
        self.manifest = read_manifest(path)
        self.digest = self.manifest.digest
        if model.state_spec != self.manifest.state_spec:
            raise ConfigError(f"{path}: its state is not that of the checkpoint")
        self._backend = EagerBackend(model, self.manifest)


class EagerBackend:
    """A model of edgeseq.models, on the device of its weights."""

    def __init__(self, model: Any, manifest: Manifest) -> None:
        """Take `model` as it is."""
        self.model, self.manifest = model, manifest

    def step(self, x: Array, state: Mapping[str, Array]) -> tuple[npt.NDArray[np.float32], State]:
        """The pure step: new arrays out, arguments unchanged."""
        stepper = self.stepper()
        stepper.restore(state)
        return stepper.step(x), stepper.state()

    def stepper(self) -> EagerStepper:
        """A new place in the model, with the state at the start of a stream."""
        return EagerStepper(self)


class EagerStepper:
    """One stream's state, as tensors; a step allocates new ones, as training code would."""

    def __init__(self, backend: EagerBackend) -> None:
        """Begin a stream in `backend`."""
        import torch

        self._torch = torch
        self._model, self._spec = backend.model, backend.manifest.state_spec
        self._x_spec = backend.manifest.inputs[0]
        self._device = next(backend.model.parameters()).device
        self._state: dict[str, Tensor] = backend.model.initial_state(1)

    def step(self, x: Array) -> npt.NDArray[np.float32]:
        """Logits for the chunk `x`, on the CPU: a GPU has ended its work by then."""
        self._x_spec.check(x)
        with self._torch.inference_mode():
            y, self._state = self._model(self._tensor(x), self._state)
            logits: npt.NDArray[np.float32] = y.cpu().numpy()
        return logits

    def state(self) -> State:
        """A copy of the state."""
        return {name: tensor.cpu().numpy().copy() for name, tensor in self._state.items()}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on from `state`, which is copied."""
        self._spec.check(state)
        self._state = {name: self._tensor(value.copy()) for name, value in state.items()}

    def reset(self) -> None:
        """Go back to the state at the start of a stream."""
        self._state = self._model.initial_state(1)

    def _tensor(self, value: Array) -> Tensor:
        return self._torch.from_numpy(value).to(self._device)


def main() -> None:
    """Prepare what the arguments name."""
    write_result(lambda: _prepare(sys.argv[1], sys.argv[2], Path(sys.argv[3])))


if __name__ == "__main__":
    main()
