"""A checkpoint from an int8 ONNX file of edgeseq: its weights, and what its manifest says.

So a model whose checkpoint is not at hand, such as a bundled one, can still become an integer
program. The constants of the graph have no names; the order of the nodes, which a chain of layers
fixes, tells them apart, and the result is compared with the file before it is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from edgeseq.assets import bundled, resolve
from edgeseq.errors import ExportError
from edgeseq.manifest import Manifest
from edgeseq.models import Chain, ModelConfig
from edgeseq.models.bytes import ByteEmbedding
from edgeseq.models.frontend import LogMel
from edgeseq.models.heads import Head
from edgeseq.models.rnn import Gru, Lstm
from edgeseq.models.transformer import Block, Transformer
from edgeseq.runtime import read_manifest
from edgeseq.training.checkpoint import Checkpoint, load_checkpoint

from .graph import STATE
from .package import run_steps
from .verify import INT8_LIMIT, difference, probe_input, torch_steps

__all__ = ["is_model_file", "load_weights", "read_back"]

STEPS = 80

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Product:
    """A product with trained weights: `source` is the tensor that is multiplied."""

    source: str
    weight: Floats
    bias: Floats


class Constants:
    """The constants of a graph, in the order in which its nodes use them."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        """Index `graph`."""
        self._nodes = graph.node
        self._table = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        # Vectors that lie in the file as float16.
        for node in graph.node:
            if node.op_type == "Cast" and node.input[0] in self._table:
                self._table[node.output[0]] = self._table[node.input[0]].astype(np.float32)
        self._makers = {output: node for node in graph.node for output in node.output}

    def of(self, kind: str, after: str = "") -> Iterator[Floats]:
        """The constant operand of every `kind`, or only of those that read an `after`."""
        for node in self._nodes:
            if node.op_type != kind:
                continue
            makers = [self._makers[i].op_type for i in node.input if i in self._makers]
            if not after or after in makers:
                yield from (self._table[i] for i in node.input if i in self._table)

    def look_up(self) -> Floats:
        """The table of the first look-up, which is float, or int8 with one scale a column."""
        node = next(n for n in self._nodes if n.op_type == "Gather" and n.input[0] in self._table)
        table = self._table[node.input[0]]
        if table.dtype == np.float32:
            return table
        scaled = self._reader(self._reader(node.output[0]).output[0])
        return np.asarray(table.astype(np.float32) * self._constant(scaled))

    def products(self) -> Iterator[Product]:
        """Every product with int8 weights, as floats `[outputs, inputs]`."""
        for node in self._nodes:
            if node.op_type == "MatMulInteger":
                quantized = self._makers[node.input[0]]
                cast = self._reader(node.output[0])
                scaled = self._reader(cast.output[0])
                (scale,) = (self._constant(self._makers[i]) for i in self._others(scaled, cast))
                bias = self._constant(self._reader(scaled.output[0]))
                weight = self._table[node.input[1]].astype(np.float32) * scale
                yield Product(quantized.input[0], weight.T, bias)

    def _reader(self, name: str) -> onnx.NodeProto:
        found: onnx.NodeProto = next(node for node in self._nodes if name in node.input)
        return found

    def _others(self, node: onnx.NodeProto, maker: onnx.NodeProto) -> list[str]:
        return [name for name in node.input if name not in maker.output]

    def _constant(self, node: onnx.NodeProto) -> Floats:
        (found,) = (self._table[i] for i in node.input if i in self._table)
        return np.asarray(found, np.float32)


def is_model_file(path: Path) -> bool:
    """Whether it names an exported model, by its file or as a bundled one, and no checkpoint."""
    return path.suffix == ".onnx" or str(path) in bundled()


def load_weights(path: Path) -> Checkpoint:
    """The weights of a checkpoint, or of an int8 ONNX file or bundled model in its place.

    Raises:
        ConfigError: a checkpoint that cannot be read.
        ManifestError: no such file or bundled model, or it is damaged.
        ExportError: a model file whose weights cannot be read back.
    """
    return read_back(resolve(str(path))) if is_model_file(path) else load_checkpoint(path)


def read_back(path: Path) -> Checkpoint:
    """The checkpoint that an int8 file of one frame a step was exported from, as far as it tells.

    Raises:
        ManifestError: the file is damaged, or not of edgeseq.
        ExportError: it is of another kind, or the weights found do not compute what it computes.
    """
    manifest = read_manifest(path)
    if (
        manifest.quantization.scheme != "int8"
        or manifest.timing.chunk != 1
        or path.suffix == ".esq"
    ):
        raise ExportError(
            f"{path}: weights are read back from int8 .onnx files of one frame a step; give the "
            "checkpoint (model.safetensors)"
        )
    graph = onnx.load(path)
    stored = manifest.provenance.config
    settings = stored.get("model")
    if not isinstance(settings, dict):
        raise ExportError(f"{path}: its manifest names no model config; give the checkpoint")
    config = ModelConfig.from_dict(settings)
    model = config.build().eval()
    try:
        _fill(model, Constants(graph.graph))
    except (StopIteration, KeyError, ValueError, RuntimeError) as error:
        raise ExportError(
            f"{path}: its graph is not that of its model config ({error}); give the checkpoint"
        ) from error
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    checkpoint = Checkpoint(model, config, {**_facts(manifest), "int8_sha256": sha256})
    _prove(path, graph, checkpoint, manifest)
    return checkpoint


def _facts(manifest: Manifest) -> dict[str, Any]:
    kept = {k: v for k, v in manifest.provenance.config.items() if k != "model"}
    return {
        **kept,
        "name": manifest.name,
        "task": manifest.task,
        "labels": list(manifest.labels),
        "decoding": asdict(manifest.decoding),
        "licence": manifest.provenance.licence,
        "edgeseq": manifest.provenance.created_by.removeprefix("edgeseq "),
        "data": [asdict(source) for source in manifest.provenance.data],
    }


@torch.no_grad()
def _fill(model: Chain, constants: Constants) -> None:
    """Copy the graph's constants into the model's parameters."""
    products = list(constants.products())
    states = {p.source: p for p in products if p.source.startswith(STATE)}
    chained = iter([p for p in products if not p.source.startswith(STATE)])
    for name, layer in model.layers.items():
        if isinstance(layer, LogMel):
            _copy(layer.mean, next(constants.of("Sub", after="Log")))
            _copy(layer.scale, next(constants.of("Mul", after="Sub")))
        elif isinstance(layer, ByteEmbedding):
            _copy(layer.table.weight, constants.look_up())
        elif isinstance(layer, Gru | Lstm):
            for n in range(layer.config.layers):
                for kind, product in (
                    ("ih", next(chained)),
                    ("hh", states[f"{STATE}{name}.{n}.h"]),
                ):
                    _copy(getattr(layer.rnn, f"weight_{kind}_l{n}"), product.weight)
                    _copy(getattr(layer.rnn, f"bias_{kind}_l{n}"), product.bias)
        elif isinstance(layer, Transformer):
            _fill_transformer(layer, chained, constants)
        elif isinstance(layer, Head):
            _linear(layer.linear, next(chained))
    if next(chained, None) is not None:
        raise ValueError("more products than layers")


def _fill_transformer(layer: Transformer, chained: Iterator[Product], constants: Constants) -> None:
    _linear(layer.enter, next(chained))
    blocks = [block for block in layer.blocks if isinstance(block, Block)]
    norms = list(constants.of("LayerNormalization"))
    places = [norm for block in blocks for norm in (block.norm_attention, block.norm_feed)]
    for n, norm in enumerate([*places, layer.norm]):
        _copy(norm.weight, norms[2 * n])
        _copy(norm.bias, norms[2 * n + 1])
    taps = constants.of("Mul", after="Slice")
    taps = (tap for tap in taps if tap.shape == (layer.config.dim,))
    shifts = (c for c in constants.of("Add", after="Add") if c.shape == (layer.config.dim,))
    distances = (c for c in constants.of("Add", after="Mul") if c.ndim == 4)
    for block in blocks:
        if block.conv is not None:
            _copy(block.conv.weight, np.stack([next(taps) for _ in range(block.conv.width)]))
            _copy(block.conv.bias, next(shifts))
        _linear(block.attention.qkv, next(chained))
        # Stored by slot, the oldest first: the newest is at distance 0.
        bias = next(distances).reshape(block.attention.heads, -1)[:, ::-1]
        _copy(block.attention.distance_bias, bias)
        for linear in (block.attention.out, block.feed[0], block.feed[2]):
            assert isinstance(linear, nn.Linear)
            _linear(linear, next(chained))


def _linear(linear: nn.Linear, product: Product) -> None:
    _copy(linear.weight, product.weight)
    _copy(linear.bias, product.bias)


def _copy(target: Tensor, value: Floats) -> None:
    if tuple(target.shape) != value.shape:
        raise ValueError(f"{list(value.shape)} in place of {list(target.shape)}")
    # A copy: constants of the file may not be written to, which torch warns about.
    target.copy_(torch.from_numpy(np.array(value)))


def _prove(path: Path, graph: onnx.ModelProto, checkpoint: Checkpoint, manifest: Manifest) -> None:
    """Raise ExportError unless the model computes what the file does."""
    x = probe_input(manifest, STEPS)
    y, _ = run_steps(graph, x, checkpoint.model.state_spec.zeros(1))
    wanted, _ = torch_steps(checkpoint, x)
    found = difference("y", y, wanted, INT8_LIMIT)
    if not found.good:
        raise ExportError(
            f"{path}: the weights read back give outputs that differ by {found.relative:.2g} "
            f"(allowed {found.limit:g}); give the checkpoint"
        )
