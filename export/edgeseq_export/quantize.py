"""int8 weights for every trained matrix of a step graph, asserted on what is in the file.

onnxruntime's dynamic quantizer turns `MatMul` with a constant into `MatMulInteger`. It passes over
what it does not know without a word (native GRU, Gemm after a fusion), so the result is counted.
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from edgeseq.errors import ExportError

from .graph import clean

__all__ = ["SCHEMES", "OpCount", "count_ops", "narrow_filters", "quantize"]

SCHEMES = ("none", "int8")
MEL_OP_TYPES = ("Log",)
WIDENING = ("Cast", "Mul")
FLOAT = onnx.TensorProto.FLOAT


@dataclass(frozen=True, slots=True)
class OpCount:
    """How the matrix products of a graph are computed, and the bytes of all constants.

    Attributes:
        integer: products with int8 weights.
        float_weights: products with a float constant.
        activations: products of two activations (attention), which have no weights.
        weight_bytes: bytes of all constants in the file.
    """

    integer: int
    float_weights: int
    activations: int
    weight_bytes: int


def count_ops(graph: onnx.ModelProto) -> OpCount:
    """Count the matrix products of a graph by kind."""
    constants = {i.name for i in graph.graph.initializer}
    # A constant that is stored narrower and widened when the file is loaded is a constant still.
    for node in graph.graph.node:
        if node.op_type in WIDENING and set(node.input) <= constants:
            constants.add(node.output[0])
    kinds: Counter[str] = Counter()
    for node in graph.graph.node:
        if node.op_type in ("MatMulInteger", "DynamicQuantizeMatMul"):
            kinds["integer"] += 1
        elif node.op_type in ("MatMul", "Gemm"):
            kinds["float" if node.input[1] in constants else "activations"] += 1
    size = sum(len(numpy_helper.to_array(i).tobytes()) for i in graph.graph.initializer)
    return OpCount(kinds["integer"], kinds["float"], kinds["activations"], size)


def _mel_products(graph: onnx.ModelProto) -> list[onnx.NodeProto]:
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


def narrow_filters(graph: onnx.ModelProto, scheme: str) -> None:
    """Store the mel filters in fewer bytes; they are widened once, when the file is loaded.

    As float16 a weight moves by at most 2^-11 of itself, 0.004 dB. With the scheme int8 each band
    has one scale, and a weight moves by at most 1/254 of the band's greatest.
    """
    for node in _mel_products(graph):
        table = next(i for i in graph.graph.initializer if i.name == node.input[1])
        filters, wide = numpy_helper.to_array(table), table.name
        graph.graph.initializer.remove(table)
        if scheme == "none":
            narrow = numpy_helper.from_array(filters.astype(np.float16), wide + "n")
            nodes = [onnx.helper.make_node("Cast", [narrow.name], [wide], to=FLOAT)]
        else:
            scale = filters.max(axis=0, keepdims=True) / np.float32(127)
            narrow = numpy_helper.from_array(np.rint(filters / scale).astype(np.int8), wide + "n")
            scales = numpy_helper.from_array(scale, wide + "s")
            graph.graph.initializer.append(scales)
            nodes = [
                onnx.helper.make_node("Cast", [narrow.name], [wide + "c"], to=FLOAT),
                onnx.helper.make_node("Mul", [wide + "c", scales.name], [wide]),
            ]
        graph.graph.initializer.append(narrow)
        for n, made in enumerate(nodes):
            graph.graph.node.insert(n, made)


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


def quantize(graph: onnx.ModelProto, scheme: str) -> onnx.ModelProto:
    """The graph with its weights stored as `scheme` says.

    Raises:
        ExportError: the scheme is unknown, or a trained matrix is still float afterwards.
    """
    if scheme not in SCHEMES:
        raise ExportError(f"quantization {scheme!r} is unknown; allowed: {', '.join(SCHEMES)}")
    if scheme == "none":
        return graph
    from onnxruntime.quantization import QuantType, quantize_dynamic

    before = count_ops(graph)
    for n, node in enumerate(graph.graph.node):
        node.name = f"n{n}"
    kept = [node.name for node in _mel_products(graph)]
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
                nodes_to_exclude=kept,
                extra_options={"MatMulConstBOnly": True},
            )
            small = onnx.load(target)
    finally:
        root.setLevel(level)
    _drop_zero_points(small)
    after = count_ops(small)
    if after.float_weights != len(kept) or after.integer != before.float_weights - len(kept):
        raise ExportError(
            f"int8 quantization left {after.float_weights - len(kept)} of "
            f"{before.float_weights - len(kept)} trained matrices in float"
        )
    return clean(small)
