"""What an exported model file says about itself: one strict JSON document.

It lies under the metadata key `edgeseq.manifest` of the ONNX file. Nothing is guessed: an unknown
or missing key, a value of another type or two values that contradict each other are a
ManifestError that names the place, such as `kws.onnx: manifest.timing.hop: missing`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from .decoding import NOT_WORDS, Decoding, check_decoding, decoding_fields
from .errors import ConfigError, ManifestError
from .spec import DTYPES, StateSpec, TensorSpec, Timing
from .strict import Fields, parse_object

__all__ = [
    "FORMAT",
    "KEY",
    "DataSource",
    "Golden",
    "GoldenTensor",
    "Manifest",
    "Provenance",
    "Quantization",
    "config_digest",
]

FORMAT = 1
"""Number of the manifest format that this version reads and writes."""

KEY = "edgeseq.manifest"
"""Metadata key of the ONNX file under which the manifest lies."""

MOST_MANIFEST_BYTES = 16 * 2**20
"""A longer document is refused before it is read."""

FAMILIES = ("gru", "lstm", "linear", "transformer", "hybrid")
TASKS = ("keyword", "vad", "bytes")
SCHEMES = ("none", "fp16", "int8", "int8-static", "int4", "mixed")
BYTE_VALUES = 256

MOST_STREAM_BYTES = 64 * 2**20
"""What one stream may take for input, output, state and smoothing; bundled models take 0.4 MB."""

LEAST_RATE, MOST_RATE = 1000, 768_000


def config_digest(config: Mapping[str, object]) -> str:
    """SHA-256 of a config written as sorted JSON without spaces; `provenance.config_sha256`."""
    return hashlib.sha256(_canonical(config).encode()).hexdigest()


def _canonical(value: object) -> str:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


@dataclass(frozen=True, slots=True)
class Quantization:
    """How weights are stored: `scheme`, how many matrix ops are integer or float, weight bytes."""

    scheme: str
    integer_ops: int
    float_ops: int
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class DataSource:
    """A data set that the model was trained on."""

    name: str
    licence: str
    attribution: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a model comes from: version, config, data, licence, and who made it."""

    edgeseq: str
    config: Mapping[str, object]
    config_sha256: str
    data: tuple[DataSource, ...]
    licence: str
    created_by: str

    def __post_init__(self) -> None:
        """Refuse a config hash that is not the config's."""
        if self.config_sha256 != config_digest(self.config):
            raise ManifestError(
                f"manifest.provenance.config_sha256: is {self.config_sha256!r}, but the config "
                f"has {config_digest(self.config)}; export the model again"
            )


@dataclass(frozen=True, slots=True)
class GoldenTensor:
    """Values of one tensor: little-endian bytes in base64."""

    shape: tuple[int, ...]
    dtype: str
    data: str

    def check(self, path: str) -> None:
        """Raise ManifestError when `data` does not hold `shape` values of `dtype`."""
        try:
            size = len(base64.b64decode(self.data, validate=True))
        except (binascii.Error, ValueError):
            raise ManifestError(f"{path}.data: is not base64") from None
        expected = TensorSpec(path, self.shape, self.dtype).nbytes()
        if size != expected:
            raise ManifestError(
                f"{path}.data: holds {size} bytes, {self.dtype}{list(self.shape)} has {expected}"
            )


