"""What the trained products of a float graph take in, on a stream of real input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from edgeseq.assets import clip
from edgeseq.errors import ExportError
from edgeseq.manifest import Manifest
from edgeseq.profile.feed import chunks_of

from .graph import INPUT, NEXT_STATE, STATE
from .weights import Weight

__all__ = ["Inputs", "calibration_chunks", "record_inputs"]

Inputs = dict[str, npt.NDArray[np.float32]]
"""Rows `[n, inputs]` by the name of the weight."""

LEAST_CHUNKS = 20


def calibration_chunks(manifest: Manifest, files: Sequence[Path] = ()) -> list[npt.NDArray[Any]]:
    """Chunks `x` of recordings or texts, one stream; without files, of the bundled clip.

    Raises:
        ExportError: there is no clip, or too little input.
    """
    own = clip("passage.txt" if manifest.input == "bytes" else "words.wav")
    paths = list(files) or ([own] if own is not None else [])
    chunks = [x for path in paths for x in chunks_of(manifest, str(path))]
    if len(chunks) < LEAST_CHUNKS:
        raise ExportError(
            f"calibration has {len(chunks)} steps of input, at least {LEAST_CHUNKS} are needed; "
            "give --calibration FILE"
        )
    return chunks


def record_inputs(
    graph: onnx.ModelProto,
    manifest: Manifest,
    weights: Sequence[Weight],
    chunks: Sequence[npt.NDArray[Any]],
) -> Inputs:
    """Stream `chunks` through a float graph and keep what each product takes in."""
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(graph)
    names = {w.tensor: w.name for w in weights if w.kind == "product"}
    sources: dict[str, list[str]] = {}
    for node in watched.graph.node:
        if node.op_type == "MatMul" and node.input[1] in names:
            sources.setdefault(names[node.input[1]], []).append(node.input[0])
    given = {value.name for value in watched.graph.input}
    asked = sorted({s for list_ in sources.values() for s in list_} - given)
    for name in asked:
        watched.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    state = manifest.state_spec.zeros(1)
    kept: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in sources}
    fetch = [*asked, *(NEXT_STATE + name for name in state)]
    for x in chunks:
        feeds = {STATE + name: value for name, value in state.items()} | {INPUT: x}
        found = dict(zip(fetch, session.run(fetch, feeds), strict=True))
        for name, tensors in sources.items():
            for tensor in tensors:
                value = found[tensor] if tensor in found else feeds[tensor]
                kept[name].append(value.reshape(-1, value.shape[-1]))
        state = {name: found[NEXT_STATE + name] for name in state}
    return {name: np.concatenate(rows) for name, rows in kept.items()}
