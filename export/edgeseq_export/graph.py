"""The step graph: the only bridge between named state and the positional tensors of ONNX.

`torch.onnx.export` binds a dict of outputs by position and then swaps equal shapes without a word,
so names are bound here, from the StateSpec, and nowhere else.
"""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import redirect_stdout

import onnx
import torch
from torch import Tensor, nn

from edgeseq.errors import ExportError
from edgeseq.models import Chain

__all__ = ["INPUT", "NEXT_STATE", "OPSET", "OUTPUT", "STATE", "StepGraph", "export_graph"]

INPUT, OUTPUT, STATE, NEXT_STATE = "x", "y", "state.", "next_state."
OPSET = 18


class StepGraph(nn.Module):
    """One step with positional tensors in StateSpec order: `(x, *state) -> (y, *next_state)`."""

    def __init__(self, model: Chain) -> None:
        """Wrap a model in evaluation mode."""
        super().__init__()
        self.model = model.eval()
        self.names = model.state_spec.names

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Name the state, step, and give the next state back in the same order."""
        y, after = self.model(x, dict(zip(self.names, state, strict=True)))
        if set(after) != set(self.names):
            raise ExportError(
                f"forward returned state {sorted(after)}, spec says {sorted(self.names)}"
            )
        return (y, *(after[name] for name in self.names))


def example_input(model: Chain, chunk: int) -> Tensor:
    """An input of one step: byte values for text, small noise for audio."""
    if model.timing.sample_rate is None:
        return torch.randint(0, 256, (1, chunk, 1))
    return 0.1 * torch.randn(1, chunk, model.input_dim)


def export_graph(model: Chain, chunk: int = 1) -> onnx.ModelProto:
    """The float graph of one step of `chunk` frames, batch 1, cleaned of what a device never reads.

    Raises:
        ExportError: PyTorch cannot export the model, or the graph does not have the names or fixed
            shapes that the spec says.
    """
    step = StepGraph(model)
    # Every sample input is its own tensor: two that are the same object would be merged into one.
    state = [value.clone() for value in model.initial_state(1).values()]
    inputs = [INPUT, *(STATE + name for name in step.names)]
    outputs = [OUTPUT, *(NEXT_STATE + name for name in step.names)]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                step,
                (example_input(model, chunk), *state),
                dynamo=True,
                opset_version=OPSET,
                external_data=False,
                input_names=inputs,
                output_names=outputs,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise ExportError(f"PyTorch cannot export this model: {error}") from error
    if program is None:
        raise ExportError("PyTorch gave no graph")
    graph = clean(program.model_proto)
    _check(graph, inputs, outputs)
    return graph


def clean(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Drop traces of the export (source lines, inner shapes): half of a small file."""
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
    for value in (*graph.graph.input, *graph.graph.output, *graph.graph.initializer):
        del value.metadata_props[:]
        value.ClearField("doc_string")
    del graph.graph.value_info[:]
    del graph.graph.metadata_props[:]
    del graph.metadata_props[:]
    del graph.functions[:]
    graph.graph.ClearField("doc_string")
    graph.producer_name, graph.producer_version = "edgeseq", ""
    short = {"": ""}
    for node in graph.graph.node:
        node.ClearField("name")
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = _short(short, name)
    for initializer in graph.graph.initializer:
        initializer.name = _short(short, initializer.name)
    return graph


def _short(known: dict[str, str], name: str) -> str:
    """`name` itself for the interface, else a short one: inner names are stored many times."""
    if name in (INPUT, OUTPUT) or name.startswith((STATE, NEXT_STATE)):
        return name
    return known.setdefault(name, f"t{len(known)}")


def _check(graph: onnx.ModelProto, inputs: list[str], outputs: list[str]) -> None:
    onnx.checker.check_model(graph)
    for found, wanted, kind in (
        (graph.graph.input, inputs, "inputs"),
        (graph.graph.output, outputs, "outputs"),
    ):
        names = [value.name for value in found]
        if names != wanted:
            raise ExportError(f"the graph's {kind} are {names}, expected {wanted}")
        for value in found:
            dims = value.type.tensor_type.shape.dim
            if any(dim.dim_param or dim.dim_value < 1 for dim in dims):
                raise ExportError(f"{value.name} has no fixed shape in the graph: {dims}")
