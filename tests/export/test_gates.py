"""What must not be exported is refused, with words that name it."""

from __future__ import annotations

import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from edgeseq.errors import ExportError
from edgeseq.models import (
    Chain,
    GruConfig,
    HybridConfig,
    LogMelConfig,
    LstmConfig,
    ModelConfig,
    TransformerConfig,
)
from edgeseq.models.base import State, StreamModel
from edgeseq.spec import StateSpec
from edgeseq_export.gates import check_scheme, check_streaming, moved
from edgeseq_export.graph import export_graph
from edgeseq_export.package import real_steps, run_steps
from edgeseq_export.quantize import count_ops
from edgeseq_export.schemes import quantize

ENCODERS = {
    "gru": GruConfig(hidden=64, layers=2),
    "lstm": LstmConfig(hidden=64, layers=2),
    "transformer": TransformerConfig(dim=48, layers=2, heads=4, window=12, feed_forward=96),
    "hybrid": HybridConfig(
        dim=32, layers=("linear", "attention"), heads=2, window=7, feed_forward=48
    ),
}


class Stateless(StreamModel):
    """A layer of somebody who thought of whole clips only."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.input_dim = self.output_dim = dim
        torch.manual_seed(2)
        self.conv = nn.Conv1d(dim, dim, 3, padding="same")

    @property
    def state_spec(self) -> StateSpec:
        return StateSpec(())

    def macs_per_frame(self) -> int:
        return 0


class SameConv(Stateless):
    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self.conv(x.transpose(1, 2)).transpose(1, 2), {}


class ResidualSameConv(Stateless):
    """A small look-ahead beside a residual path: most of the output is right."""

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return x + 0.05 * self.conv(x.transpose(1, 2)).transpose(1, 2), {}


class ClipNorm(Stateless):
    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return x - x.mean(dim=1, keepdim=True), {}


class Backwards(Stateless):
    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return x.flip(1).cumsum(1).flip(1), {}


@pytest.mark.parametrize("layer", [SameConv, ResidualSameConv, ClipNorm, Backwards])
@pytest.mark.parametrize("chunk", [1, 4])
def test_f35_a_layer_that_looks_ahead_is_refused_by_name(
    layer: type[Stateless], chunk: int
) -> None:
    model = ModelConfig(LogMelConfig(), GruConfig(hidden=16, layers=1), 3).build().eval()
    layers = model.named_layers()
    broken = Chain([layers[0], ("blur", layer(layers[0][1].output_dim)), *layers[1:]])
    with pytest.raises(ExportError, match=rf"layer 'blur' \({layer.__name__}\) cannot stream"):
        check_streaming(broken, chunk)


@pytest.mark.parametrize("chunk", [1, 4])
@pytest.mark.parametrize("name", ENCODERS)
def test_causal_models_pass(name: str, chunk: int) -> None:
    torch.manual_seed(4)
    check_streaming(ModelConfig(LogMelConfig(), ENCODERS[name], 3).build(), chunk)


def model_of(name: str) -> Chain:
    torch.manual_seed(4)
    return ModelConfig(LogMelConfig(), ENCODERS[name], 5).build().eval()


@pytest.mark.parametrize("name", ENCODERS)
def test_f44_every_axis_of_the_graph_is_fixed_and_as_declared(name: str) -> None:
    """The exporter may freeze or leave open an axis without a word; the graph is looked at."""
    model = model_of(name)
    for chunk in (1, 3):
        graph = export_graph(model, chunk)
        shapes = {
            value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
            for value in (*graph.graph.input, *graph.graph.output)
        }
        assert shapes["x"] == (1, chunk, model.input_dim)
        assert shapes["y"] == (1, chunk, model.output_dim)
        for tensor in model.state_spec:
            for side in ("state.", "next_state."):
                assert shapes[side + tensor.name] == tensor.bound(1)


def test_f47_an_lstm_becomes_small_without_operators_of_one_runtime() -> None:
    full = export_graph(model_of("lstm"))
    small = quantize(full, "int8")
    ops = count_ops(small)
    assert (ops.integer, ops.float_weights) == (5, 1), "2 layers of 2 products and the head; mels"
    assert ops.weight_bytes < 0.4 * count_ops(full).weight_bytes
    wide = ModelConfig(LogMelConfig(), LstmConfig(hidden=256, layers=2), 12).build().eval()
    graph = export_graph(wide)
    assert quantize(graph, "int8").ByteSize() <= 0.30 * graph.ByteSize()
    assert {node.domain for node in small.graph.node} == {""}
    assert not {"LSTM", "DynamicQuantizeLSTM"} & {node.op_type for node in small.graph.node}


def logits(model: Chain, graph: onnx.ModelProto) -> object:
    return run_steps(graph, real_steps(model, 1), model.state_spec.zeros(1))[0]


@pytest.mark.parametrize("name", ENCODERS)
def test_f48_int8_that_keeps_the_answers_passes(name: str) -> None:
    model = model_of(name)
    full = export_graph(model)
    check_scheme(logits(model, full), logits(model, quantize(full, "int8")))  # type: ignore[arg-type]


def test_f48_int8_that_changes_the_answers_is_refused() -> None:
    """A weight a thousand times the others, on a unit that is always 0: they have no bits left."""
    model = model_of("gru")
    with torch.no_grad():
        for name in ("weight_ih_l1", "weight_hh_l1", "bias_ih_l1", "bias_hh_l1"):
            model.get_parameter(f"layers.encoder.rnn.{name}")[2 * 64] = 0  # candidate of unit 0
        head = model.get_parameter("layers.head.linear.weight")
        head *= 20
        head[:, 0] = 20_000
    full = export_graph(model)
    with pytest.raises(ExportError, match="of the probability to other labels"):
        check_scheme(logits(model, full), logits(model, quantize(full, "int8")))  # type: ignore[arg-type]


def test_f49_each_row_has_its_own_scale() -> None:
    """One scale for a whole tensor would lose the quiet rows beside a loud one."""
    model = model_of("gru")
    with torch.no_grad():
        weight = model.get_parameter("layers.head.linear.weight")
        weight[0] *= 500
    full = export_graph(model)
    small = quantize(full, "int8")
    y, z = logits(model, full), logits(model, small)
    quiet = abs(y - z)[..., 1:].max() / abs(y[..., 1:]).max()  # type: ignore[operator,index]
    assert quiet < 0.05
    tables = [numpy_helper.to_array(i) for i in small.graph.initializer if i.data_type == 3]
    (head,) = [t for t in tables if t.shape == (64, 5)]
    assert (abs(head.astype(int)).max(axis=0) >= 126).all(), "every row uses all of int8"


def test_moved_is_the_share_of_probability() -> None:
    a = torch.log(torch.tensor([[0.5, 0.5], [1.0, 1e-30]])).numpy()
    b = torch.log(torch.tensor([[0.25, 0.75], [1e-30, 1.0]])).numpy()
    assert moved(a, b) == pytest.approx((0.25 + 1.0) / 2)
    assert moved(a, a) == 0
