"""Every scheme gives files that stream, verify, repeat byte for byte, and hold what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from edgeseq import Session
from edgeseq.errors import ExportError
from edgeseq.runtime.proof import verify_golden
from edgeseq.training.checkpoint import Checkpoint, save_checkpoint
from edgeseq_export.blocks4 import Rounder, block_size, dequantize, pack, round_blocks
from edgeseq_export.quantize import count_ops
from edgeseq_export.requantize import FloatModel, load_float, write_as
from edgeseq_export.schemes import SCHEMES, apply_plan, plan_for, quantize
from edgeseq_export.verify import verify_graph
from tests.contract import Backend, verify_stream_contract
from tests.export.test_export import make_checkpoint, make_input

SMALL = [scheme for scheme in SCHEMES if scheme != "none"]

Made = tuple[Checkpoint, FloatModel, Path]


@pytest.fixture(scope="module", params=["gru", "lstm", "transformer", "gru-bytes"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp(request.param)
    checkpoint = make_checkpoint(request.param)
    path = folder / "model.safetensors"
    save_checkpoint(path, checkpoint.model, checkpoint.config, checkpoint.facts)
    return checkpoint, load_float(path, folder / "none.onnx"), folder


def write(model: FloatModel, scheme: str, path: Path) -> Path:
    plan = plan_for(model.weights, SCHEMES[scheme])
    graph = apply_plan(model.graph, model.weights, plan, Rounder(model.inputs))
    write_as(model, graph, scheme, path)
    return path


@pytest.mark.parametrize("scheme", SMALL)
def test_each_file_keeps_the_contract_verifies_and_repeats(made: Made, scheme: str) -> None:
    checkpoint, model, folder = made
    path = write(model, scheme, folder / f"{scheme}.onnx")
    again = write(model, scheme, folder / "again.onnx")
    assert path.read_bytes() == again.read_bytes()
    session = Session(path)
    assert session.manifest.quantization.scheme == scheme
    verify_stream_contract(
        Backend(session.step, 1, 1, checkpoint.model.receptive_field),
        session.manifest.state_spec,
        session.manifest.timing,
        lambda batch, frames, seed: make_input(session, batch, frames, seed),
        tolerance=1e-6,
        frames=96,
        long_steps=150,
    )
    assert verify_golden(session).good
    proof = verify_graph(path, checkpoint)
    assert {d.tensor for d in proof.differences} == {"y", *checkpoint.model.state_spec.names}
    assert proof.good, proof.sentence(path)


def test_products_are_counted_and_bytes_fall(made: Made) -> None:
    """F46, F53: a pass that passes over an operator would show in the counts and the bytes."""
    _, model, folder = made
    products = sum(w.kind == "product" for w in model.weights)
    sizes = {}
    for scheme in ("none", *SMALL):
        path = write(model, scheme, folder / f"{scheme}.onnx")
        ops = count_ops(onnx.load(path))
        form = scheme.partition("-")[0]
        wanted = {"int8": (products, 0), "int4": (0, products)}.get(form, (0, 0))
        assert (ops.int8, ops.int4) == wanted, scheme
        sizes[scheme] = ops.weight_bytes
    # Biases, norms and distances are small in these models, but not nothing.
    for scheme, most in (("fp16", 0.52), ("int8", 0.30), ("int8-static", 0.30), ("int4", 0.20)):
        assert sizes[scheme] <= most * sizes["none"], scheme


def test_weights_have_the_names_of_their_layers(made: Made) -> None:
    checkpoint, model, _ = made
    names = [w.name for w in model.weights]
    assert not any(name.startswith("weight ") for name in names)
    assert names[-1] == "head"
    recurrent = checkpoint.config.family in ("gru", "lstm")
    assert ("encoder.0.recurrent" in names) == recurrent
    assert sum(w.count for w in model.weights) <= checkpoint.model.parameter_count()


def test_a_plan_may_mix_forms(made: Made, tmp_path: Path) -> None:
    _, model, _ = made
    products = [w.name for w in model.weights if w.kind == "product"]
    plan = plan_for(model.weights, "int4") | {products[0]: "float", products[1]: "int8"}
    graph = apply_plan(model.graph, model.weights, plan)
    mel = int(model.manifest.input == "pcm")
    ops = count_ops(graph)
    assert (ops.int4, ops.int8, ops.float_weights) == (len(products) - 2, 1, 1 + mel)
    write_as(model, graph, "mixed", tmp_path / "mixed.onnx")
    assert verify_golden(Session(tmp_path / "mixed.onnx")).good


def test_a_float_file_gives_what_its_checkpoint_gives(made: Made, tmp_path: Path) -> None:
    _, model, folder = made
    other = load_float(folder / "none.onnx", tmp_path / "copy.onnx")
    a, b = write(model, "int4", tmp_path / "a.onnx"), write(other, "int4", tmp_path / "b.onnx")
    assert a.read_bytes() == b.read_bytes()


def test_a_quantized_file_is_no_float_model(made: Made, tmp_path: Path) -> None:
    _, model, folder = made
    path = write(model, "int4", folder / "int4.onnx")
    with pytest.raises(ExportError, match="are int4 already; give the checkpoint"):
        load_float(path, tmp_path / "float.onnx")


def test_a_quantizer_that_does_nothing_is_found(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F53: another version of onnxruntime may leave a layer in float without a word."""

    def nothing(source: Path, target: Path, **settings: object) -> None:
        Path(target).write_bytes(Path(source).read_bytes())

    monkeypatch.setattr("onnxruntime.quantization.quantize_dynamic", nothing)
    with pytest.raises(ExportError, match="gave 0 int8 products"):
        quantize(made[1].graph, "int8")


