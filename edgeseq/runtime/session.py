"""A loaded model that any number of streams share."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import Self

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..manifest import GoldenTensor, Manifest
from ..spec import State
from .backend import Array, Backend, Stepper
from .model_file import BACKEND_OF, read_model

__all__ = ["BACKENDS", "Session", "backend_of", "golden_arrays"]

BACKENDS = ("auto", *BACKEND_OF.values())


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
            path: a file exported by edgeseq.
            backend: "auto" takes the one that the file is made for: "onnx" (onnxruntime) for .onnx,
                "native" (the compiled C engine) for .esq.
            threads: threads of one step in onnxruntime, the engine always takes one; small models
                are fastest with 1.

        Raises:
            ManifestError: the file is missing, damaged, or not of this version.
            ConfigError: a backend that is unknown, not installed, or not for this file.
        """
        if backend not in BACKENDS:
            raise ConfigError(f"backend is {backend!r}, must be one of {', '.join(BACKENDS)}")
        if threads < 1:
            raise ConfigError(f"threads is {threads}, must be at least 1")
        self.path = os.fspath(path)
        self.backend = backend_of(self.path, backend)
        self.manifest: Manifest
        self.manifest, program = read_model(path)
        self._backend: Backend
        # Imported here: onnxruntime takes longer to load than everything else together.
        if self.backend == "native":
            from .native import NativeBackend

            self._backend = NativeBackend(self.path, self.manifest, program)
        else:
            from .onnx import OnnxBackend

            self._backend = OnnxBackend(self.path, self.manifest, threads)
        self.digest = self.manifest.digest

    @classmethod
    def over(cls, backend: Backend, manifest: Manifest, path: str, name: str) -> Self:
        """A session over a backend that the caller has loaded.

        Args:
            backend: runs the model.
            manifest: of the model.
            path: what messages call the model.
            name: what `backend` of this session says.
        """
        session = cls.__new__(cls)
        session.path, session.backend = path, name
        session.manifest, session._backend = manifest, backend
        session.digest = manifest.digest
        return session

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


def backend_of(path: str, wanted: str = "auto") -> str:
    """The backend of a file, by its name; ConfigError when another one is wanted."""
    suffix = os.path.splitext(path)[1].lower()
    own = BACKEND_OF.get(suffix, "onnx")
    if wanted in ("auto", own) or suffix not in BACKEND_OF:
        return own
    raise ConfigError(
        f"{path}: backend {wanted!r} does not run {suffix} files, {own!r} does; export the "
        f"checkpoint with --target {wanted}"
    )


def golden_arrays(manifest: Manifest) -> tuple[Array, Array]:
    """Input and expected output of the golden, as arrays `[1, frames, ...]`."""
    return _array(manifest.golden.x), _array(manifest.golden.y)


def _array(tensor: GoldenTensor) -> Array:
    stored = np.dtype(tensor.dtype).newbyteorder("<")
    flat = np.frombuffer(base64.b64decode(tensor.data), stored)
    return flat.astype(tensor.dtype).reshape(tensor.shape)
