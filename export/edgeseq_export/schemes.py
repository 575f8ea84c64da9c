"""Step graphs whose weights are stored as a plan says, weight by weight.

A pass that silently passes over an operator is the usual fault of quantizers, so each weight is
looked up in the graph that comes out (`_check`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from edgeseq.errors import ExportError

from .blocks4 import Rounder, block_size, pack
from .graph import clean
from .quantize import MEL_OP_TYPES, count_ops, mel_products, narrow_filters, quantize_products
from .weights import Weight, find_weights

__all__ = ["FORMS", "SCHEMES", "apply_plan", "plan_for", "quantize", "widen_filters"]

SCHEMES = {
    "none": "float", "fp16": "fp16", "int8": "int8", "int8-static": "static", "int4": "int4",
}  # fmt: skip
"""Schemes that store every weight in one form, as far as it can be."""

FORMS = ("float", "fp16", "int8", "static", "int4")
"""How one weight can be stored; `static` is int8 with a fixed scale of what it multiplies."""

FLOAT, CONTRIB = onnx.TensorProto.FLOAT, "com.microsoft"

LEAST_NARROWED = 16
"""Shorter vectors save less than the operator that widens them takes."""

HALF_ERROR = 2.0**-10

STORED = {
    "float": ("", np.float32, 4.0),
    "fp16": ("n", np.float16, 2.0),
    "int8": ("_quantized", np.int8, 1.0),
    "static": ("q", np.int8, 1.0),
    "int4": ("q", np.uint8, 0.5),
}
"""What a form adds to the name of a constant, its type, and its bytes a weight."""

Plan = Mapping[str, str]


def plan_for(weights: Sequence[Weight], form: str) -> dict[str, str]:
    """The plan that stores every weight in one form.

    Look-up tables have int8 in place of int4, and scales that are fixed for no product that
    multiplies a state: what a stream makes of a state is not in any calibration.
    """
    plan = {}
    for w in weights:
        scaled = form == "static" and (w.recurrent or w.kind == "table")
        plan[w.name] = "int8" if scaled or (form == "int4" and w.kind == "table") else form
    return plan


def widen_filters(graph: onnx.ModelProto) -> None:
    """Undo `narrow_filters` of a float file, so that they can be narrowed in another way."""
    table = {i.name: i for i in graph.graph.initializer}
    for node in [n for n in graph.graph.node if n.op_type == "Cast" and n.input[0] in table]:
        narrow = table[node.input[0]]
        wide = numpy_helper.to_array(narrow).astype(np.float32)
        graph.graph.node.remove(node)
        graph.graph.initializer.remove(narrow)
        graph.graph.initializer.append(numpy_helper.from_array(wide, node.output[0]))


def apply_plan(
    full: onnx.ModelProto, weights: Sequence[Weight], plan: Plan, rounder: Rounder | None = None
) -> onnx.ModelProto:
    """A copy of the float graph `full` with each weight in the form that the plan gives it.

    Args:
        full: the float graph, with wide mel filters.
        weights: its trained matrices.
        plan: a form of FORMS by the name of the weight.
        rounder: rounds weights to four bits; without one, to the nearest.

    Raises:
        ExportError: a form that a weight cannot have, or a weight that is not in its form.
    """
    for w in weights:
        allowed = FORMS if w.kind == "product" else ("float", "fp16", "int8")
        if plan.get(w.name) not in allowed:
            raise ExportError(
                f"{w.name} cannot be stored as {plan.get(w.name)!r}; allowed: {', '.join(allowed)}"
            )
    rounder = rounder or Rounder()
    graph = onnx.ModelProto()
    graph.CopyFrom(full)
    chosen = {w.tensor: plan[w.name] for w in weights}
    if set(chosen.values()) == {"float"}:
        narrow_filters(graph, sparse=False)
        return clean(graph)
    narrow_filters(graph, sparse=True)
    kept = _norms(graph)
    for w in weights:
        if plan[w.name] == "int4":
            _into_blocks(graph, w, rounder)
        elif plan[w.name] == "static":
            _into_static(graph, w, rounder)
        elif plan[w.name] == "int8" and w.kind == "table":
            _into_rows(graph, w)
    if any(plan[w.name] == "int8" for w in weights if w.kind == "product"):
        others = {w.tensor for w in weights if plan[w.name] != "int8"}
        graph = quantize_products(graph, others)
    _narrow_floats(graph, kept | {w.tensor for w in weights if plan[w.name] == "float"})
    _check(full, graph, weights, plan)
    return clean(graph)


def _norms(graph: onnx.ModelProto) -> set[str]:
    """Mean and scale of the features, which the operators behind the logarithm use.

    As float16 a mean would be off by 0.2 % of a deviation, for a few bytes. The window before the
    logarithm may be float16: what that adds to a spectrum is 100 dB below it.
    """
    nodes = list(graph.graph.node)
    logs = [n for n, node in enumerate(nodes) if node.op_type in MEL_OP_TYPES]
    return {name for n in logs for node in nodes[n : n + 3] for name in node.input}


def _into_blocks(graph: onnx.ModelProto, weight: Weight, rounder: Rounder) -> None:
    """Every product with `weight` as MatMulNBits; its scales lie in the file as float16."""
    stored = _take(graph, weight.tensor)
    block = block_size(weight.shape[0])
    whole, scales = rounder.round(weight.name, stored.T)
    small, wide = f"{weight.tensor}q", f"{weight.tensor}s"
    graph.graph.initializer.append(numpy_helper.from_array(pack(whole, block), small))
    graph.graph.initializer.append(
        numpy_helper.from_array(scales.reshape(-1).astype(np.float16), f"{wide}n")
    )
    for n, node in enumerate(graph.graph.node):
        if node.op_type == "MatMul" and node.input[1] == weight.tensor:
            made = helper.make_node(
                "MatMulNBits",
                [node.input[0], small, wide],
                list(node.output),
                domain=CONTRIB,
                K=weight.shape[0],
                N=weight.shape[1],
                bits=4,
                block_size=block,
                # Activations of eight bits: without it a step takes twice as long.
                accuracy_level=4,
            )
            graph.graph.node.remove(node)
            graph.graph.node.insert(n, made)
    graph.graph.node.insert(0, helper.make_node("Cast", [f"{wide}n"], [wide], to=FLOAT))
    if CONTRIB not in {entry.domain for entry in graph.opset_import}:
        graph.opset_import.append(helper.make_opsetid(CONTRIB, 1))


def _into_static(graph: onnx.ModelProto, weight: Weight, rounder: Rounder) -> None:
    """Every product with `weight` in integers: uint8 inputs with one scale, one a column of it.

    The integer operators themselves, not a float product between QuantizeLinear and
    DequantizeLinear: onnxruntime 1.32 first makes a Gemm of product and bias, and then computes
    that in float, from weights widened in every step.
    """
    inputs = rounder.inputs(weight.name)
    if inputs is None:
        raise ExportError(f"{weight.name}: int8-static needs calibration input")
    stored = _take(graph, weight.tensor)
    largest = np.abs(stored).max(axis=0)
    scales = np.where(largest > 0, largest, 1.0).astype(np.float32) / np.float32(127)
    scale, zero = activation_scale(inputs)
    t = weight.tensor
    for name, values in (
        ("q", np.rint(stored / scales).astype(np.int8)),
        ("s", np.asarray(scales * np.float32(scale))),
        ("a", np.asarray(scale, np.float32)),
        ("b", np.asarray(zero, np.uint8)),
    ):
        graph.graph.initializer.append(numpy_helper.from_array(values, t + name))
    users = [n for n in graph.graph.node if n.op_type == "MatMul" and n.input[1] == t]
    for number, node in enumerate(users):
        at, mark = list(graph.graph.node).index(node), f"{t}u{number}"
        graph.graph.node.remove(node)
        for made in (
            helper.make_node("Mul", [mark + "f", t + "s"], list(node.output)),
            helper.make_node("Cast", [mark + "i"], [mark + "f"], to=FLOAT),
            helper.make_node("MatMulInteger", [mark + "x", t + "q", t + "b"], [mark + "i"]),
            helper.make_node("QuantizeLinear", [node.input[0], t + "a", t + "b"], [mark + "x"]),
        ):
            graph.graph.node.insert(at, made)


def activation_scale(values: npt.NDArray[np.float32]) -> tuple[float, int]:
    """Scale and zero point of uint8 with the least squared error over `values`."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    best, least = (1.0, 0), np.inf
    for share in np.linspace(0.4, 1.0, 25):
        scale = (high - low) * share / 255 or 1.0
        zero = int(np.clip(np.rint(-low * share / scale), 0, 255))
        rounded = (np.clip(np.rint(values / scale) + zero, 0, 255) - zero) * scale
        error = float(np.square(rounded - values).mean())
        if error < least:
            best, least = (scale, zero), error
    return best


