"""`edgeseq info`: what a model file says about itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..assets import resolve
from ..manifest import Manifest
from ..runtime import read_manifest
from ..runtime.onnx_file import operators
from ..spec import TensorSpec
from .lines import visible


@click.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="The manifest and what follows from it.")
def command(model: str, as_json: bool) -> None:
    """Show the contract of MODEL: a file, or the name of a bundled model.

    Only the file is read; no runtime is started.
    """
    path = resolve(model)
    manifest = read_manifest(path)
    facts = _facts(path, manifest)
    facts["operators"] = None
    if path.suffix == ".onnx":
        facts["operators"] = asdict(operators(memoryview(path.read_bytes()), str(path)))
    if as_json:
        document = json.loads(manifest.to_json())
        for tensor in ("x", "y"):
            # Thousands of characters of base64, which say nothing to a reader.
            del document["golden"][tensor]["data"]
        print(json.dumps({**facts, "manifest": document}))
        return
    rows = _rows(manifest, facts)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}  {visible(value)}" if name else "")


def _facts(path: Path, manifest: Manifest) -> dict[str, Any]:
    """What is not in the manifest but follows from it and the file."""
    timing = manifest.timing
    rate = timing.sample_rate
    return {
        "path": str(path),
        "file_bytes": path.stat().st_size,
        "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "state_bytes": manifest.state_spec.nbytes(),
        "hop_ms": timing.seconds(timing.hop) * 1000 if rate else None,
        "window_ms": timing.seconds(timing.window) * 1000 if rate else None,
        "step_ms": timing.step_seconds * 1000 if rate else None,
        "algorithmic_latency_ms": timing.algorithmic_latency * 1000 if rate else None,
        "macs_per_step": manifest.macs_per_frame * timing.chunk,
        "macs_per_second": round(manifest.macs_per_frame * rate / timing.hop) if rate else None,
    }


def _rows(manifest: Manifest, facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values; an empty name is an empty line."""
    timing, weights, origin = manifest.timing, manifest.quantization, manifest.provenance
    blank = ("", "")
    rows = [
        ("name", manifest.name),
        ("task", manifest.task),
        ("family", manifest.family),
        ("labels", ", ".join(manifest.labels) or "256 byte values"),
        blank,
        *_timing(manifest, facts),
        ("left context", _frames(timing.left_context)),
        blank,
        *_tensors("input", manifest.inputs),
        *_tensors("output", manifest.outputs),
        *_tensors("state", tuple(manifest.state_spec)),
        ("state bytes", f"{facts['state_bytes']:,}"),
        blank,
        ("parameters", f"{manifest.parameters:,}"),
        ("MACs", _macs(facts)),
        (
            "quantization",
            f"{weights.scheme}: {weights.integer_ops} integer and {weights.float_ops} float "
            f"matrix products, {weights.weight_bytes:,} weight bytes",
        ),
        ("decoding", _decoding(asdict(manifest.decoding))),
        blank,
        *_operators(facts["operators"]),
        ("licence", origin.licence),
        ("made by", f"{origin.created_by}, edgeseq {origin.edgeseq}"),
    ]
    rows += [("data", f"{d.name} ({d.licence}): {d.attribution}") for d in origin.data]
    rows += [
        ("config SHA-256", origin.config_sha256),
        ("file SHA-256", facts["file_sha256"]),
        ("file", f"{facts['path']}, {facts['file_bytes']:,} bytes, format {manifest.format}"),
    ]
    return rows


def _timing(manifest: Manifest, facts: dict[str, Any]) -> list[tuple[str, str]]:
    timing = manifest.timing
    if timing.sample_rate is None:
        return [("step", f"{timing.step_samples} byte{'s' if timing.step_samples > 1 else ''}")]
    return [
        ("sample rate", f"{timing.sample_rate:,} Hz"),
        ("hop", f"{facts['hop_ms']:g} ms ({timing.hop} samples)"),
        ("window", f"{facts['window_ms']:g} ms ({timing.window} samples)"),
        ("step", f"{facts['step_ms']:g} ms ({_frames(timing.chunk)})"),
        ("lookahead", _frames(timing.lookahead)),
        ("subsampling", str(timing.subsampling)),
        ("algorithmic latency", f"{facts['algorithmic_latency_ms']:g} ms, compute not counted"),
    ]


def _frames(count: int | None) -> str:
    if count is None:
        return "everything (a recurrence)"
    return f"{count} frame{'' if count == 1 else 's'}"


def _tensors(kind: str, tensors: Sequence[TensorSpec]) -> list[tuple[str, str]]:
    rows = []
    for tensor in tensors:
        shape = ", ".join(str(axis) for axis in tensor.bound(1))
        fill = f", begins as {tensor.fill:g}" if kind == "state" else ""
        rows.append(
            (kind, f"{tensor.name}  {tensor.dtype}[{shape}]  {tensor.nbytes():,} bytes{fill}")
        )
    return rows


def _macs(facts: dict[str, Any]) -> str:
    second = facts["macs_per_second"]
    per_second = "" if second is None else f", {second:,} per second"
    return f"{facts['macs_per_step']:,} per step{per_second}"


def _operators(found: dict[str, Any] | None) -> list[tuple[str, str]]:
    """What a runtime, or a build with fewer operators, must offer."""
    if found is None:
        return []
    sets = [f"{domain or 'ONNX'} opset {version}" for domain, version in found["opsets"].items()]
    return [
        ("needs", f"{', '.join(sets)}; IR version {found['ir']}"),
        ("operators", ", ".join(f"{name} {n}" for name, n in found["counts"].items())),
        ("", ""),
    ]


def _decoding(settings: dict[str, Any]) -> str:
    thresholds = settings.pop("thresholds", {})
    parts = [f"{label} above {value:g}" for label, value in thresholds.items()]
    return ", ".join(parts + [f"{key} {value:g}" for key, value in settings.items()])
