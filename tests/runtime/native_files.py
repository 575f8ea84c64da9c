"""Model files of the native engine for tests: small programs of every family, in .esq files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeseq.errors import ConfigError
from edgeseq.runtime import engine
from edgeseq_export.native import write_native
from firmware_sim.host import build
from tests.export.integer_models import checkpoint, program


def need_engine() -> None:
    """Skip where this installation has no engine, which fails in CI; fail where it is another."""
    try:
        found = engine.build_digest()
    except ConfigError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    if found != build.digest():
        pytest.fail("the engine is older than its sources: python firmware_sim/host/build.py")


def native_file(folder: Path, name: str, chunk: int = 1) -> Path:
    """The .esq file of one of `integer_models.CONFIGS`."""
    need_engine()
    path = folder / f"{name}-{chunk}.esq"
    write_native(checkpoint(name), program(name), path, chunk)
    return path