def _into_rows(graph: onnx.ModelProto, weight: Weight) -> None:
    """A look-up table in int8 with one scale a column, widened after the look-up."""
    stored = _take(graph, weight.tensor)
    largest = np.abs(stored).max(axis=0)
    scales = np.where(largest > 0, largest, 1.0).astype(np.float32) / np.float32(127)
    whole = np.rint(stored / scales).astype(np.int8)
    small, wide = f"{weight.tensor}q", f"{weight.tensor}s"
    graph.graph.initializer.append(numpy_helper.from_array(whole, small))
    graph.graph.initializer.append(numpy_helper.from_array(scales, wide))
    users = [n for n in graph.graph.node if n.op_type == "Gather" and n.input[0] == weight.tensor]
    for node in users:
        at, out = list(graph.graph.node).index(node), node.output[0]
        node.input[0], node.output[0] = small, f"{out}q"
        for made in (
            helper.make_node("Mul", [f"{out}w", wide], [out]),
            helper.make_node("Cast", [f"{out}q"], [f"{out}w"], to=FLOAT),
        ):
            graph.graph.node.insert(at + 1, made)


def _take(graph: onnx.ModelProto, name: str) -> npt.NDArray[np.float32]:
    """The values of a constant, which leaves the graph."""
    constant = next(i for i in graph.graph.initializer if i.name == name)
    values = numpy_helper.to_array(constant)
    graph.graph.initializer.remove(constant)
    return np.asarray(values, np.float32)


