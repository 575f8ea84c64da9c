"""Puts graph, manifest and golden into one file."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from edgeseq import __version__
from edgeseq.decoding import fill_decoding
from edgeseq.errors import ExportError
from edgeseq.files import write_whole
from edgeseq.manifest import (
    KEY,
    DataSource,
    Golden,
    GoldenTensor,
    Manifest,
    Provenance,
    Quantization,
    config_digest,
)
from edgeseq.models import Chain
from edgeseq.runtime import read_manifest
from edgeseq.spec import State, StateSpec, TensorSpec
from edgeseq.training.checkpoint import Checkpoint

from .gates import check_scheme, check_streaming
from .graph import INPUT, NEXT_STATE, OUTPUT, STATE, export_graph
from .integer import calibration_input
from .quantize import count_ops
from .schemes import quantize

__all__ = [
    "export", "golden_input", "golden_tolerance", "make_golden", "make_manifest", "run_steps",
    "set_decoding", "stored_as", "write_model",
]  # fmt: skip

GOLDEN_STEPS = 4
GOLDEN_SEED = 20
PROBE_FRAMES = 400
INT8_TOLERANCE, FLOAT_TOLERANCE = 0.05, 1e-3


def run_steps(
    graph: onnx.ModelProto, x: npt.NDArray[Any], state: State
) -> tuple[npt.NDArray[np.float32], list[State]]:
    """Run a step graph in onnxruntime over `x` `[steps, 1, chunk, D]`; outputs and every state."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    outputs, states = [], []
    for step in x:
        feeds = {STATE + name: value for name, value in state.items()} | {INPUT: step}
        names = [OUTPUT, *(NEXT_STATE + name for name in state)]
        y, *after = session.run(names, feeds)
        state = dict(zip(state, after, strict=True))
        outputs.append(y)
        states.append(state)
    return np.concatenate(outputs, axis=1), states


def export(checkpoint: Checkpoint, path: Path, scheme: str = "int8", chunk: int = 1) -> Manifest:
    """Write the ONNX file of a checkpoint; it appears only when it is complete and checked.

    Args:
        checkpoint: what to export.
        path: the file to write.
        scheme: `int8` or `none` (float32).
        chunk: frames that one step takes.

    Raises:
        ExportError: the model cannot be exported or quantized as asked.
    """
    if path.suffix != ".onnx":
        raise ExportError(f"{path}: the file to write must end in .onnx")
    model = checkpoint.model
    check_streaming(model, chunk)
    full = export_graph(model, chunk)
    graph = quantize(full, scheme, checkpoint.config.as_dict())
    if scheme != "none":
        x = real_steps(model, chunk)
        start = model.state_spec.zeros(1)
        check_scheme(run_steps(full, x, start)[0], run_steps(graph, x, start)[0], scheme)
    x = golden_input(model.timing.sample_rate is None, model.input_dim, chunk)
    y, _ = run_steps(graph, x, model.state_spec.zeros(1))
    golden = make_golden(np.concatenate(list(x), axis=1), y, golden_tolerance(scheme))
    stored = stored_as(graph, scheme)
    manifest = make_manifest(checkpoint, chunk, model.state_spec, stored, golden)
    write_model(graph, manifest, path)
    return manifest


def write_model(graph: onnx.ModelProto, manifest: Manifest, path: Path) -> None:
    """Write one file of a graph and its manifest; equal ones give equal bytes."""
    entry = graph.metadata_props.add()
    entry.key, entry.value = KEY, manifest.to_json()
    onnx.checker.check_model(graph)
    write_whole(path, graph.SerializeToString(deterministic=True))


def stored_as(graph: onnx.ModelProto, scheme: str) -> Quantization:
    """What a manifest says about the weights of a graph."""
    ops = count_ops(graph)
    return Quantization(scheme, ops.integer, ops.float_weights + ops.activations, ops.weight_bytes)


def golden_tolerance(scheme: str) -> float:
    """How near other processors must come: what they round for integer products differs."""
    return FLOAT_TOLERANCE if scheme in ("none", "fp16") else INT8_TOLERANCE


