"""The networks of the comparison with other frameworks: seeded weights, ONNX step graphs, ours.

One set of weights for every framework. Weights are in PyTorch's gate order (GRU r, z, n; LSTM i, f,
g, o). The Transformer is pre-norm with ReLU, without a term for positions; attention sees the frame
itself and the `window - 1` before it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "CASES", "OUTPUTS", "Reference", "frames", "native_backend", "onnx_model", "weights",
    "write_program",
]  # fmt: skip

Floats = npt.NDArray[np.float32]

CASES: dict[str, dict[str, Any]] = {
    "gru-2x128": {"kind": "gru", "inp": 40, "hid": 128, "layers": 2},
    "gru-2x256": {"kind": "gru", "inp": 80, "hid": 256, "layers": 2},
    "lstm-2x256": {"kind": "lstm", "inp": 80, "hid": 256, "layers": 2},
    "transformer-4x144": {
        "kind": "transformer", "inp": 80, "d": 144, "heads": 4, "ffn": 576, "layers": 4,
        "window": 64,
    },
}  # fmt: skip

FRAMES = 256
"""Different inputs; ours names them by a byte, whose vector is looked up."""

OUTPUTS = 12
"""Of the network's outputs, those that our head gives and that are compared."""


def weights(case: str, seed: int = 7) -> dict[str, Floats]:
    """Weights by name; matrices are `[outputs, inputs]`."""
    c, rng, w = CASES[case], np.random.default_rng(seed), {}

    def mat(*shape: int) -> Floats:
        return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    if c["kind"] in ("gru", "lstm"):
        gates = 3 if c["kind"] == "gru" else 4
        for n in range(c["layers"]):
            i, h = (c["inp"] if n == 0 else c["hid"]), c["hid"]
            w[f"wi{n}"], w[f"wh{n}"] = mat(gates * h, i), mat(gates * h, h)
            w[f"bi{n}"], w[f"bh{n}"] = 0.1 * mat(gates * h), 0.1 * mat(gates * h)
        return w
    d, f = c["d"], c["ffn"]
    w["win"], w["bin"] = mat(d, c["inp"]), 0.1 * mat(d)
    for n in range(c["layers"]):
        w[f"wqkv{n}"], w[f"bqkv{n}"] = mat(3 * d, d), 0.1 * mat(3 * d)
        w[f"wo{n}"], w[f"bo{n}"] = mat(d, d), 0.1 * mat(d)
        w[f"w1{n}"], w[f"b1{n}"] = mat(f, d), 0.1 * mat(f)
        w[f"w2{n}"], w[f"b2{n}"] = mat(d, f), 0.1 * mat(d)
    return w


def frames(case: str, seed: int = 3) -> Floats:
    """The inputs `[FRAMES, 1, 1, inp]`."""
    shape = (FRAMES, 1, 1, CASES[case]["inp"])
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def native_backend(case: str, path: Path) -> Any:
    """Our engine with the program that `write_program` put at `path`.

    A model of given vectors with twelve outputs is no task of a manifest, so what the backend asks
    of one is given here; step and state are those of any Session.
    """
    from types import SimpleNamespace

    from edgeseq.runtime.native import NativeBackend
    from edgeseq.spec import StateSpec, TensorSpec, Timing

    facts = json.loads(path.with_suffix(".json").read_text())
    state = tuple(TensorSpec(t["name"], tuple(t["shape"]), t["dtype"]) for t in facts)
    manifest: Any = SimpleNamespace(
        input="bytes", timing=Timing(None, 1, 1), output_dim=OUTPUTS,
        quantization=SimpleNamespace(scheme="int8"), state_spec=StateSpec(state),
        inputs=(TensorSpec("x", (1, 1, 1), "int64"),),
        outputs=(TensorSpec("y", (1, 1, OUTPUTS)),),
    )  # fmt: skip
    return NativeBackend(case, manifest, memoryview(path.read_bytes()))