def _narrow_floats(graph: onnx.ModelProto, kept: set[str]) -> None:
    """Store constants as float16 where that loses nothing; loading the file widens them."""
    for constant in list(graph.graph.initializer):
        values = numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < LEAST_NARROWED or constant.name in kept:
            continue
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if np.abs(half.astype(np.float32) - values).max() > HALF_ERROR * np.abs(values).max():
            continue
        narrow = numpy_helper.from_array(half, f"{constant.name}n")
        cast = helper.make_node("Cast", [narrow.name], [constant.name], to=FLOAT)
        graph.graph.initializer.remove(constant)
        graph.graph.initializer.append(narrow)
        graph.graph.node.insert(0, cast)


def _check(
    full: onnx.ModelProto, graph: onnx.ModelProto, weights: Sequence[Weight], plan: Plan
) -> None:
    """Raise ExportError unless every use of a weight is by the operator that its form needs.

    What a weight is used by in `full` is counted, and must be found in `graph` form by form. With
    a chunk of several frames a recurrent weight has several users.
    """
    uses = Counter(n.input[1] for n in full.graph.node if n.op_type == "MatMul")
    wanted: Counter[str] = Counter()
    for w in weights:
        if w.kind == "product":
            wanted[plan[w.name]] += uses[w.tensor]
    # The product with the mel filters is float in every scheme.
    wanted["float"] += len(mel_products(full))
    ops = count_ops(graph)
    wanted["int8"] += wanted.pop("static", 0)
    found = {"int8": ops.int8, "int4": ops.int4, "float": ops.float_weights}
    wanted["float"] += wanted.pop("fp16", 0)
    for form, count in found.items():
        if wanted[form] != count:
            raise ExportError(
                f"quantization gave {count} {form} products where {wanted[form]} were wanted; "
                "this version of onnxruntime or onnx may have changed: please report it"
            )
    table = {i.name: numpy_helper.to_array(i) for i in graph.graph.initializer}
    for w in weights:
        name, dtype, share = STORED[plan[w.name]]
        if w.kind == "table" and plan[w.name] == "int8":
            name = "q"
        stored = table.get(w.tensor + name)
        if stored is None or stored.dtype != dtype or stored.nbytes < w.count * share:
            what = "nothing" if stored is None else f"{stored.nbytes:,} bytes of {stored.dtype}"
            raise ExportError(
                f"quantization left {what} where {w.name} should lie as {plan[w.name]}; this "
                "version of onnxruntime or onnx may have changed: please report it"
            )
        if w.tensor + name != w.tensor and w.tensor in table:
            raise ExportError(f"quantization left {w.name} in float as well: please report it")


def quantize(
    full: onnx.ModelProto, scheme: str, config: object = None, rounder: Rounder | None = None
) -> onnx.ModelProto:
    """The float graph with all its weights stored in one way.

    Args:
        full: the float graph, with wide mel filters.
        scheme: one of SCHEMES.
        config: the model config of the manifest, which names the weights in messages.
        rounder: rounds weights to four bits; without one, to the nearest.

    Raises:
        ExportError: the scheme is unknown, or a weight is not stored as it should be afterwards.
    """
    if scheme not in SCHEMES:
        raise ExportError(f"quantization {scheme!r} is unknown; allowed: {', '.join(SCHEMES)}")
    weights = find_weights(full, config)
    return apply_plan(full, weights, plan_for(weights, SCHEMES[scheme]), rounder)