@dataclass(frozen=True, slots=True)
class Golden:
    """A short input `x`, the `y` that the model gives from a fresh state, and how near is equal."""

    x: GoldenTensor
    y: GoldenTensor
    tolerance: float


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything a runtime needs to know about a model file.

    Attributes:
        name: short name of the model.
        family: gru, lstm, linear, transformer or hybrid.
        task: keyword, vad or bytes.
        labels: names of the outputs; empty for bytes, whose outputs are the 256 byte values.
        timing: how frames, chunks and outputs lie in time.
        input: pcm (x holds samples) or bytes (x holds byte values).
        batch: rows that a step takes, always 1 in this format.
        inputs: the tensor x; its state inputs are `state.<name>`.
        outputs: the tensor y; its state outputs are `next_state.<name>`.
        state_spec: what is carried from step to step.
        parameters: trained numbers.
        macs_per_frame: multiply-accumulates for one frame in the step use.
        quantization: how the weights are stored.
        decoding: default settings of the task's decoder.
        provenance: where the model comes from.
        golden: short input with expected output.
        format: number of the manifest format.
    """

    name: str
    family: str
    task: str
    labels: tuple[str, ...]
    timing: Timing
    input: str
    batch: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    state_spec: StateSpec
    parameters: int
    macs_per_frame: int
    quantization: Quantization
    decoding: Decoding
    provenance: Provenance
    golden: Golden
    format: int = field(default=FORMAT)

    def __post_init__(self) -> None:
        """Refuse a manifest whose parts contradict each other."""
        _check_format(self.format, self.provenance.edgeseq)
        if self.batch != 1:
            raise ManifestError(f"manifest.batch: is {self.batch}, must be 1")
        _check_labels(self)
        _check_input(self)
        for name, given, shape, dtype in (
            ("inputs", self.inputs, self._x_shape(1), self.x_dtype),
            ("outputs", self.outputs, self._y_shape(1), "float32"),
        ):
            tensor = "x" if name == "inputs" else "y"
            expected = f"exactly {tensor} with {dtype}{list(shape)}"
            found = [f"{t.name} with {t.dtype}{list(t.bound(1))}" for t in given]
            if found != [f"{tensor} with {dtype}{list(shape)}"]:
                raise ManifestError(
                    f"manifest.{name}: is {', '.join(found) or 'empty'}; task, labels and timing "
                    f"ask for {expected}"
                )
        check_decoding(self.task, self.labels, self.decoding)
        self._check_size()
        self._check_golden()

    @property
    def x_dtype(self) -> str:
        """Element type of the model input."""
        return "float32" if self.input == "pcm" else "int64"

    @property
    def output_dim(self) -> int:
        """Outputs per frame: one a label, or one a byte value."""
        return len(self.labels) or BYTE_VALUES

    @property
    def digest(self) -> str:
        """SHA-256 of the document; the golden makes it differ whenever the weights do."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def _x_shape(self, steps: int) -> tuple[int, ...]:
        return (1, steps * self.timing.chunk, self.timing.hop)

    def _y_shape(self, steps: int) -> tuple[int, ...]:
        return (1, steps * self.timing.chunk // self.timing.subsampling, self.output_dim)

    def _check_size(self) -> None:
        """Refuse numbers that would fill the memory before anything has been heard."""
        tensors = (*self.inputs, *self.outputs, *self.state_spec)
        longest = max(s for s in asdict(self.decoding).values() if isinstance(s, float))
        outputs = self.timing.frames(longest) if self.input == "pcm" else 0
        size = sum(tensor.nbytes() for tensor in tensors) + 8 * outputs * self.output_dim
        size += 4 * self.timing.lookahead * self.timing.hop
        if size > MOST_STREAM_BYTES:
            raise ManifestError(
                f"manifest: a stream would take {size:,} bytes for tensors and decoding; at most "
                f"{MOST_STREAM_BYTES:,} are allowed"
            )

    def _check_golden(self) -> None:
        x, y = self.golden.x, self.golden.y
        x.check("manifest.golden.x")
        y.check("manifest.golden.y")
        steps = x.shape[1] // self.timing.chunk if len(x.shape) == 3 else 0
        for name, tensor, shape, dtype in (
            ("x", x, self._x_shape(max(1, steps)), self.x_dtype),
            ("y", y, self._y_shape(max(1, steps)), "float32"),
        ):
            if tensor.shape != shape or tensor.dtype != dtype:
                raise ManifestError(
                    f"manifest.golden.{name}: is {tensor.dtype}{list(tensor.shape)}, a whole "
                    f"number of steps would be {dtype}{list(shape)}"
                )

    def to_json(self) -> str:
        """The document: keys sorted, no spaces; equal manifests give equal bytes."""
        document = asdict(self)
        document["state"] = document.pop("state_spec")["tensors"]
        return _canonical(document)

    @classmethod
    def from_json(cls, text: str, where: str) -> Manifest:
        """Read a document strictly; `where` (a file name) leads every message."""
        try:
            return _read(parse_object(text, "manifest"))
        except (ManifestError, ConfigError) as error:
            lead = "" if isinstance(error, ManifestError) else "manifest: "
            raise ManifestError(f"{where}: {lead}{error}") from None


def _check_format(number: int, written_by: str) -> None:
    if number > FORMAT:
        raise ManifestError(
            f"manifest.format: is {number}, this edgeseq reads {FORMAT}; the file needs edgeseq "
            f">= {written_by}: pip install --upgrade 'edgeseq>={written_by}'"
        )
    if number < FORMAT:
        raise ManifestError(
            f"manifest.format: is {number}, this edgeseq reads {FORMAT}; the file was written by "
            f"edgeseq {written_by}: export the model again"
        )


def _check_labels(manifest: Manifest) -> None:
    labels, task = manifest.labels, manifest.task
    if task == "keyword":
        good = labels[:2] == NOT_WORDS and len(labels) > 2 and len(set(labels)) == len(labels)
        rule = "_silence_, _unknown_ and then at least one keyword, all different"
    elif task == "vad":
        good, rule = labels == ("_silence_", "speech"), "_silence_, speech"
    else:
        good, rule = not labels, "empty"
    if not good:
        raise ManifestError(
            f"manifest.labels: is {', '.join(labels) or 'empty'}; task {task} needs {rule}"
        )


def _check_input(manifest: Manifest) -> None:
    timing, expected = manifest.timing, "bytes" if manifest.task == "bytes" else "pcm"
    if manifest.input != expected:
        raise ManifestError(
            f"manifest.input: is {manifest.input!r}, task {manifest.task} takes {expected!r}"
        )
    if expected == "pcm" and timing.sample_rate is None:
        raise ManifestError("manifest.timing.sample_rate: is null; pcm input needs a number")
    if timing.sample_rate and not LEAST_RATE <= timing.sample_rate <= MOST_RATE:
        raise ManifestError(
            f"manifest.timing.sample_rate: is {timing.sample_rate}, must lie in "
            f"[{LEAST_RATE}, {MOST_RATE}]"
        )
    text = (timing.sample_rate, timing.window, timing.hop, timing.subsampling)
    if expected == "bytes" and text != (None, 1, 1, 1):
        raise ManifestError(
            "manifest.timing: bytes input needs sample_rate null and window, hop, subsampling 1, "
            f"is {text}"
        )


def _read_timing(f: Fields) -> Timing:
    return Timing(
        sample_rate=f.whole_or_none("sample_rate", 1),
        window=f.whole("window", 1),
        hop=f.whole("hop", 1),
        chunk=f.whole("chunk", 1),
        subsampling=f.whole("subsampling", 1),
        lookahead=f.whole("lookahead"),
        left_context=f.whole_or_none("left_context"),
    )


def _read_tensor(f: Fields) -> TensorSpec:
    return TensorSpec(f.text("name"), f.axes("shape"), f.text("dtype", DTYPES), f.number("fill"))


def _read_golden_tensor(f: Fields) -> GoldenTensor:
    shape = tuple(axis for axis in f.axes("shape") if isinstance(axis, int))
    return GoldenTensor(shape, f.text("dtype", DTYPES), f.text("data"))


def _read_source(f: Fields) -> DataSource:
    return DataSource(f.text("name"), f.text("licence"), f.text("attribution"))


def _read_provenance(f: Fields) -> Provenance:
    return Provenance(
        edgeseq=f.text("edgeseq"),
        config=f.mapping("config"),
        config_sha256=f.text("config_sha256"),
        data=f.items("data", _read_source),
        licence=f.text("licence"),
        created_by=f.text("created_by"),
    )


def _read(f: Fields) -> Manifest:
    # A newer format may have other keys, so its number is judged before anything else is read.
    number = f.whole("format")
    if number != FORMAT:
        written_by = f.mapping("provenance").get("edgeseq")
        _check_format(number, written_by if isinstance(written_by, str) else "(not stated)")
    task = f.text("task", TASKS)
    manifest = Manifest(
        format=number,
        name=f.text("name"),
        family=f.text("family", FAMILIES),
        task=task,
        labels=f.texts("labels"),
        timing=f.sub("timing").all(_read_timing),
        input=f.text("input", ("pcm", "bytes")),
        batch=f.whole("batch", 1),
        inputs=f.items("inputs", _read_tensor),
        outputs=f.items("outputs", _read_tensor),
        state_spec=StateSpec(f.items("state", _read_tensor)),
        parameters=f.whole("parameters"),
        macs_per_frame=f.whole("macs_per_frame"),
        quantization=f.sub("quantization").all(_read_quantization),
        decoding=f.sub("decoding").all(lambda inner: decoding_fields(task, inner)),
        provenance=f.sub("provenance").all(_read_provenance),
        golden=f.sub("golden").all(
            lambda g: Golden(
                g.sub("x").all(_read_golden_tensor),
                g.sub("y").all(_read_golden_tensor),
                g.number("tolerance", 0.0),
            )
        ),
    )
    f.done()
    return manifest


def _read_quantization(f: Fields) -> Quantization:
    return Quantization(
        f.text("scheme", SCHEMES),
        f.whole("integer_ops"),
        f.whole("float_ops"),
        f.whole("weight_bytes"),
    )
