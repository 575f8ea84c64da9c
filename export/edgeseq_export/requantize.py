"""A model in float, whatever it came from, and its files with other weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from edgeseq.assets import resolve
from edgeseq.errors import ExportError
from edgeseq.manifest import Manifest
from edgeseq.runtime import golden_arrays, read_manifest

from .activations import Inputs, calibration_chunks, record_inputs
from .package import export, golden_tolerance, make_golden, run_steps, stored_as, write_model
from .read_back import is_model_file, load_weights
from .schemes import widen_filters
from .weights import Weight, find_weights

__all__ = ["FloatModel", "load_float", "write_as"]


@dataclass(frozen=True, slots=True)
class FloatModel:
    """The float form of a model.

    Attributes:
        graph: its step graph, with wide mel filters and without a manifest.
        manifest: what its float file says.
        weights: its trained matrices.
        inputs: what its products take in on the calibration input.
        was_int8: its weights were read back from an int8 file, so int8 costs them nothing more.
    """

    graph: onnx.ModelProto
    manifest: Manifest
    weights: Sequence[Weight]
    inputs: Inputs
    was_int8: bool


def load_float(model: Path, float_file: Path, calibration: Sequence[Path] = ()) -> FloatModel:
    """Read a model and write its float file, which everything else is compared with.

    Args:
        model: a checkpoint, a float or int8 .onnx file, or the name of a bundled model.
        float_file: the file to write.
        calibration: recordings or texts to choose roundings on; without any, the bundled clip.

    Raises:
        ConfigError: a checkpoint that cannot be read.
        ManifestError: no such file or bundled model, or it is damaged.
        ExportError: a model that cannot be exported, or is quantized already.
    """
    was_int8 = False
    if is_model_file(model):
        path = resolve(str(model))
        scheme = read_manifest(path).quantization.scheme
        if scheme not in ("none", "int8"):
            raise ExportError(
                f"{path}: its weights are {scheme} already; give the checkpoint or a float file"
            )
        was_int8 = scheme == "int8"
        if was_int8:
            export(load_weights(model), float_file, "none")
        else:
            float_file.write_bytes(path.read_bytes())
    else:
        export(load_weights(model), float_file, "none")
    manifest = read_manifest(float_file)
    graph = onnx.load(float_file)
    del graph.metadata_props[:]
    widen_filters(graph)
    weights = find_weights(graph, manifest.provenance.config.get("model"))
    if not any(w.kind == "product" for w in weights):
        raise ExportError(f"{model}: has no product with trained weights, nothing to quantize")
    inputs = record_inputs(graph, manifest, weights, calibration_chunks(manifest, calibration))
    return FloatModel(graph, manifest, weights, inputs, was_int8)


def write_as(model: FloatModel, graph: onnx.ModelProto, scheme: str, path: Path) -> Manifest:
    """Write a graph made from `model` as a file of its own, with golden and manifest.

    Raises:
        ExportError: the graph cannot be written.
    """
    x, _ = golden_arrays(model.manifest)
    steps = x.reshape(-1, *model.manifest.inputs[0].bound(1))
    y, _ = run_steps(graph, steps, model.manifest.state_spec.zeros(1))
    golden = make_golden(x, y, golden_tolerance(scheme))
    manifest = replace(model.manifest, quantization=stored_as(graph, scheme), golden=golden)
    written = onnx.ModelProto()
    written.CopyFrom(graph)
    write_model(written, manifest, path)
    return manifest
