"""What can be said about a model file without starting a runtime.

An ONNX file is a protobuf message; the few fields that matter here are read directly, so that
showing a manifest needs neither onnx nor onnxruntime, and a wrong file gets a clear sentence
instead of a parser's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import ManifestError
from ..manifest import KEY, MOST_MANIFEST_BYTES

__all__ = ["Operators", "manifest_text", "operators"]

# Field numbers of onnx.proto (ONNX 1.x; they never change).
MODEL_IR, MODEL_GRAPH, MODEL_OPSET, MODEL_METADATA, MODEL_FUNCTION = 1, 7, 8, 14, 25
OPSET_DOMAIN, OPSET_VERSION = 1, 2
ENTRY_KEY, ENTRY_VALUE = 1, 2
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE_INITIALIZER = 1, 5, 15
NODE_TYPE, NODE_ATTRIBUTE, NODE_DOMAIN = 4, 5, 7
ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS, ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
SPARSE_PARTS = (1, 2)
TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION = 13, 14

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class _DamagedError(Exception):
    pass


class _RefusedError(Exception):
    pass


def manifest_text(data: memoryview, where: str) -> str:
    """The manifest that lies in the bytes of an ONNX file; `where` leads every message.

    Raises:
        ManifestError: damaged, not of edgeseq, or holding what a model of ours never holds.
    """
    try:
        text = _scan(data)
    except _DamagedError as error:
        raise ManifestError(
            f"{where}: is not an ONNX file, or is damaged ({error}); fetch or export it again"
        ) from None
    except _RefusedError as error:
        raise ManifestError(f"{where}: {error}") from None
    if text is None:
        raise ManifestError(
            f"{where}: has no metadata {KEY!r}, so it was not exported by edgeseq; make one with: "
            "edgeseq export"
        )
    return text


@dataclass(frozen=True, slots=True)
class Operators:
    """What a runtime must know to run a graph.

    Attributes:
        ir: version of the file format.
        opsets: version of each operator set by its domain; "" is ONNX itself.
        counts: how often each operator occurs, as `name`, or `domain.name` outside of ONNX.
    """

    ir: int
    opsets: dict[str, int]
    counts: dict[str, int]


def operators(data: memoryview, where: str) -> Operators:
    """The operators in the bytes of an ONNX file; ManifestError when it is damaged."""
    ir, opsets, counts = 0, dict[str, int](), Counter[str]()
    try:
        for number, value in _fields(data):
            if number == MODEL_IR and isinstance(value, int):
                ir = value
            elif number == MODEL_OPSET and isinstance(value, memoryview):
                entry = dict(_fields(value))
                version = entry.get(OPSET_VERSION)
                opsets[_text(entry.get(OPSET_DOMAIN))] = version if isinstance(version, int) else 0
            elif number == MODEL_GRAPH and isinstance(value, memoryview):
                for inner, node in _fields(value):
                    if inner == GRAPH_NODE and isinstance(node, memoryview):
                        parts = dict(_fields(node))
                        domain, name = _text(parts.get(NODE_DOMAIN)), _text(parts.get(NODE_TYPE))
                        counts[f"{domain}.{name}" if domain else name] += 1
    except (_DamagedError, _RefusedError) as error:
        raise ManifestError(f"{where}: is damaged ({error}); fetch or export it again") from None
    return Operators(ir, opsets, dict(sorted(counts.items())))


def _scan(data: memoryview) -> str | None:
    """The manifest text, if any; refuses what a model of ours never holds."""
    text, graphs = None, 0
    for number, value in _fields(data):
        if number == MODEL_FUNCTION:
            # Functions that call functions grow without bound when they are unrolled.
            raise _RefusedError("holds functions, which is not allowed; export it again")
        if number == MODEL_GRAPH and isinstance(value, memoryview):
            # A second graph is merged into the first by protobuf, so every one counts.
            graphs += 1
            _scan_graph(value)
        elif number == MODEL_METADATA and isinstance(value, memoryview):
            entry = dict(_fields(value))
            if _text(entry.get(ENTRY_KEY)) == KEY:
                text = _text(entry.get(ENTRY_VALUE))
    if not graphs:
        raise _DamagedError("it holds no graph")
    return text


def _scan_graph(graph: memoryview) -> None:
    for number, part in _fields(graph):
        if not isinstance(part, memoryview):
            continue
        if number == GRAPH_INITIALIZER:
            _scan_tensor(part)
        elif number == GRAPH_SPARSE_INITIALIZER:
            _scan_sparse(part)
        elif number == GRAPH_NODE:
            for inner, attribute in _fields(part):
                if inner == NODE_ATTRIBUTE and isinstance(attribute, memoryview):
                    _scan_attribute(attribute)


def _scan_attribute(attribute: memoryview) -> None:
    for number, value in _fields(attribute):
        if not isinstance(value, memoryview):
            continue
        if number in ATTRIBUTE_GRAPHS:
            # If, Loop and Scan: a loop may have no end.
            raise _RefusedError("holds loops or branches, which is not allowed; export it again")
        if number in ATTRIBUTE_TENSORS:
            _scan_tensor(value)
        elif number in ATTRIBUTE_SPARSE:
            _scan_sparse(value)


def _scan_sparse(sparse: memoryview) -> None:
    for number, tensor in _fields(sparse):
        if number in SPARSE_PARTS and isinstance(tensor, memoryview):
            _scan_tensor(tensor)


def _scan_tensor(tensor: memoryview) -> None:
    """Refuse values that lie in another file: its path could lead anywhere."""
    for number, value in _fields(tensor):
        if number == TENSOR_EXTERNAL_DATA or (number == TENSOR_DATA_LOCATION and value != 0):
            raise _RefusedError(
                "keeps weights in a second file (ONNX external data), which is not allowed; "
                "export it as one file"
            )


def _text(value: int | memoryview | None) -> str:
    if isinstance(value, memoryview) and len(value) > MOST_MANIFEST_BYTES:
        raise _RefusedError(
            f"has a text of {len(value):,} bytes; at most {MOST_MANIFEST_BYTES:,} are allowed"
        )
    try:
        return bytes(value).decode() if isinstance(value, memoryview) else ""
    except UnicodeDecodeError:
        raise _DamagedError("a text in it is not UTF-8") from None


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and values of one protobuf message; fixed-size numbers are given as bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if tag >= 1 << 32:
            # Other readers keep 32 bits of it and see another field than we do.
            raise _DamagedError(f"field number {number} at byte {at}")
        if wire == VARINT:
            whole, at = _varint(data, at)
            yield number, whole
            continue
        if wire == BYTES:
            size, at = _varint(data, at)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise _DamagedError(f"wire type {wire} at byte {at}")
        if number == 0 or at + size > len(data):
            raise _DamagedError(f"a field at byte {at} ends after the file")
        yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _DamagedError(f"a number at byte {at} has no end")
