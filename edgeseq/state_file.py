"""A saved state as a file: JSON with the arrays in base64, never code."""

from __future__ import annotations

import base64
import binascii
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ManifestError, StateError
from .files import write_whole
from .spec import DTYPES
from .strict import parse_object

__all__ = ["MOST_FILE_BYTES", "read_state", "write_state"]

FORMAT = 1
ARRAY = "array"
"""Key that marks an array among plain values: `{"array": dtype, "shape": [], "data": base64}`."""

MOST_FILE_BYTES = 96 * 2**20
"""What a state of the largest model that is allowed takes in base64."""


def write_state(path: Path, model: str, kind: str, values: Mapping[str, Any]) -> None:
    """Write `values` (arrays, and plain JSON values, nested), whole or not at all.

    Args:
        path: the file; readable by its owner only, since a state holds traces of what was read.
        model: `Session.digest` of the model that the state belongs to.
        kind: what the values are, such as "text".
        values: what `read_state` is to give.

    Raises:
        StateError: the file cannot be written.
    """
    document = {"edgeseq_state": FORMAT, "kind": kind, "model": model, "values": _plain(values)}
    try:
        write_whole(path, json.dumps(document).encode(), mode=0o600)
    except OSError as error:
        raise StateError(f"{path}: cannot be written: {error.strerror or error}") from error


def read_state(path: Path, model: str, kind: str) -> dict[str, Any]:
    """The values of a file that `write_state` wrote for the same model and kind.

    Raises:
        StateError: the file is missing, damaged, too large, or of another model or kind.
    """
    try:
        size = os.stat(path).st_size
        if size > MOST_FILE_BYTES:
            raise StateError(f"{path}: has {size:,} bytes; a state has at most {MOST_FILE_BYTES:,}")
        text = path.read_bytes().decode()
    except OSError as error:
        raise StateError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise StateError(f"{path}: is no saved state of edgeseq") from None
    try:
        fields = parse_object(text, str(path))
        number, found_kind = fields.whole("edgeseq_state"), fields.text("kind")
        found, values = fields.text("model"), fields.mapping("values")
        fields.done()
    except ManifestError as error:
        raise StateError(f"{error}; it is no saved state of edgeseq") from None
    if number != FORMAT:
        raise StateError(f"{path}: is of format {number}, this version reads {FORMAT}")
    if found_kind != kind:
        raise StateError(f"{path}: the state holds {found_kind!r}, not {kind!r}")
    if found != model:
        raise StateError(f"{path}: belongs to another model; use the file that it was saved with")
    try:
        return {key: _restored(value, f"{path}: {key}") for key, value in values.items()}
    except RecursionError:
        raise StateError(f"{path}: is nested too deeply for a saved state") from None


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        little = value.astype(value.dtype.newbyteorder("<"))
        data = base64.b64encode(little.tobytes()).decode()
        return {ARRAY: value.dtype.name, "shape": list(value.shape), "data": data}
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _restored(value: Any, where: str) -> Any:
    if isinstance(value, list):
        return [_restored(part, f"{where}[{i}]") for i, part in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if ARRAY not in value:
        return {key: _restored(part, f"{where}: {key}") for key, part in value.items()}
    return _array(value, where)


def _array(value: Any, where: str) -> Any:
    dtype, shape, data = value[ARRAY], value.get("shape"), value.get("data")
    sound = (
        len(value) == 3
        and dtype in DTYPES
        and isinstance(shape, list)
        and all(type(n) is int and n >= 0 for n in shape)
        and isinstance(data, str)
    )
    if not sound:
        raise StateError(f"{where}: is no array of {', '.join(DTYPES)}")
    try:
        flat = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise StateError(f"{where}: data is not base64") from None
    stored = np.dtype(dtype).newbyteorder("<")
    if len(flat) != math.prod(shape) * stored.itemsize:
        raise StateError(f"{where}: {len(flat)} bytes do not hold {dtype}{shape}")
    try:
        return np.frombuffer(flat, stored).astype(dtype).reshape(shape)
    except ValueError:
        # More axes than numpy has, or a product beyond 64 bits beside a 0.
        raise StateError(f"{where}: no array has the shape {shape}") from None
