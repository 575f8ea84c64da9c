"""Small real models for tests: recurrent ONNX graphs with a manifest, run by onnxruntime.

Their weights are chosen, not trained, so that what a stream must say about a given input is known.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from edgeseq.decoding import ByteDecoding, Decoding, KeywordDecoding, VadDecoding
from edgeseq.manifest import (
    KEY,
    DataSource,
    Golden,
    GoldenTensor,
    Manifest,
    Provenance,
    Quantization,
    config_digest,
)
from edgeseq.spec import BATCH, StateSpec, TensorSpec, Timing

RATE = 16000
HOP = 160
LOW_HZ, HIGH_HZ = 1000.0, 2000.0
VAD = VadDecoding(on=0.6, off=0.35, min_speech_s=0.1, min_silence_s=0.3, pad_s=0.05, flush_s=0.1)
TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}

Array = npt.NDArray[Any]


class Graph:
    """Nodes and constants of a graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def op(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        name = out or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def split(self, value: str, parts: int, axis: int) -> list[str]:
        names = [f"n{len(self.nodes)}_{i}" for i in range(parts)]
        self.nodes.append(helper.make_node("Split", [value], names, axis=axis, num_outputs=parts))
        return names

    def frames(self, x: str, chunk: int, width: int) -> list[str]:
        """The frames of `x` `[1, chunk, width]`, each `[1, width]`."""
        parts = self.split(x, chunk, 1) if chunk > 1 else [x]
        shape = self.const([1, width], np.int64)
        return [self.op("Reshape", part, shape) for part in parts]

    def saturating(self, chunk: int) -> TensorSpec:
        """A counter of frames that stops at 50, as attention models carry one."""
        count = self.op("Add", "state.filled", self.const([chunk], np.int64))
        self.op("Min", count, self.const([50], np.int64), out="next_state.filled")
        return TensorSpec("filled", (BATCH,), "int64")

    def logits(self, rows: list[str], outputs: int) -> None:
        """Write rows `[1, outputs]` to y."""
        flat = self.op("Concat", *rows, axis=0) if len(rows) > 1 else rows[0]
        shape = self.const([1, len(rows), outputs], np.int64)
        self.op("Reshape", flat, shape, out="y")

    def gru(self, name: str, x: list[str], width: int, hidden: int, seed: int) -> list[str]:
        """One GRU layer over the frames `x`, as matrix products, with its state `name`.h."""
        draw = np.random.default_rng(seed)
        wx = self.const(draw.normal(size=(width, 3 * hidden)) / np.sqrt(width))
        wh = self.const(draw.normal(size=(hidden, 3 * hidden)) / np.sqrt(hidden))
        bx = self.const(draw.normal(size=3 * hidden) * 0.1)
        bh = self.const(draw.normal(size=3 * hidden) * 0.1)
        h, outputs = f"state.{name}.h", []
        for t, frame in enumerate(x):
            ir, iz, im = self.split(self.op("Add", self.op("MatMul", frame, wx), bx), 3, 1)
            hr, hz, hm = self.split(self.op("Add", self.op("MatMul", h, wh), bh), 3, 1)
            reset = self.op("Sigmoid", self.op("Add", ir, hr))
            keep = self.op("Sigmoid", self.op("Add", iz, hz))
            new = self.op("Tanh", self.op("Add", im, self.op("Mul", reset, hm)))
            change = self.op("Mul", keep, self.op("Sub", h, new))
            last = f"next_state.{name}.h" if t == len(x) - 1 else ""
            h = self.op("Add", new, change, out=last)
            outputs.append(h)
        return outputs


def gru_model(
    path: Path, *, hidden: int = 16, layers: int = 2, chunk: int = 1, hop: int = HOP, seed: int = 0
) -> Path:
    """A keyword model with random weights whose events are arbitrary but many."""
    g = Graph()
    state = [g.saturating(chunk)]
    frames, width = g.frames("x", chunk, hop), hop
    for layer in range(layers):
        frames = g.gru(f"rnn.{layer}", frames, width, hidden, seed + layer)
        width = hidden
        # A fill other than zero shows whether it is respected.
        state.append(TensorSpec(f"rnn.{layer}.h", (BATCH, hidden), fill=0.25 * layer))
    draw = np.random.default_rng(seed + 100)
    head = g.const(draw.normal(size=(hidden, 5)) * 16 / np.sqrt(hidden))
    g.logits([g.op("MatMul", frame, head) for frame in frames], 5)
    labels = ("_silence_", "_unknown_", "yes", "no", "stop")
    thresholds = dict.fromkeys(labels[2:], 0.4)
    decoding = KeywordDecoding(thresholds, smoothing_s=0.03, refractory_s=0.1, flush_s=0.2)
    timing = Timing(RATE, hop, hop, chunk)
    return save(path, g, "gru", "keyword", labels, timing, state, decoding)


def tone_model(path: Path, *, chunk: int = 1, subsampling: int = 1, lookahead: int = 0) -> Path:
    """Its words are tones: "low" is 1 kHz and "high" is 2 kHz, each loud for 0.1 s or more."""
    g = Graph()
    state = [g.saturating(chunk), TensorSpec("level", (BATCH, 2))]
    time = np.arange(HOP) / RATE
    waves = [f(2 * np.pi * hz * time) for hz in (LOW_HZ, HIGH_HZ) for f in (np.cos, np.sin)]
    project = g.const(np.stack(waves, axis=1) * 2 / HOP)
    pairs = g.const([[1, 0], [1, 0], [0, 1], [0, 1]])
    keep, new = g.const(0.8), g.const(0.2)
    gain = g.const([[0, 0, 40, 0], [0, 0, 0, 40]])
    bias = g.const([0, -2, -4, -4])
    level, rows = "state.level", []
    for t, frame in enumerate(g.frames("x", chunk, HOP)):
        wave = g.op("MatMul", frame, project)
        power = g.op("MatMul", g.op("Mul", wave, wave), pairs)
        last = "next_state.level" if t == chunk - 1 else ""
        level = g.op("Add", g.op("Mul", level, keep), g.op("Mul", power, new), out=last)
        if t % subsampling == subsampling - 1:
            rows.append(g.op("Add", g.op("MatMul", level, gain), bias))
    g.logits(rows, 4)
    labels = ("_silence_", "_unknown_", "low", "high")
    decoding = KeywordDecoding({"low": 0.6, "high": 0.6}, 0.05, 1.0, 0.5)
    timing = Timing(RATE, HOP, HOP, chunk, subsampling, lookahead)
    return save(path, g, "gru", "keyword", labels, timing, state, decoding)


def level_model(path: Path, *, chunk: int = 1, decoding: VadDecoding = VAD) -> Path:
    """Calls it speech when the mean square of the last frames is above 0.01."""
    g = Graph()
    level, rows = "state.level", []
    mean = g.const(np.full((HOP, 1), 1 / HOP))
    keep, new = g.const(0.5), g.const(0.5)
    gain, bias = g.const([[0, 1000]]), g.const([0, -10])
    for t, frame in enumerate(g.frames("x", chunk, HOP)):
        power = g.op("MatMul", g.op("Mul", frame, frame), mean)
        last = "next_state.level" if t == chunk - 1 else ""
        level = g.op("Add", g.op("Mul", level, keep), g.op("Mul", power, new), out=last)
        rows.append(g.op("Add", g.op("MatMul", level, gain), bias))
    g.logits(rows, 2)
    state = [TensorSpec("level", (BATCH, 1))]
    timing = Timing(RATE, HOP, HOP, chunk)
    return save(path, g, "gru", "vad", ("_silence_", "speech"), timing, state, decoding)


def byte_model(path: Path, *, chunk: int = 1, hidden: int = 16) -> Path:
    """A byte model with random weights."""
    g = Graph()
    state = [g.saturating(chunk), TensorSpec("rnn.0.h", (BATCH, hidden))]
    draw = np.random.default_rng(7)
    table = g.const(draw.normal(size=(256, hidden)))
    frames = [
        g.op("Gather", table, g.op("Reshape", part, g.const([1], np.int64)), axis=0)
        for part in (g.split("x", chunk, 1) if chunk > 1 else ["x"])
    ]
    head = g.const(draw.normal(size=(hidden, 256)))
    outputs = g.gru("rnn.0", frames, hidden, hidden, 8)
    g.logits([g.op("MatMul", frame, head) for frame in outputs], 256)
    timing = Timing(None, 1, 1, chunk)
    return save(path, g, "gru", "bytes", (), timing, state, ByteDecoding(0.0))


def chain_model(path: Path, data: bytes, *, rest: float = -50.0, bad: bytes = b"") -> Path:
    """A byte model that expects after each byte of `data` the next one, and the first at its end.

    Where a byte is there twice, both that follow it are as likely. `rest` is the logit of the
    others, beside 0; after a byte of `bad` no logit is a number.
    """
    g = Graph()
    state = [g.saturating(1)]
    table = np.full((256, 256), rest, np.float32)
    for byte, after in zip(data, data[1:] + data[:1], strict=True):
        table[byte, after] = 0
    table[list(bad)] = np.nan
    flat = g.op("Reshape", "x", g.const([1], np.int64))
    g.logits([g.op("Gather", g.const(table), flat, axis=0)], 256)
    return save(path, g, "gru", "bytes", (), Timing(None, 1, 1, 1), state, ByteDecoding(0.0))


def save(
    path: Path,
    graph: Graph,
    family: str,
    task: str,
    labels: tuple[str, ...],
    timing: Timing,
    state: Sequence[TensorSpec],
    decoding: Decoding,
) -> Path:
    """Write the file: graph, manifest, and a golden that onnxruntime computed."""
    text = task == "bytes"
    x = TensorSpec("x", (BATCH, timing.chunk, timing.hop), "int64" if text else "float32")
    rows = timing.chunk // timing.subsampling
    y = TensorSpec("y", (BATCH, rows, len(labels) or 256))
    ins = [x, *(replace(t, name=f"state.{t.name}") for t in state)]
    outs = [y, *(replace(t, name=f"next_state.{t.name}") for t in state)]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, path.stem, [_info(t) for t in ins], [_info(t) for t in outs],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )  # fmt: skip
    onnx.checker.check_model(model, full_check=True)
    config = {"made_by": "tests/graphs.py", "chunk": timing.chunk}
    golden_x, golden_y = _golden(model, x, state)
    manifest = Manifest(
        name=path.stem,
        family=family,
        task=task,
        labels=labels,
        timing=timing,
        input="bytes" if text else "pcm",
        batch=1,
        inputs=(x,),
        outputs=(y,),
        state_spec=StateSpec(tuple(state)),
        parameters=sum(int(np.prod(c.dims)) for c in graph.constants),
        macs_per_frame=1000,
        quantization=Quantization("none", 0, 3, 1000),
        decoding=decoding,
        provenance=Provenance(
            "0.1.0", config, config_digest(config), (DataSource("none", "CC0", "nobody"),),
            "MIT", "tests",
        ),
        golden=Golden(_stored(golden_x), _stored(golden_y), 1e-4),
    )  # fmt: skip
    helper.set_model_props(model, {KEY: manifest.to_json()})
    onnx.save(model, path)
    return path


