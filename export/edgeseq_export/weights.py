"""The trained weights of a float step graph: which operators hold them, and what they are called.

The graph itself has no names (`graph.clean`), but its nodes lie in the order in which the layers of
the model config run; where the two fit in shape, the layers give the names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx
from torch import nn

from edgeseq.errors import ConfigError
from edgeseq.models import ModelConfig

from .graph import STATE
from .quantize import mel_products

__all__ = ["Weight", "find_weights"]


@dataclass(frozen=True, slots=True)
class Weight:
    """One trained matrix.

    Attributes:
        name: of the layer, such as `encoder.0.recurrent`; else `product 3`.
        tensor: the constant in the graph.
        kind: "product" (MatMul) or "table" (Gather).
        shape: `[inputs, outputs]` of a product, `[rows, columns]` of a table.
        recurrent: whether it multiplies a state.
    """

    name: str
    tensor: str
    kind: str
    shape: tuple[int, int]
    recurrent: bool = False

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return self.shape[0] * self.shape[1]


def find_weights(graph: onnx.ModelProto, config: object = None) -> list[Weight]:
    """The trained matrices in the order of their first use, without the mel filters.

    Args:
        graph: a float step graph.
        config: the model config of the manifest, which gives the names.
    """
    constants = {i.name: tuple(i.dims) for i in graph.graph.initializer}
    mel = {node.input[1] for node in mel_products(graph)}
    found: dict[str, tuple[str, tuple[int, int]]] = {}
    recurrent: set[str] = set()
    for node in graph.graph.node:
        kind = {"MatMul": "product", "Gather": "table"}.get(node.op_type)
        if kind is None:
            continue
        tensor = node.input[1 if kind == "product" else 0]
        shape = constants.get(tensor, ())
        if len(shape) == 2 and tensor not in mel:
            found.setdefault(tensor, (kind, (shape[0], shape[1])))
            if node.input[0].startswith(STATE):
                recurrent.add(tensor)
    names = _names([shape for _, shape in found.values()], config)
    return [
        Weight(name, tensor, kind, shape, tensor in recurrent)
        for name, (tensor, (kind, shape)) in zip(names, found.items(), strict=True)
    ]


def _names(shapes: list[tuple[int, int]], config: object) -> list[str]:
    """A name for each shape, from the layers of the config where they fit."""
    if isinstance(config, Mapping):
        try:
            layers = list(_layers(config))
        except ConfigError:
            layers = []
        if [shape for _, shape in layers] == shapes:
            return [name for name, _ in layers]
    return [f"weight {n}" for n in range(len(shapes))]


def _layers(config: Mapping[str, object]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Name and shape of the matrices of a model; its parts lie in the order of their use."""
    for path, module in ModelConfig.from_dict(dict(config)).build().named_modules():
        name = path.removeprefix("layers.")
        if isinstance(module, nn.Linear):
            short = name.removesuffix(".linear").replace(".blocks.", ".").replace("feed.", "feed")
            yield short, (module.in_features, module.out_features)
        elif isinstance(module, nn.Embedding):
            yield name, (module.num_embeddings, module.embedding_dim)
        elif isinstance(module, nn.GRU | nn.LSTM):
            gates = 3 if isinstance(module, nn.GRU) else 4
            for n in range(module.num_layers):
                entering = module.input_size if n == 0 else module.hidden_size
                outputs = gates * module.hidden_size
                layer = f"{name.removesuffix('.rnn')}.{n}"
                yield f"{layer}.input", (entering, outputs)
                yield f"{layer}.recurrent", (module.hidden_size, outputs)
