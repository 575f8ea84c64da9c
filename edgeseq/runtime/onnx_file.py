"""What can be said about a model file without starting a runtime.

An ONNX file is a protobuf message; the few fields that matter here are read directly, so that
showing a manifest needs neither onnx nor onnxruntime, and a wrong file gets a clear sentence
instead of a parser's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import ManifestError
from ..manifest import KEY, Manifest

__all__ = ["read_manifest"]

LFS_START = b"version https://git-lfs"

# Field numbers of onnx.proto (ONNX 1.x; they never change).
MODEL_GRAPH, MODEL_METADATA = 7, 14
ENTRY_KEY, ENTRY_VALUE = 1, 2
GRAPH_INITIALIZER = 5
TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION = 13, 14

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class _DamagedError(Exception):
    pass


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """The manifest of the model file at `path`; ManifestError says in a line what is wrong."""
    where = os.fspath(path)
    data = memoryview(_read_file(Path(path), where))
    try:
        text, external = _scan(data)
    except _DamagedError as error:
        raise ManifestError(
            f"{where}: is not an ONNX file, or is damaged ({error}); fetch or export it again"
        ) from None
    if external:
        raise ManifestError(
            f"{where}: keeps weights in a second file (ONNX external data), which is not allowed; "
            "export it as one file"
        )
    if text is None:
        raise ManifestError(
            f"{where}: has no metadata {KEY!r}, so it was not exported by edgeseq; make one with: "
            "edgeseq export"
        )
    return Manifest.from_json(text, where)


def _read_file(path: Path, where: str) -> bytes:
    if path.is_dir():
        raise ManifestError(f"{where}: is a directory, must be an .onnx file")
    if not path.exists():
        raise ManifestError(f"{where}: no such model file")
    if path.suffix.lower() != ".onnx":
        raise ManifestError(f"{where}: a model file must end in .onnx, not {path.suffix!r}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{where}: cannot be read: {error.strerror}") from None
    if not data:
        raise ManifestError(f"{where}: is empty; fetch or export it again")
    if data.startswith(LFS_START):
        raise ManifestError(
            f"{where}: is a Git LFS pointer, not the model itself; run: git lfs pull"
        )
    return data


def _scan(data: memoryview) -> tuple[str | None, bool]:
    """The manifest text, if any, and whether some weights lie outside the file."""
    text, graph = None, None
    for number, value in _fields(data):
        if number == MODEL_GRAPH and isinstance(value, memoryview):
            graph = value
        elif number == MODEL_METADATA and isinstance(value, memoryview):
            entry = dict(_fields(value))
            if _text(entry.get(ENTRY_KEY)) == KEY:
                text = _text(entry.get(ENTRY_VALUE))
    if graph is None:
        raise _DamagedError("it holds no graph")
    external = any(
        inner == TENSOR_EXTERNAL_DATA or (inner == TENSOR_DATA_LOCATION and where == 1)
        for number, tensor in _fields(graph)
        if number == GRAPH_INITIALIZER and isinstance(tensor, memoryview)
        for inner, where in _fields(tensor)
    )
    return text, external


def _text(value: int | memoryview | None) -> str:
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