def write_program(case: str, path: Path) -> None:
    """Our integer program: the inputs as a byte table, the network, a head that gives the first of
    its outputs.
    """
    import torch

    from edgeseq.models import (
        ByteEmbeddingConfig,
        GruConfig,
        LstmConfig,
        ModelConfig,
        TransformerConfig,
    )
    from edgeseq_export.integer import build_program
    from edgeseq_export.section import write_section

    c, w = CASES[case], {k: torch.from_numpy(v) for k, v in weights(case).items()}
    if c["kind"] == "transformer":
        size = c["d"]
        encoder: Any = TransformerConfig(
            c["inp"], dim=size, layers=c["layers"], heads=c["heads"], window=c["window"] - 1,
            feed_forward=c["ffn"], conv=0,
        )  # fmt: skip
    else:
        size = c["hid"]
        encoder = {"gru": GruConfig, "lstm": LstmConfig}[c["kind"]](c["inp"], size, c["layers"])
    config = ModelConfig(ByteEmbeddingConfig(c["inp"]), encoder, OUTPUTS)
    model = config.build().eval()
    layer: Any = model.layers["encoder"]
    with torch.no_grad():
        model.layers["frontend"].table.weight.copy_(torch.from_numpy(frames(case)[:, 0, 0]))
        head: Any = model.layers["head"]
        head.linear.weight.copy_(torch.eye(OUTPUTS, size))
        head.linear.bias.zero_()
        for n in range(c["layers"]):
            if c["kind"] == "transformer":
                block = layer.blocks[n]
                for linear, key in (
                    (block.attention.qkv, "qkv"), (block.attention.out, "o"),
                    (block.feed[0], "1"), (block.feed[2], "2"),
                ):  # fmt: skip
                    linear.weight.copy_(w[f"w{key}{n}"])
                    linear.bias.copy_(w[f"b{key}{n}"])
            else:
                for theirs, ours in (("wi", "weight_ih"), ("wh", "weight_hh"), ("bi", "bias_ih"),
                                     ("bh", "bias_hh")):  # fmt: skip
                    getattr(layer.rnn, f"{ours}_l{n}").copy_(w[f"{theirs}{n}"])
        if c["kind"] == "transformer":
            layer.enter.weight.copy_(w["win"])
            layer.enter.bias.copy_(w["bin"])
    program = build_program(model, torch.arange(FRAMES).reshape(1, -1, 1))
    path.write_bytes(write_section(program))
    path.with_suffix(".json").write_text(json.dumps([asdict(t) for t in program.state_spec]))


