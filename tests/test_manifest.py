"""The manifest is read strictly, and every message names the place."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from edgeseq.decoding import KeywordDecoding, VadDecoding, read_decoding
from edgeseq.errors import ManifestError
from edgeseq.manifest import FORMAT, Manifest, config_digest
from edgeseq.spec import Timing


def _zeros(*shape: int) -> dict[str, Any]:
    count = 1
    for axis in shape:
        count *= axis
    data = base64.b64encode(bytes(4 * count)).decode()
    return {"shape": list(shape), "dtype": "float32", "data": data}


def _tensor(name: str, *shape: int | str) -> dict[str, Any]:
    return {"name": name, "shape": list(shape), "dtype": "float32", "fill": 0}


@pytest.fixture
def document() -> dict[str, Any]:
    config = {"hidden": 8, "rate": 0.5}
    return {
        "format": 1,
        "name": "kws",
        "family": "gru",
        "task": "keyword",
        "labels": ["_silence_", "_unknown_", "yes", "no"],
        "timing": {
            "sample_rate": 16000,
            "window": 512,
            "hop": 320,
            "chunk": 2,
            "subsampling": 1,
            "lookahead": 0,
            "left_context": None,
        },
        "input": "pcm",
        "batch": 1,
        "inputs": [_tensor("x", 1, 2, 320)],
        "outputs": [_tensor("y", 1, 2, 4)],
        "state": [_tensor("tail", "B", 192), _tensor("rnn.0.h", 1, 8)],
        "parameters": 100,
        "macs_per_frame": 200,
        "quantization": {
            "scheme": "int8",
            "integer_ops": 4,
            "float_ops": 1,
            "weight_bytes": 100,
        },
        "decoding": {
            "thresholds": {"yes": 0.5, "no": 1},
            "smoothing_s": 0.1,
            "refractory_s": 1.0,
            "flush_s": 0.5,
        },
        "provenance": {
            "edgeseq": "0.1.0",
            "config": config,
            "config_sha256": config_digest(config),
            "data": [{"name": "digits", "licence": "CC BY 4.0", "attribution": "ä people"}],
            "licence": "MIT",
            "created_by": "someone",
        },
        "golden": {"x": _zeros(1, 4, 320), "y": _zeros(1, 4, 4), "tolerance": 1e-5},
    }


def _read(document: dict[str, Any]) -> Manifest:
    return Manifest.from_json(json.dumps(document), "kws.onnx")


def _at(document: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *parents, key = path.split(".")
    for parent in parents:
        document = document[parent][0] if parent == "data" else document[parent]
    return document, key


def test_a_good_document_gives_typed_values(document: dict[str, Any]) -> None:
    manifest = _read(document)
    assert manifest.timing == Timing(16000, 512, 320, 2)
    assert manifest.state_spec.names == ("tail", "rnn.0.h")
    assert manifest.state_spec.nbytes() == 4 * 200
    assert isinstance(manifest.decoding, KeywordDecoding)
    assert manifest.decoding.thresholds == {"no": 1.0, "yes": 0.5}
    assert manifest.output_dim == 4
    assert manifest.x_dtype == "float32"


def test_writing_is_repeatable_and_reads_back(document: dict[str, Any]) -> None:
    manifest = _read(document)
    text = manifest.to_json()
    backwards = json.dumps(dict(reversed(document.items())), indent=3)
    assert Manifest.from_json(text, "f") == manifest
    assert Manifest.from_json(text, "f").to_json() == text
    assert Manifest.from_json(backwards, "f").to_json() == text
    assert text == json.dumps(
        json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert len(manifest.digest) == 64


PLACES = [
    "format",
    "name",
    "labels",
    "timing.hop",
    "timing.left_context",
    "quantization.scheme",
    "decoding.thresholds",
    "provenance.licence",
    "provenance.data.attribution",
    "golden.tolerance",
    "golden.x.data",
    "state",
]


@pytest.mark.parametrize("place", PLACES)
def test_a_missing_key_is_named(document: dict[str, Any], place: str) -> None:
    inner, key = _at(document, place)
    del inner[key]
    with pytest.raises(ManifestError) as caught:
        _read(document)
    where = place.replace("data.attribution", "data[0].attribution")
    assert str(caught.value) == f"kws.onnx: manifest.{where}: missing"


@pytest.mark.parametrize("place", ["extra", "timing.extra", "provenance.data.extra"])
def test_an_unknown_key_is_named(document: dict[str, Any], place: str) -> None:
    inner, key = _at(document, place)
    inner[key] = 1
    with pytest.raises(ManifestError, match=r"kws.onnx: manifest.*: unknown key extra$"):
        _read(document)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("timing.hop", "320", 'timing.hop: is "320", must be a whole number >= 1'),
        ("timing.hop", True, "timing.hop: is true, must be"),
        ("timing.hop", 320.0, "timing.hop: is 320.0, must be"),
        ("timing.chunk", 0, "timing.chunk: is 0, must be a whole number >= 1"),
        ("timing", [], "timing: is a list, must be an object"),
        ("name", None, "name: is null, must be a string"),
        ("labels", "yes", 'labels: is "yes", must be a list'),
        ("labels", ["_silence_", 3], "labels[1]: is 3, must be a string"),
        ("family", "cnn", 'family: is "cnn", must be one of gru, lstm, linear'),
        ("task", "asr", "must be one of keyword, vad, bytes"),
        ("state", [3], "state[0]: is a number, must be an object"),
        ("golden.tolerance", -1, "golden.tolerance: is -1, must be a finite number"),
        ("decoding.smoothing_s", "x", "decoding.smoothing_s: is"),
        ("decoding.thresholds", {"yes": 1.5}, "decoding.thresholds.yes: is 1.5, must be"),
        ("golden.x.data", "?", "golden.x.data: is not base64"),
        ("golden.x.data", "AAAA", "golden.x.data: holds 3 bytes, float32[1, 4, 320] has 5120"),
    ],
)
def test_a_wrong_value_is_named(
    document: dict[str, Any], place: str, value: object, message: str
) -> None:
    inner, key = _at(document, place)
    inner[key] = value
    with pytest.raises(ManifestError) as caught:
        _read(document)
    assert str(caught.value).startswith("kws.onnx: manifest.")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["labels"].append("stop"), "manifest.outputs: is y with float32[1, 2, 4]"),
        (lambda d: d["labels"].append("no"), "manifest.labels: "),
        (lambda d: d["labels"].reverse(), "manifest.labels: "),
        (lambda d: d["timing"].update(chunk=4), "manifest.inputs: is x with float32[1, 2, 320]"),
        (lambda d: d["timing"].update(hop=160), "manifest.inputs: "),
        (lambda d: d["timing"].update(subsampling=2), "manifest.outputs: "),
        (lambda d: d["timing"].update(window=1), "window 1 is shorter than hop 320"),
        (lambda d: d["timing"].update(sample_rate=None), "manifest.timing.sample_rate: is null"),
        (lambda d: d["decoding"]["thresholds"].update(maybe=0.5), "maybe is no keyword"),
        (lambda d: d["decoding"]["thresholds"].update(_unknown_=0.5), "_unknown_ is no keyword"),
        (lambda d: d["state"].append(d["state"][0]), "state names must differ"),
        (lambda d: d["state"][0].update(shape=["B", 0]), "axis 0 in shape"),
        (lambda d: d["inputs"].append(_tensor("z", 1)), "manifest.inputs: is x"),
        (lambda d: d.update(batch=2), "manifest.batch: is 2, must be 1"),
        (lambda d: d.update(input="bytes"), "manifest.input: is 'bytes'"),
        (lambda d: d["golden"].update(x=_zeros(1, 3, 320)), "manifest.golden.x: is float32"),
        (lambda d: d["golden"].update(y=_zeros(1, 2, 4)), "manifest.golden.y: is float32"),
        (lambda d: d["provenance"].update(config={}), "manifest.provenance.config_sha256: is"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(
    document: dict[str, Any], change: Callable[[dict[str, Any]], object], message: str
) -> None:
    change(document)
    with pytest.raises(ManifestError) as caught:
        _read(document)
    assert message in str(caught.value)
    assert str(caught.value).startswith("kws.onnx: manifest")


def test_a_newer_format_says_which_edgeseq_is_needed(document: dict[str, Any]) -> None:
    """F27: read before anything else, since a newer format may have other keys."""
    newer = {"format": FORMAT + 1, "provenance": {"edgeseq": "0.7.0"}, "tokens": {}}
    with pytest.raises(ManifestError, match=r"manifest.format: is 2, .* needs edgeseq >= 0.7.0"):
        _read(newer)
    with pytest.raises(ManifestError, match="needs edgeseq"):
        _read({"format": 9, "provenance": {}})
    with pytest.raises(ManifestError, match=r"is 0, .* export the model again"):
        _read({**document, "format": 0})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("[1]", "is a list, must be an object"),
        ("[" * 100_000, "not valid JSON"),
        ('{"format": 1, "format": 1}', "'format' is given twice"),
        ('{"format": NaN}', "NaN is not allowed"),
    ],
)
def test_text_that_is_no_document_is_refused(text: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        Manifest.from_json(text, "kws.onnx")
    assert str(caught.value).startswith("kws.onnx: manifest: ")
    assert message in str(caught.value)


def test_speech_settings_are_checked() -> None:
    good: dict[str, object] = {
        "on": 0.6,
        "off": 0.35,
        "min_speech_s": 0.1,
        "min_silence_s": 0.3,
        "pad_s": 0.05,
        "flush_s": 0.1,
    }
    labels = ("_silence_", "speech")
    assert read_decoding("vad", labels, good) == VadDecoding(0.6, 0.35, 0.1, 0.3, 0.05, 0.1)
    for change in ({"off": 0.7}, {"on": 2}, {"pad_s": -1}, {"more": 1}):
        with pytest.raises(ManifestError, match=f"decoding.*{next(iter(change))}"):
            read_decoding("vad", labels, {**copy.deepcopy(good), **change})