def rewrite_manifest(source: Path, target: Path, text: str) -> Path:
    """A copy of a model file with another manifest text."""
    model = onnx.load(source)
    del model.metadata_props[:]
    helper.set_model_props(model, {KEY: text})
    onnx.save(model, target)
    return target


def tone(hz: float, seconds: float, amplitude: float = 0.5) -> npt.NDArray[np.float32]:
    """A sine, which is a word of the tone model."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def silence(seconds: float) -> npt.NDArray[np.float32]:
    """Exact zeros."""
    return np.zeros(round(seconds * RATE), np.float32)


def noise(seconds: float, amplitude: float = 0.5, seed: int = 0) -> npt.NDArray[np.float32]:
    """White noise."""
    draw = np.random.default_rng(seed)
    return (amplitude * draw.normal(size=round(seconds * RATE))).astype(np.float32)


def _info(tensor: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, TYPES[tensor.dtype], tensor.bound(1))


def _golden(
    model: onnx.ModelProto, x: TensorSpec, state: Sequence[TensorSpec], steps: int = 3
) -> tuple[Array, Array]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    draw = np.random.default_rng(42)
    now = {f"state.{t.name}": t.zeros(1) for t in state}
    xs, ys = [], []
    for _ in range(steps):
        shape = x.bound(1)
        value: Array = draw.normal(size=shape).astype(np.float32) * np.float32(0.3)
        if x.dtype == "int64":
            value = draw.integers(0, 256, shape)
        names = ["y", *(f"next_{name}" for name in now)]
        y, *after = session.run(names, {"x": value, **now})
        now = dict(zip(now, after, strict=True))
        xs.append(value)
        ys.append(y)
    return np.concatenate(xs, axis=1), np.concatenate(ys, axis=1)


def _stored(array: Array) -> GoldenTensor:
    little = array.astype(array.dtype.newbyteorder("<"))
    return GoldenTensor(array.shape, array.dtype.name, base64.b64encode(little.tobytes()).decode())
