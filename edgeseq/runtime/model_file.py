"""Reading a model file of any kind without starting a runtime."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ManifestError
from ..manifest import Manifest
from . import esq_file, onnx_file

__all__ = ["BACKEND_OF", "read_manifest", "read_model"]

BACKEND_OF = {".onnx": "onnx", ".esq": "native"}
"""The backend that runs a file, by its suffix."""

LFS_START = b"version https://git-lfs"

MOST_BYTES = 512 * 2**20
"""Larger files are refused before they are read: the largest bundled model has 0.7 MB."""


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """The manifest of the model file at `path`; ManifestError says in a line what is wrong."""
    return read_model(path)[0]


def read_model(path: str | os.PathLike[str]) -> tuple[Manifest, memoryview]:
    """Manifest and program of a model file, from one reading of it.

    Returns:
        The manifest, and the bytes that its backend runs: the section of an .esq file, or the whole
        .onnx file.

    Raises:
        ManifestError: says in a line what is wrong with the file.
    """
    where = os.fspath(path)
    data = memoryview(_read_file(Path(path), where))
    if Path(path).suffix.lower() == ".esq":
        text, program = esq_file.unpack(data, where)
    else:
        text, program = onnx_file.manifest_text(data, where), data
    return Manifest.from_json(text, where), program


def _read_file(path: Path, where: str) -> bytes:
    if path.is_dir():
        raise ManifestError(f"{where}: is a directory, must be an .onnx or .esq file")
    if not path.exists():
        raise ManifestError(f"{where}: no such model file")
    if path.suffix.lower() not in BACKEND_OF:
        raise ManifestError(f"{where}: a model file must end in .onnx or .esq, not {path.suffix!r}")
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ManifestError(f"{where}: has {size:,} bytes; at most {MOST_BYTES:,} are allowed")
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
