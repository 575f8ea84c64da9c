"""The backend of .esq files: the C engine, which equals the integer program bit for bit."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from ctypes import byref, c_size_t, c_void_p
from typing import cast

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, ManifestError, StateError
from ..manifest import MOST_STREAM_BYTES, Manifest
from ..spec import State, TensorSpec
from . import engine
from .backend import Array
from .esq_file import ALIGN

__all__ = ["NativeBackend", "NativeStepper"]

BYTES_LAYER = 2
"""es_layer_kind of a byte table; every other model takes PCM."""

STATE_ALIGN = 8

Bytes = npt.NDArray[np.uint8]


class NativeBackend:
    """A program of an .esq file; the weights are read only, and shared by all steppers."""

    def __init__(self, path: str, manifest: Manifest, section: memoryview) -> None:
        """Check the program in `section` against the manifest of the same file.

        Raises:
            ConfigError: this installation has no compiled engine.
            ManifestError: the section is damaged, or is not what the manifest says.
        """
        self.path = path
        self.manifest = manifest
        self.library = engine.library()
        self._section = _aligned(len(section))
        self._section[:] = np.frombuffer(section, np.uint8)
        at = c_void_p(self._section.ctypes.data), len(section)
        size = c_size_t()
        self.check(self.library.es_load_size(*at, byref(size)))
        self._room = _aligned(size.value)
        self.model = engine.MODEL()
        room = c_void_p(self._room.ctypes.data), len(self._room)
        self.check(self.library.es_load(*at, *room, byref(self.model)))
        self._check_model()
        self._scratch = self.stepper()
        self._lock = threading.Lock()

    def check(self, status: int) -> None:
        """Raise ManifestError for a status that is not good."""
        if status:
            raise ManifestError(
                f"{self.path}: the engine refuses it: {engine.status_text(status)}; "
                "export the model again"
            )

    def _check_model(self) -> None:
        """Raise ManifestError unless program and manifest agree in all that both state."""
        manifest, model = self.manifest, self.model.contents
        takes = "bytes" if model.layer[0].kind == BYTES_LAYER else "pcm"
        for what, program, said in (
            ("input", takes, manifest.input),
            ("input_dim", model.input_dim, manifest.timing.hop),
            ("output_dim", model.output_dim, manifest.output_dim),
            ("subsampling", 1, manifest.timing.subsampling),
            ("quantization", "int8", manifest.quantization.scheme),
        ):
            if program != said:
                raise ManifestError(
                    f"{self.path}: the program's {what} is {program}, the manifest says {said}; "
                    "export the model again"
                )
        filled = [tensor.name for tensor in manifest.state_spec if tensor.fill]
        if filled:
            raise ManifestError(
                f"{self.path}: manifest.state: {filled[0]} begins as another value than 0, which "
                "the engine cannot; export the model again"
            )

    def step(self, x: Array, state: Mapping[str, Array]) -> tuple[npt.NDArray[np.float32], State]:
        """The pure step: new arrays out, arguments unchanged."""
        self.manifest.inputs[0].check(x)
        with self._lock:
            self._scratch.restore(state)
            return self._scratch.step(x).copy(), self._scratch.state()

    def stepper(self) -> NativeStepper:
        """A new place in the model, with the state at the start of a stream."""
        return NativeStepper(self)


class NativeStepper:
    """One stream's engine: arena, input and output in one block of memory, bound once."""

    def __init__(self, backend: NativeBackend) -> None:
        """Make an engine for `backend`."""
        self._backend = backend
        library, manifest = backend.library, backend.manifest
        frames, size = manifest.timing.chunk, c_size_t()
        backend.check(library.es_stepper_size(backend.model, frames, byref(size)))
        if size.value > MOST_STREAM_BYTES:
            raise ManifestError(
                f"{backend.path}: a stream would take {size.value:,} bytes; at most "
                f"{MOST_STREAM_BYTES:,} are allowed"
            )
        self._memory = memory = _aligned(size.value)
        place = c_void_p()
        start = c_void_p(memory.ctypes.data)
        backend.check(
            library.es_stepper_init(backend.model, frames, start, len(memory), byref(place))
        )
        self._x_spec = manifest.inputs[0]
        self._x = self._view(library.es_stepper_x(place), manifest.inputs[0])
        self._y = cast(
            npt.NDArray[np.float32],
            self._view(library.es_stepper_y(place), manifest.outputs[0]),
        )
        self._shape, self._dtype = self._x.shape, self._x.dtype
        self._engine = c_void_p(library.es_stepper_engine(place))
        # Kept, so that a step calls them without looking them up.
        self._fast, self._run = engine.fast_step(), library.es_stepper_step
        self._place, self._own_x = place.value or 0, c_void_p(library.es_stepper_x(place))
        self._saved = self._state_buffer(size)

    def _view(self, address: int, spec: TensorSpec) -> Array:
        """The part of the memory at `address`, as an array of `spec`."""
        begin = address - self._memory.ctypes.data
        part = self._memory[begin : begin + spec.nbytes()]
        return cast(Array, part.view(spec.dtype).reshape(spec.bound(1)))

    def _state_buffer(self, size: c_size_t) -> tuple[Bytes, dict[str, Array]]:
        """Memory for a saved state, and each tensor in it, where the engine's plan puts it."""
        backend = self._backend
        backend.check(backend.library.es_state_size(self._engine, byref(size)))
        saved, at, tensors = np.zeros(size.value, np.uint8), 0, {}
        for tensor in backend.manifest.state_spec:
            end = at + tensor.nbytes()
            if end <= len(saved):
                part = saved[at:end].view(tensor.dtype).reshape(tensor.bound(1))
                tensors[tensor.name] = cast(Array, part)
            at = end + -end % STATE_ALIGN
        if at != len(saved):
            raise ManifestError(
                f"{backend.path}: manifest.state has {at:,} bytes, the program's has "
                f"{len(saved):,}; export the model again"
            )
        return saved, tensors

    def step(self, x: Array) -> npt.NDArray[np.float32]:
        """Logits for the chunk `x`; the array is overwritten by the next step."""
        if self._fast is not None and not self._fast(self._place, x):
            return self._y
        # Any other way to say no is looked at here: a wrong array, or one that must be copied.
        if x.shape != self._shape or x.dtype != self._dtype:
            self._x_spec.check(x)
        self._x[...] = x
        if self._run(self._place, self._own_x):
            raise StateError(
                f"tensor 'x' holds {int(x.min())} to {int(x.max())}, bytes lie in 0 to 255"
            )
        return self._y

    def state(self) -> State:
        """A copy of the state."""
        saved, tensors = self._saved
        self._backend.library.es_save(self._engine, saved.ctypes.data, len(saved))
        return {name: tensor.copy() for name, tensor in tensors.items()}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on from `state`, which is copied; StateError when it does not fit or is damaged."""
        self._backend.manifest.state_spec.check(state)
        saved, tensors = self._saved
        for name, tensor in tensors.items():
            tensor[...] = state[name]
        status = self._backend.library.es_restore(self._engine, saved.ctypes.data, len(saved))
        if status:
            raise StateError(f"the state is refused: {engine.status_text(status)}")

    def reset(self) -> None:
        """Go back to the state at the start of a stream."""
        self._backend.library.es_reset(self._engine)

    @property
    def address(self) -> int:
        """Where the engine's stepper lies."""
        return self._place

    @property
    def kernels(self) -> str:
        """Name of the kernels in use."""
        return str(self._backend.library.es_kernels_name(self._engine).decode())

    def use_kernels(self, name: str) -> None:
        """Run the kernels `name` from now on; results do not change.

        Raises:
            ConfigError: this build has none of that name, or the processor cannot run them.
        """
        if self._backend.library.es_use_kernels(self._engine, name.encode()):
            raise ConfigError(
                f"kernels {name!r} are not in this build, or this processor cannot run them"
            )


def _aligned(size: int) -> Bytes:
    """Zeros that begin at a multiple of ALIGN, at least one."""
    raw = np.zeros(max(size, 1) + ALIGN, np.uint8)
    begin = -raw.ctypes.data % ALIGN
    return raw[begin : begin + max(size, 1)]
