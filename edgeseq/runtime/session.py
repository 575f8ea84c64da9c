"""A loaded model that any number of streams share."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..manifest import GoldenTensor, Manifest
from ..spec import State
from .backend import Array, Backend, Stepper
from .onnx_file import read_manifest

__all__ = ["BACKENDS", "Session", "golden_arrays"]

BACKENDS = ("auto", "onnx")


class Session:
    """A model file and the backend that runs it; holds no state of any stream.

        session = Session("kws.onnx")
        y, state = session.step(x, session.initial_state())

    `step` is pure and allocates; a stream uses a `stepper`, which does neither.
    """

    def __init__(
        self, path: str | os.PathLike[str], backend: str = "auto", threads: int = 1
    ) -> None:
        """Load the file; ManifestError says in one line why it cannot be used.

        Args:
            path: an .onnx file exported by edgeseq.
            backend: "auto" takes the best one installed; "onnx" is onnxruntime.
            threads: threads of one step; small models are fastest with 1.
        """
        if backend not in BACKENDS:
            raise ConfigError(f"backend is {backend!r}, must be one of {', '.join(BACKENDS)}")
        if threads < 1:
            raise ConfigError(f"threads is {threads}, must be at least 1")
        self.path = os.fspath(path)
        self.manifest: Manifest = read_manifest(path)
        # Imported here: onnxruntime takes longer to load than everything else together.
        from .onnx import OnnxBackend

        self._backend: Backend = OnnxBackend(self.path, self.manifest, threads)
        self.backend = "onnx"
        self.digest = self.manifest.digest

    def initial_state(self) -> State:
        """The state at the start of a stream."""
        return self.manifest.state_spec.zeros(self.manifest.batch)

    def step(self, x: Array, state: Mapping[str, Array]) -> tuple[npt.NDArray[np.float32], State]:
        """Logits and the next state, as new arrays; StateError when an argument does not fit."""
        return self._backend.step(x, state)

    def stepper(self) -> Stepper:
        """A place in this model for one stream, with state and buffers of its own."""
        return self._backend.stepper()

    def golden_error(self) -> float:
        """Largest difference between this backend's output and the golden one in the file."""
        x, y = golden_arrays(self.manifest)
        stepper, chunk = self.stepper(), self.manifest.timing.chunk
        steps = [stepper.step(x[:, i : i + chunk]).copy() for i in range(0, x.shape[1], chunk)]
        return float(np.max(np.abs(np.subtract(np.concatenate(steps, axis=1), y))))


def golden_arrays(manifest: Manifest) -> tuple[Array, Array]:
    """Input and expected output of the golden, as arrays `[1, frames, ...]`."""
    return _array(manifest.golden.x), _array(manifest.golden.y)


def _array(tensor: GoldenTensor) -> Array:
    stored = np.dtype(tensor.dtype).newbyteorder("<")
    flat = np.frombuffer(base64.b64decode(tensor.data), stored)
    return flat.astype(tensor.dtype).reshape(tensor.shape)