class Reference:
    """The network in numpy, in float: what every row's outputs are compared with."""

    def __init__(self, case: str) -> None:
        """Begin with states of zero."""
        self._c, self._w = CASES[case], weights(case)
        c = self._c
        if c["kind"] == "transformer":
            self._rows: list[list[tuple[Floats, Floats]]] = [[] for _ in range(c["layers"])]
        else:
            self._h = np.zeros((2, c["layers"], c["hid"]), np.float32)

    def step(self, x: Floats) -> Floats:
        """Outputs for one frame."""
        x = x.reshape(-1)
        kind = self._c["kind"]
        return self._attend(x) if kind == "transformer" else self._recur(x, kind == "lstm")

    def _recur(self, x: Floats, lstm: bool) -> Floats:
        w, (h, s), n = self._w, self._h, self._c["hid"]
        for i in range(self._c["layers"]):
            a, b = w[f"wi{i}"] @ x + w[f"bi{i}"], w[f"wh{i}"] @ h[i] + w[f"bh{i}"]
            if lstm:
                enter, forget, new, out = np.split(a + b, 4)
                s[i] = _sigmoid(forget) * s[i] + _sigmoid(enter) * np.tanh(new)
                h[i] = _sigmoid(out) * np.tanh(s[i])
            else:
                r, z = np.split(_sigmoid(a[: 2 * n] + b[: 2 * n]), 2)
                q = np.tanh(a[2 * n :] + r * b[2 * n :])
                h[i] = q + z * (h[i] - q)
            x = h[i]
        return x.copy()

    def _attend(self, x: Floats) -> Floats:
        w, heads, window = self._w, self._c["heads"], self._c["window"]
        x = w["win"] @ x + w["bin"]
        for i, rows in enumerate(self._rows):
            q, k, v = np.split(w[f"wqkv{i}"] @ _norm(x) + w[f"bqkv{i}"], 3)
            rows.append((k, v))
            del rows[:-window]
            keys, values = (
                np.stack(r).reshape(len(rows), heads, -1) for r in zip(*rows, strict=True)
            )
            scores = np.einsum("thd,hd->ht", keys, q.reshape(heads, -1))
            scores = np.exp(scores / np.sqrt(q.size // heads))
            scores /= scores.sum(1, keepdims=True)
            x = x + w[f"wo{i}"] @ np.einsum("ht,thd->hd", scores, values).reshape(-1) + w[f"bo{i}"]
            wide = np.maximum(w[f"w1{i}"] @ _norm(x) + w[f"b1{i}"], 0)
            x = x + w[f"w2{i}"] @ wide + w[f"b2{i}"]
        return _norm(x)


def _sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def _norm(x: Floats) -> Floats:
    x = x - x.mean()
    return x / np.sqrt(np.square(x).mean() + 1e-5)


class Graph:
    """An ONNX graph in the making."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def const(self, value: Any) -> str:
        """Add a constant."""
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def op(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        return self.ops(kind, *inputs, outs=[out or f"n{len(self.nodes)}"], **attributes)[0]

    def ops(self, kind: str, *inputs: str, outs: list[str], **attributes: Any) -> list[str]:
        """Add a node."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), outs, **attributes))
        return outs

    def split(self, value: str, sizes: list[int], axis: int) -> list[str]:
        """Cut a tensor."""
        outs = [f"n{len(self.nodes)}_{i}" for i in range(len(sizes))]
        return self.ops("Split", value, self.const(np.array(sizes, np.int64)), outs=outs, axis=axis)


def onnx_model(case: str) -> Any:
    """The step graph in float; the caches of the Transformer are kept by the caller in a ring."""
    from onnx import TensorProto, helper

    c, g = CASES[case], Graph()
    ins = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, c["inp"]])]
    outs: list[Any] = []

    def declare(name: str, shape: list[int], out_shape: list[int]) -> None:
        ins.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        outs.append(helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, out_shape))

    width = (
        _attention(g, c, weights(case), declare)
        if c["kind"] == "transformer"
        else _cells(g, c, weights(case), declare)
    )
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, width])
    graph = helper.make_graph(g.nodes, case, ins, [y, *outs], g.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _cells(g: Graph, c: dict[str, Any], w: dict[str, Floats], declare: Any) -> int:
    """GRU and LSTM as MatMul and pointwise nodes: onnxruntime quantizes no GRU operator."""
    n, lstm = c["hid"], c["kind"] == "lstm"
    flat, full = g.const(np.array([1, -1], np.int64)), g.const(np.array([1, 1, n], np.int64))
    x = g.op("Reshape", "x", flat)
    for i in range(c["layers"]):
        declare(f"h{i}", [1, 1, n], [1, 1, n])
        h = g.op("Reshape", f"h{i}", flat)
        a = g.op("Add", g.op("MatMul", x, g.const(w[f"wi{i}"].T)), g.const(w[f"bi{i}"]))
        b = g.op("Add", g.op("MatMul", h, g.const(w[f"wh{i}"].T)), g.const(w[f"bh{i}"]))
        if lstm:
            declare(f"s{i}", [1, 1, n], [1, 1, n])
            enter, forget, new, out = g.split(g.op("Add", a, b), [n] * 4, 1)
            s = g.op(
                "Add",
                g.op("Mul", g.op("Sigmoid", forget), g.op("Reshape", f"s{i}", flat)),
                g.op("Mul", g.op("Sigmoid", enter), g.op("Tanh", new)),
            )
            x = g.op("Mul", g.op("Sigmoid", out), g.op("Tanh", s))
            g.op("Reshape", s, full, out=f"s{i}_out")
        else:
            (a1, a2), (b1, b2) = g.split(a, [2 * n, n], 1), g.split(b, [2 * n, n], 1)
            r, z = g.split(g.op("Sigmoid", g.op("Add", a1, b1)), [n, n], 1)
            q = g.op("Tanh", g.op("Add", a2, g.op("Mul", r, b2)))
            x = g.op("Add", q, g.op("Mul", z, g.op("Sub", h, q)))
        g.op("Reshape", x, full, out=f"h{i}_out")
    g.op("Reshape", x, full, out="y")
    return n


def _attention(g: Graph, c: dict[str, Any], w: dict[str, Floats], declare: Any) -> int:
    """The Transformer; it gives new rows of keys and values, and the caller puts them away."""
    d, heads, past = c["d"], c["heads"], c["window"] - 1
    size = d // heads
    one, zero = g.const(np.ones(d, np.float32)), g.const(np.zeros(d, np.float32))
    rows = g.const(np.array([heads, 1, size], np.int64))
    flat, scale = g.const(np.array([1, 1, d], np.int64)), g.const(np.float32(size**-0.5))

    def norm(x: str, out: str = "") -> str:
        return g.op("LayerNormalization", x, one, zero, out=out, axis=-1, epsilon=1e-5)

    def linear(x: str, key: str) -> str:
        product = g.op("MatMul", x, g.const(w[f"w{key}"].T))
        return g.op("Add", product, g.const(w[f"b{key}"]))

    x = linear("x", "in")
    for n in range(c["layers"]):
        q, k, v = g.split(linear(norm(x), f"qkv{n}"), [d] * 3, 2)
        q = g.op("Reshape", q, rows)
        seen = {}
        for name, value in ((f"k{n}", k), (f"v{n}", v)):
            declare(name, [heads, past, size], [heads, 1, size])
            new = g.op("Reshape", value, rows, out=f"{name}_out")
            seen[name[0]] = g.op("Concat", name, new, axis=1)
        scores = g.op("MatMul", q, g.op("Transpose", seen["k"], perm=[0, 2, 1]))
        a = g.op("Softmax", g.op("Mul", scores, scale), axis=-1)
        mixed = g.op("Reshape", g.op("MatMul", a, seen["v"]), flat)
        x = g.op("Add", x, linear(mixed, f"o{n}"))
        x = g.op("Add", x, linear(g.op("Relu", linear(norm(x), f"1{n}")), f"2{n}"))
    norm(x, out="y")
    return d
