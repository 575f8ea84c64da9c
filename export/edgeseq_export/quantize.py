"""int8 weights for the products of a step graph, small mel filters, and what products a graph has.

onnxruntime's dynamic quantizer turns `MatMul` with a constant into `MatMulInteger`. It passes over
what it does not know without a word (native GRU, Gemm after a fusion), so schemes.py counts the
result.
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

__all__ = ["OpCount", "count_ops", "mel_products", "narrow_filters", "quantize_products"]

MEL_OP_TYPES = ("Log",)
FLOAT = onnx.TensorProto.FLOAT


@dataclass(frozen=True, slots=True)
class OpCount:
    """How the matrix products of a graph are computed, and the bytes of all constants.

    Attributes:
        int8: products with int8 weights.
        int4: products with weights of four bits.
        float_weights: products with a float constant, in whatever width it is stored.
        activations: products of two activations (attention), which have no weights.
        weight_bytes: bytes of all constants in the file.
    """

    int8: int
    int4: int
    float_weights: int
    activations: int
    weight_bytes: int

    @property
    def integer(self) -> int:
        """Products with integer weights."""
        return self.int8 + self.int4


def count_ops(graph: onnx.ModelProto) -> OpCount:
    """Count the matrix products of a graph by kind."""
    constants = {i.name for i in graph.graph.initializer}
    # What is made of constants alone, when the file is loaded, is a constant still.
    for node in graph.graph.node:
        if node.input and set(node.input) <= constants:
            constants.add(node.output[0])
    kinds: Counter[str] = Counter()
    for node in graph.graph.node:
        if node.op_type == "MatMulInteger":
            kinds["int8"] += 1
        elif node.op_type == "MatMulNBits":
            kinds["int4"] += 1
        elif node.op_type in ("MatMul", "Gemm"):
            kinds["float" if node.input[1] in constants else "activations"] += 1
    size = sum(len(numpy_helper.to_array(i).tobytes()) for i in graph.graph.initializer)
    return OpCount(kinds["int8"], kinds["int4"], kinds["float"], kinds["activations"], size)


def mel_products(graph: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The product with the mel filters: the one that the logarithm reads.

    It stays in float: powers span ten decades, which eight bits cannot.
    """
    makers = {output: node for node in graph.graph.node for output in node.output}
    found = []
    for log in (n for n in graph.graph.node if n.op_type in MEL_OP_TYPES):
        node = makers.get(log.input[0])
        while node is not None and node.op_type != "MatMul":
            node = next((makers[i] for i in node.input if i in makers), None)
        if node is not None:
            found.append(node)
    return found


def narrow_filters(graph: onnx.ModelProto, sparse: bool) -> None:
    """Store the mel filters in fewer bytes; they are widened once, when the file is loaded.

    As float16 a weight moves by at most 2^-11 of itself, 0.004 dB. A band is 0 but for a few bins:
    with `sparse` only the others are stored, in a tenth of the bytes.
    """
    for node in mel_products(graph):
        table = next(i for i in graph.graph.initializer if i.name == node.input[1])
        filters, wide = numpy_helper.to_array(table), table.name
        graph.graph.initializer.remove(table)
        if sparse and filters.size <= np.iinfo(np.uint16).max:
            nodes = _scattered(graph, filters, wide)
        else:
            narrow = numpy_helper.from_array(filters.astype(np.float16), wide + "n")
            graph.graph.initializer.append(narrow)
            nodes = [onnx.helper.make_node("Cast", [narrow.name], [wide], to=FLOAT)]
        for n, made in enumerate(nodes):
            graph.graph.node.insert(n, made)


def _scattered(
    graph: onnx.ModelProto, filters: npt.NDArray[np.float32], wide: str
) -> list[onnx.NodeProto]:
    """Nodes of constants alone that make `filters`, named `wide`, from what is not 0 in them."""
    flat = filters.reshape(-1)
    places = np.flatnonzero(flat)
    for name, values in (
        ("n", flat[places].astype(np.float16)),
        ("p", places.astype(np.uint16)),
        ("z", np.array([flat.size], np.int64)),
        ("d", np.array(filters.shape, np.int64)),
    ):
        graph.graph.initializer.append(numpy_helper.from_array(values, wide + name))
    make = onnx.helper.make_node
    return [
        make("Cast", [wide + "n"], [wide + "v"], to=FLOAT),
        make("Cast", [wide + "p"], [wide + "i"], to=onnx.TensorProto.INT64),
        make("ConstantOfShape", [wide + "z"], [wide + "o"]),
        make("ScatterElements", [wide + "o", wide + "i", wide + "v"], [wide + "f"], axis=0),
        make("Reshape", [wide + "f", wide + "d"], [wide]),
    ]


def _drop_zero_points(graph: onnx.ModelProto) -> None:
    """Leave out the weights' zero points: symmetric weights have 0, which is what absence means."""
    table = {i.name: i for i in graph.graph.initializer}
    for node in graph.graph.node:
        if node.op_type == "MatMulInteger" and len(node.input) == 4:
            zeros = table.get(node.input[3])
            if zeros is not None and not numpy_helper.to_array(zeros).any():
                del node.input[3]
    used = {name for node in graph.graph.node for name in node.input}
    for name, initializer in table.items():
        if name not in used:
            graph.graph.initializer.remove(initializer)


def quantize_products(graph: onnx.ModelProto, kept: Container[str] = ()) -> onnx.ModelProto:
    """The graph with int8 weights in every product but those with a constant of `kept`.

    The mel filters stay as they are.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    for n, node in enumerate(graph.graph.node):
        node.name = f"n{n}"
    excluded = [node.name for node in mel_products(graph)]
    excluded += [n.name for n in graph.graph.node if n.op_type == "MatMul" and n.input[1] in kept]
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a pre-processing that fuses MatMul away from int8
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
            onnx.save(graph, source)
            quantize_dynamic(
                source,
                target,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=excluded,
                extra_options={"MatMulConstBOnly": True},
            )
            small = onnx.load(target)
    finally:
        root.setLevel(level)
    _drop_zero_points(small)
    return small
