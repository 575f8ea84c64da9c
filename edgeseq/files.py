"""Writing files."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file that appears only when it is complete; OSError leaves what was there before.

    The umask takes from the permissions `mode`, as for any file.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(partial, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