def test_a_form_that_a_table_cannot_have_is_refused() -> None:
    checkpoint = make_checkpoint("gru-bytes")
    from edgeseq_export.graph import export_graph
    from edgeseq_export.weights import find_weights

    full = export_graph(checkpoint.model)
    weights = find_weights(full, checkpoint.config.as_dict())
    plan = plan_for(weights, "int8") | {weights[0].name: "int4"}
    with pytest.raises(ExportError, match="frontend\\.table cannot be stored as 'int4'"):
        apply_plan(full, weights, plan)


@pytest.mark.parametrize("width", [32, 40, 96, 160])
def test_blocks_are_what_the_operator_reads(width: int) -> None:
    """The product in onnxruntime is that with the weights as we read them back."""
    rng = np.random.default_rng(width)
    weight = rng.normal(size=(24, width)).astype(np.float32)
    block = block_size(width)
    whole, scales = round_blocks(weight, block)
    assert whole.min() >= -8
    assert whole.max() <= 7
    x = rng.normal(size=(3, width)).astype(np.float32)
    node = helper.make_node(
        "MatMulNBits", ["x", "b", "s"], ["y"], domain="com.microsoft",
        K=width, N=24, bits=4, block_size=block, accuracy_level=1,
    )  # fmt: skip
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "g", [value("x", 1, x.shape)], [value("y", 1, (3, 24))],
        [numpy_helper.from_array(pack(whole, block), "b"),
         numpy_helper.from_array(scales.reshape(-1), "s")],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    stored = dequantize(whole, scales, block)
    assert np.allclose(session.run(None, {"x": x})[0], x @ stored.T, atol=1e-4)
    # A step is at most an eighth of the largest value in its block: nothing is off by more.
    assert np.abs(stored - weight).max() <= 1.2 * np.abs(weight).max() / 8


def test_rounding_on_real_input_is_nearer_in_what_it_gives() -> None:
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(32, 64)).astype(np.float32)
    # Inputs that go together, as the units of a layer do.
    x = (rng.normal(size=(500, 8)) @ rng.normal(size=(8, 64))).astype(np.float32)
    x += 0.1 * rng.normal(size=x.shape).astype(np.float32)
    errors = []
    for inputs in (None, x):
        stored = dequantize(*round_blocks(weight, 32, inputs), 32)
        errors.append(float(np.square(x @ (stored - weight).T).mean()))
    assert errors[1] < 0.5 * errors[0]


def test_an_input_that_is_always_zero_stops_nothing() -> None:
    weight = np.ones((4, 32), np.float32)
    weight[1] = 0
    for inputs in (np.zeros((10, 32), np.float32), None):
        stored = dequantize(*round_blocks(weight, 32, inputs), 32)
        assert np.isfinite(stored).all()
        assert np.allclose(stored, weight, atol=0.07)
