"""What the profile knows of each backend: a new one of Session is one entry here."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..manifest import Manifest
from ..runtime import read_manifest
from ..runtime.backend import Array
from ..runtime.model_file import BACKEND_OF

__all__ = ["EAGER", "KNOWN", "Known", "Shares", "available", "known", "runs"]

Shares = list[dict[str, object]]
"""For each kind of operator `{"operator", "calls", "share"}`, the greatest share first."""


@dataclass(frozen=True, slots=True)
class Known:
    """A backend, as the profile sees it.

    Attributes:
        libraries: modules that it loads, whose import is timed apart from the model's loading.
        operators: shares of the operators of a file over some chunks `x`; None where it cannot say.
    """

    libraries: tuple[str, ...] = ()
    operators: Callable[[str, int, Sequence[Array]], Shares] | None = None


def onnx_operators(path: str, threads: int, xs: Sequence[Array]) -> Shares:
    """Shares by onnxruntime's own profile, which counts whole microseconds a call.

    The profile makes steps slower, so it is a run of its own and only shares are kept.
    """
    import onnxruntime as ort

    manifest = read_manifest(path)
    with tempfile.TemporaryDirectory(prefix="edgeseq") as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.enable_profiling = True
        options.profile_file_prefix = os.path.join(folder, "steps")
        options.log_severity_level = 4
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        _run(session, manifest, xs)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    spent: dict[str, list[int]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent.setdefault(event["args"]["op_name"], []).append(int(event["dur"]))
    total = sum(map(sum, spent.values())) or 1
    rows = sorted(spent.items(), key=lambda item: -sum(item[1]))
    return [
        {"operator": name, "calls": len(times), "share": sum(times) / total} for name, times in rows
    ]


def _run(session: object, manifest: Manifest, xs: Sequence[Array]) -> None:
    names = manifest.state_spec.names
    state = manifest.state_spec.zeros()
    fetch = ["y", *(f"next_state.{name}" for name in names)]
    run = session.run  # type: ignore[attr-defined]
    for x in xs:
        feed = {f"state.{name}": value for name, value in state.items()}
        _, *after = run(fetch, {"x": x, **feed})
        state = dict(zip(names, after, strict=True))


KNOWN: dict[str, Known] = {
    "onnx": Known(("onnxruntime",), onnx_operators),
    "torch": Known(("torch", "safetensors")),
    "torch-cuda": Known(("torch", "safetensors")),
}

EAGER = "torch"
"""No backend of Session: the model itself, see eager.py. torch-cuda comes with it."""


def available() -> tuple[str, ...]:
    """Every backend that can be asked for: those of Session, and torch."""
    return (*BACKEND_OF.values(), EAGER)


def runs(backend: str, path: str) -> bool:
    """Whether a backend is for a file of that name."""
    own = BACKEND_OF.get(Path(path).suffix.lower(), "onnx")
    return backend == own or (backend == EAGER and own == "onnx")


def known(name: str) -> Known:
    """What is known of backend `name`; ConfigError when there is none of this name."""
    if name not in (*available(), *KNOWN):
        raise ConfigError(f"backend is {name!r}, must be one of {', '.join(available())}")
    return KNOWN.get(name, Known())
