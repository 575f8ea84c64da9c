"""The networks of peer_nets.py as LiteRT files, without TensorFlow: int8 weights per output.

Weights are int8, activations float (dynamic range), the form in which LiteRT is fastest here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .peer_nets import CASES, weights

__all__ = ["build"]


class File:
    """A LiteRT file in the making; tensors are numbers."""

    def __init__(self, name: str) -> None:
        """Begin with an empty graph."""
        from ai_edge_litert import schema_py_generated as schema

        self.s: Any = schema
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.description = 3, name
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        g = self.graph
        g.tensors, g.operators, g.inputs, g.outputs, g.name = [], [], [], [], name
        self._codes: dict[tuple[int, int], int] = {}

    def tensor(
        self, shape: Any, data: npt.NDArray[Any] | None = None, scale: Any = None, name: str = ""
    ) -> int:
        """Add a tensor: int8 with a scale per row, int32, or float."""
        s, t = self.s, self.s.TensorT()
        kinds = {"int8": s.TensorType.INT8, "int32": s.TensorType.INT32}
        t.name, t.shape, t.buffer = name or f"t{len(self.graph.tensors)}", list(shape), 0
        t.type = s.TensorType.FLOAT32
        if data is not None:
            t.type = kinds.get(str(data.dtype), t.type)
            buffer = s.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            t.buffer = len(self.model.buffers) - 1
        if scale is not None:
            q = s.QuantizationParametersT()
            q.scale, q.zeroPoint, q.quantizedDimension = scale, np.zeros(len(scale), np.int64), 0
            t.quantization = q
        self.graph.tensors.append(t)
        return len(self.graph.tensors) - 1

    def op(
        self, name: str, ins: Any, *shapes: Any, options: str = "", version: int = 1, **fields: Any
    ) -> Any:
        """Add an operator; its output, or its outputs where there are several."""
        s, code = self.s, getattr(self.s.BuiltinOperator, name)
        if (code, version) not in self._codes:
            kind = s.OperatorCodeT()
            kind.builtinCode, kind.deprecatedBuiltinCode = code, min(code, 127)
            kind.version = version
            self.model.operatorCodes.append(kind)
            self._codes[code, version] = len(self.model.operatorCodes) - 1
        made = s.OperatorT()
        made.opcodeIndex, made.inputs = self._codes[code, version], list(ins)
        made.outputs = [self.tensor(shape) for shape in shapes]
        if options:
            made.builtinOptions = getattr(s, f"{options}T")()
            made.builtinOptionsType = getattr(s.BuiltinOptions, options)
            for key, value in fields.items():
                setattr(made.builtinOptions, key, value)
        self.graph.operators.append(made)
        return made.outputs[0] if len(made.outputs) == 1 else made.outputs

    def linear(self, x: int, weight: npt.NDArray[Any], bias: npt.NDArray[Any]) -> int:
        """A product with int8 weights."""
        scale = np.abs(weight).max(1) / 127
        rows = np.rint(weight / scale[:, None]).astype(np.int8)
        stored = self.tensor(rows.shape, rows, scale.astype(np.float32))
        ins = [x, stored, self.tensor(bias.shape, bias)]
        made: int = self.op(
            "FULLY_CONNECTED", ins, (1, len(bias)), options="FullyConnectedOptions", version=5
        )
        return made

    def binary(self, kind: str, a: int, b: int, shape: Any) -> int:
        """ADD, SUB or MUL."""
        made: int = self.op(kind, [a, b], shape, options=f"{kind.capitalize()}Options")
        return made

    def split(self, x: int, parts: int, width: int) -> list[int]:
        """Cut `[1, parts * width]`."""
        axis = self.tensor((), np.int32(1).reshape(()))
        shapes = [(1, width)] * parts
        made: list[int] = self.op(
            "SPLIT", [axis, x], *shapes, options="SplitOptions", numSplits=parts
        )
        return made

    def render(self) -> bytes:
        """The bytes of the file."""
        import flatbuffers

        self.model.subgraphs = [self.graph]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def build(case: str) -> bytes:
    """The file of a network.

    Recurrent: inputs x and every state, outputs the next states. Transformer: inputs x and the
    caches, which the caller keeps as rings, outputs the new rows and y.
    """
    c, w, f = CASES[case], weights(case), File(case)
    x = f.tensor((1, c["inp"]), name="x")
    f.graph.inputs.append(x)
    (_attention if c["kind"] == "transformer" else _cells)(f, c, w, x)
    return f.render()


def _cells(f: File, c: dict[str, Any], w: dict[str, Any], x: int) -> None:
    n, lstm = c["hid"], c["kind"] == "lstm"
    one = (1, n)

    def unary(kind: str, a: int) -> int:
        made: int = f.op(kind, [a], one)
        return made

    def mul(a: int, b: int) -> int:
        return f.binary("MUL", a, b, one)

    def add(a: int, b: int) -> int:
        return f.binary("ADD", a, b, one)

    for i in range(c["layers"]):
        h = f.tensor(one, name=f"h{i}")
        f.graph.inputs.append(h)
        a, b = f.linear(x, w[f"wi{i}"], w[f"bi{i}"]), f.linear(h, w[f"wh{i}"], w[f"bh{i}"])
        if lstm:
            s = f.tensor(one, name=f"s{i}")
            f.graph.inputs.append(s)
            enter, forget, new, out = f.split(f.binary("ADD", a, b, (1, 4 * n)), 4, n)
            s = add(
                mul(unary("LOGISTIC", forget), s), mul(unary("LOGISTIC", enter), unary("TANH", new))
            )
            x = mul(unary("LOGISTIC", out), unary("TANH", s))
            f.graph.outputs += [x, s]
        else:
            (ar, az, an), (br, bz, bn) = f.split(a, 3, n), f.split(b, 3, n)
            r, z = unary("LOGISTIC", add(ar, br)), unary("LOGISTIC", add(az, bz))
            q = unary("TANH", add(an, mul(r, bn)))
            x = add(q, mul(z, f.binary("SUB", h, q, one)))
            f.graph.outputs.append(x)


def _attention(f: File, c: dict[str, Any], w: dict[str, Any], x: int) -> None:
    d, heads, past = c["d"], c["heads"], c["window"] - 1
    size = d // heads
    one, rows, seen = (1, d), (1, heads, 1, size), (1, heads, c["window"], size)
    last = f.tensor((1,), np.array([1], np.int32))
    eps, scale = (f.tensor((1,), np.array([v], np.float32)) for v in (1e-5, size**-0.5))
    row_shape, flat_shape = (f.tensor((len(v),), np.array(v, np.int32)) for v in (rows, one))

    def mean(t: int) -> int:
        made: int = f.op("MEAN", [t, last], (1, 1), options="ReducerOptions", keepDims=True)
        return made

    def norm(t: int) -> int:
        t = f.binary("SUB", t, mean(t), one)
        power = f.binary("ADD", mean(f.binary("MUL", t, t, one)), eps, (1, 1))
        return f.binary("MUL", t, f.op("RSQRT", [power], (1, 1)), one)

    def shaped(t: int, shape: Any, stored: int) -> int:
        made: int = f.op(
            "RESHAPE", [t, stored], shape, options="ReshapeOptions", newShape=list(shape)
        )
        return made

    def product(a: int, b: int, shape: Any, flip: bool) -> int:
        made: int = f.op("BATCH_MATMUL", [a, b], shape, options="BatchMatMulOptions", adjY=flip)
        return made

    def joined(a: int, b: int) -> int:
        made: int = f.op("CONCATENATION", [a, b], seen, options="ConcatenationOptions", axis=2)
        return made

    x = f.linear(x, w["win"], w["bin"])
    for i in range(c["layers"]):
        caches = [f.tensor((1, heads, past, size), name=f"{kind}{i}") for kind in "kv"]
        f.graph.inputs += caches
        parts = f.split(f.linear(norm(x), w[f"wqkv{i}"], w[f"bqkv{i}"]), 3, d)
        q, k, v = (shaped(t, rows, row_shape) for t in parts)
        f.graph.outputs += [k, v]
        scores = product(q, joined(caches[0], k), (1, heads, 1, c["window"]), True)
        scores = f.binary("MUL", scores, scale, (1, heads, 1, c["window"]))
        a = f.op(
            "SOFTMAX", [scores], (1, heads, 1, c["window"]), options="SoftmaxOptions", beta=1.0
        )
        mixed = shaped(product(a, joined(caches[1], v), rows, False), one, flat_shape)
        x = f.binary("ADD", x, f.linear(mixed, w[f"wo{i}"], w[f"bo{i}"]), one)
        wide = f.linear(norm(x), w[f"w1{i}"], w[f"b1{i}"])
        wide = f.op("RELU", [wide], (1, c["ffn"]))
        x = f.binary("ADD", x, f.linear(wide, w[f"w2{i}"], w[f"b2{i}"]), one)
    f.graph.outputs.append(norm(x))
