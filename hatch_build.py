"""Compiles the engine into the wheel where there is a C compiler; without one the wheel is pure.

Wheels also bring the engine's C sources, which `edgeseq simulate` compiles for other processors.

With EDGESEQ_REQUIRE_ENGINE=1 a build without the engine fails, as a build for publishing must.
"""

from __future__ import annotations

import os
import sysconfig
import tempfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class EngineHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds edgeseq/_engine.abi3.so, and makes the wheel one of this platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile: into the checkout for an editable install, else into the wheel."""
        editable = version == "editable"
        if not editable:
            # What `edgeseq simulate` compiles; a checkout has it in firmware_sim itself.
            for folder in ("include", "src", "port"):
                source = Path(self.root, "firmware_sim", folder)
                build_data["force_include"][str(source)] = f"edgeseq/_firmware/{folder}"
        build = _build_script(Path(self.root))
        command = build.compiler()
        if command is None:
            self._without("no C compiler was found")
            return
        # Kept until finalize: the wheel is written in between.
        self._folder = tempfile.TemporaryDirectory(prefix="edgeseq-engine-")
        out = build.OUT if editable else Path(self._folder.name) / build.OUT.name
        try:
            build.compile_library(out, command)
        except RuntimeError as error:
            self._without(str(error))
            return
        if not editable:
            build_data["force_include"][str(out)] = f"edgeseq/{build.OUT.name}"
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled on the way."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()

    def _without(self, reason: str) -> None:
        if os.environ.get("EDGESEQ_REQUIRE_ENGINE") == "1":
            raise RuntimeError(f"the engine cannot be compiled: {reason}")
        self.app.display_warning(f"edgeseq without the native engine: {reason}")


def _build_script(root: Path) -> ModuleType:
    """firmware_sim/host/build.py, which is no part of any package."""
    path = root / "firmware_sim" / "host" / "build.py"
    spec = spec_from_file_location("edgeseq_engine_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
