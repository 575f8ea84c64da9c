"""Model files of the native engine for tests: small programs of every family, in .esq files."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from edgeseq.errors import ConfigError
from edgeseq.runtime import engine
from edgeseq_export.native import write_native
from tests.export.integer_models import checkpoint, program

ROOT = Path(__file__).parents[2]


@cache
def build_script() -> ModuleType:
    """firmware_sim/host/build.py, which is no part of any package."""
    path = ROOT / "firmware_sim" / "host" / "build.py"
    spec = spec_from_file_location("edgeseq_engine_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def need_engine() -> None:
    """Skip where this installation has no engine, which fails in CI; fail where it is another."""
    try:
        found = engine.build_digest()
    except ConfigError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    if found != build_script().digest():
        pytest.fail("the engine is older than its sources: python firmware_sim/host/build.py")


def native_file(folder: Path, name: str, chunk: int = 1) -> Path:
    """The .esq file of one of `integer_models.CONFIGS`."""
    need_engine()
    path = folder / f"{name}-{chunk}.esq"
    write_native(checkpoint(name), program(name), path, chunk)
    return path