def real_steps(model: Chain, chunk: int) -> npt.NDArray[Any]:
    """Input `[steps, 1, chunk, D]` from the clip that ships with the package."""
    x = calibration_input(model)[:1, :PROBE_FRAMES].numpy()
    steps = -(-x.shape[1] // chunk)
    # The last step goes on with the beginning of the clip.
    return np.resize(x, (steps, 1, chunk, x.shape[2]))


def set_decoding(source: Path, path: Path, settings: Mapping[str, object]) -> Manifest:
    """Write an exported ONNX file again with other decoder settings; the graph stays as it is.

    Args:
        source: the file to take.
        path: the file to write.
        settings: of the decoder, by name; those left out get defaults.

    Raises:
        ManifestError: `source` is no file of edgeseq, or a setting is not allowed.
        ExportError: `path` does not end in .onnx.
    """
    if path.suffix != ".onnx":
        raise ExportError(f"{path}: the file to write must end in .onnx")
    old = read_manifest(source)
    manifest = replace(old, decoding=fill_decoding(old.task, old.labels, settings))
    graph = onnx.load(source)
    (entry,) = (entry for entry in graph.metadata_props if entry.key == KEY)
    entry.value = manifest.to_json()
    write_whole(path, graph.SerializeToString(deterministic=True))
    return manifest


def make_manifest(
    checkpoint: Checkpoint,
    chunk: int,
    state_spec: StateSpec,
    quantization: Quantization,
    golden: Golden,
) -> Manifest:
    """What a file of a checkpoint says about itself.

    Args:
        checkpoint: what is exported.
        chunk: frames that one step takes.
        state_spec: what the file's program carries from step to step.
        quantization: how its weights are stored.
        golden: what it computes (`make_golden`).
    """
    model, facts = checkpoint.model, checkpoint.facts
    timing = replace(model.timing, chunk=chunk)
    text = timing.sample_rate is None
    labels = tuple(facts["labels"])
    config: dict[str, Any] = {
        "model": checkpoint.config.as_dict(),
        **{key: facts[key] for key in ("steps", "seed", "figures", "init") if key in facts},
    }
    x_shape = (1, chunk, model.input_dim)
    y_shape = (1, chunk // timing.subsampling, model.output_dim)
    return Manifest(
        name=facts["name"],
        family=checkpoint.config.family,
        task=facts["task"],
        labels=labels,
        timing=timing,
        input="bytes" if text else "pcm",
        batch=1,
        inputs=(TensorSpec(INPUT, x_shape, "int64" if text else "float32"),),
        outputs=(TensorSpec(OUTPUT, y_shape),),
        state_spec=state_spec,
        parameters=model.parameter_count(),
        macs_per_frame=model.macs_per_frame(),
        quantization=quantization,
        decoding=fill_decoding(facts["task"], labels, facts["decoding"]),
        provenance=Provenance(
            edgeseq=__version__,
            config=config,
            config_sha256=config_digest(config),
            data=tuple(DataSource(**row) for row in facts["data"]),
            licence=facts["licence"],
            created_by=f"edgeseq {facts['edgeseq']}",
        ),
        golden=golden,
    )


def golden_input(text: bool, dim: int, chunk: int) -> npt.NDArray[Any]:
    """A short input `[steps, 1, chunk, D]`: a passage, or a rising tone in noise at -20 dBFS."""
    rng = np.random.default_rng(GOLDEN_SEED)
    steps = max(2, GOLDEN_STEPS // chunk)
    if text:
        passage = b"In the beginning was the Word"
        data = np.frombuffer((passage * chunk)[: steps * chunk], np.uint8).astype(np.int64)
        return data.reshape(steps, 1, chunk, 1)
    at = np.arange(steps * chunk * dim) / 16000
    wave = 0.08 * np.sin(2 * np.pi * (300 + 900 * at) * at) + 0.03 * rng.standard_normal(len(at))
    # Sixteen-bit values, so that any runtime can hold the input exactly.
    pcm = (np.round(wave * 32768) / 32768).astype(np.float32)
    return pcm.reshape(steps, 1, chunk, dim)


def make_golden(x: npt.NDArray[Any], y: npt.NDArray[np.float32], tolerance: float) -> Golden:
    """Input and output `[1, frames, ...]` as a file stores them."""
    return Golden(_golden_tensor(x), _golden_tensor(y), tolerance)


def _golden_tensor(values: npt.NDArray[Any]) -> GoldenTensor:
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return GoldenTensor(
        values.shape, str(values.dtype), base64.b64encode(little.tobytes()).decode("ascii")
    )
