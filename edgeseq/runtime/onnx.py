"""The onnxruntime backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, ManifestError
from ..manifest import Manifest
from ..spec import State, TensorSpec
from .backend import Array

if TYPE_CHECKING:
    import onnxruntime as ort

__all__ = ["OnnxBackend", "OnnxStepper"]

TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int16)": "int16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
}


class OnnxBackend:
    """A model file in onnxruntime, on the CPU."""

    def __init__(self, path: str, manifest: Manifest, threads: int) -> None:
        """Load `path`, whose manifest has been read, and check the graph against it."""
        self.path = path
        self.manifest = manifest
        self.session = _load(path, threads)
        state = manifest.state_spec
        self._inputs = [_renamed(t, "state.") for t in state]
        self._outputs = [_renamed(t, "next_state.") for t in state]
        x, y = manifest.inputs[0], manifest.outputs[0]
        _check_graph(path, "input", self.session.get_inputs(), [x, *self._inputs])
        _check_graph(path, "output", self.session.get_outputs(), [y, *self._outputs])
        self._fetch = [y.name, *(t.name for t in self._outputs)]

    def step(self, x: Array, state: Mapping[str, Array]) -> tuple[npt.NDArray[np.float32], State]:
        """The pure step: new arrays out, arguments unchanged."""
        spec = self.manifest.state_spec
        self.manifest.inputs[0].check(x)
        spec.check(state)
        feed = {t.name: state[name] for t, name in zip(self._inputs, spec.names, strict=True)}
        try:
            y, *after = self.session.run(self._fetch, {"x": x, **feed})
        except Exception as error:
            raise _failed(self.path, "a step fails", error) from error
        return y, dict(zip(spec.names, after, strict=True))

    def stepper(self) -> OnnxStepper:
        """A new place in the model, with the state at the start of a stream."""
        return OnnxStepper(self)


class OnnxStepper:
    """One stream's state and buffers, bound once to two bindings that take turns.

    Binding 0 reads state set A and writes set B, binding 1 the other way round. So the state never
    passes through Python, and a step allocates nothing.
    """

    def __init__(self, backend: OnnxBackend) -> None:
        """Bind new buffers to `backend`."""
        manifest = backend.manifest
        self._path = backend.path
        self._spec = manifest.state_spec
        self._x_spec = manifest.inputs[0]
        self._x = self._x_spec.zeros()
        self._shape, self._dtype = self._x.shape, self._x.dtype
        self._y: npt.NDArray[np.float32] = np.zeros(manifest.outputs[0].bound(1), np.float32)
        # Kept, so that a step calls it without looking it up.
        self._run = backend.session.run_with_iobinding
        sets = self._spec.zeros(), self._spec.zeros()
        # (binding, state it reads): the first is next to run.
        self._now = self._bind(backend.session, sets[0], sets[1]), sets[0]
        self._then = self._bind(backend.session, sets[1], sets[0]), sets[1]

    def _bind(self, session: ort.InferenceSession, before: State, after: State) -> ort.IOBinding:
        from onnxruntime import OrtValue

        binding = session.io_binding()
        # An OrtValue on the CPU shares the array's memory, so writing the array is enough.
        binding.bind_ortvalue_input("x", OrtValue.ortvalue_from_numpy(self._x))
        binding.bind_ortvalue_output("y", OrtValue.ortvalue_from_numpy(self._y))
        for name in self._spec.names:
            source = OrtValue.ortvalue_from_numpy(before[name])
            target = OrtValue.ortvalue_from_numpy(after[name])
            binding.bind_ortvalue_input(f"state.{name}", source)
            binding.bind_ortvalue_output(f"next_state.{name}", target)
        return binding

    def step(self, x: Array) -> npt.NDArray[np.float32]:
        """Logits for the chunk `x`; the array is overwritten by the next step."""
        if x.shape != self._shape or x.dtype != self._dtype:
            self._x_spec.check(x)
        self._x[...] = x
        now = self._now
        try:
            self._run(now[0])
        # onnxruntime's errors share no class below Exception.
        except Exception as error:
            raise _failed(self._path, "a step fails", error) from error
        self._now, self._then = self._then, now
        return self._y

    def state(self) -> State:
        """A copy of the state."""
        return {name: array.copy() for name, array in self._now[1].items()}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on from `state`, which is copied."""
        self._spec.check(state)
        for name, array in self._now[1].items():
            array[...] = state[name]

    def reset(self) -> None:
        """Go back to the state at the start of a stream."""
        for tensor in self._spec:
            self._now[1][tensor.name].fill(tensor.fill)


def _load(path: str, threads: int) -> ort.InferenceSession:
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise ConfigError(
            f"backend 'onnx' needs onnxruntime, which cannot be imported ({error}); it exists for "
            "64-bit systems: pip install onnxruntime; others run .esq files, made elsewhere by: "
            "edgeseq export MODEL --target native -o MODEL.esq"
        ) from None
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = threads
    # An idle worker that spins takes a whole core of a small device (field case F57).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Fatal errors only: the others come as exceptions, which we tell in a line.
    options.log_severity_level = 4
    # GRU 2x128 and 2x256: 90 KiB less resident without the arena, at the same step time.
    options.enable_cpu_mem_arena = False
    try:
        # Without its fallback, which prints to stdout and tries the same provider once more.
        return ort.InferenceSession(
            path, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    # onnxruntime's errors share no class below Exception.
    except Exception as error:
        words = f"onnxruntime {ort.__version__} cannot load it"
        raise _failed(path, words, error) from error


def _failed(path: str, words: str, error: Exception) -> ManifestError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ManifestError(f"{path}: {words}: {lines[0]}")


def _renamed(tensor: TensorSpec, prefix: str) -> TensorSpec:
    return TensorSpec(prefix + tensor.name, tensor.shape, tensor.dtype, tensor.fill)


def _check_graph(path: str, kind: str, found: list[Any], expected: list[TensorSpec]) -> None:
    """Raise ManifestError unless the graph's inputs or outputs are those of the manifest."""
    graph = {t.name: f"{TYPES.get(t.type, t.type)}{list(t.shape)}" for t in found}
    manifest = {t.name: f"{t.dtype}{list(t.bound(1))}" for t in expected}
    for name in sorted(graph.keys() | manifest.keys()):
        if graph.get(name) != manifest.get(name):
            raise ManifestError(
                f"{path}: graph {kind} {name!r} is {graph.get(name, 'missing')}, the manifest says "
                f"{manifest.get(name, 'there is none')}; export the model again"
            )
