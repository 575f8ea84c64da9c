"""Settings of the decoders, as they stand in a manifest, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from .errors import ManifestError
from .strict import Fields

__all__ = [
    "NOT_WORDS",
    "ByteDecoding",
    "Decoding",
    "KeywordDecoding",
    "VadDecoding",
    "check_decoding",
    "decoding_fields",
    "fill_decoding",
    "read_decoding",
]

NOT_WORDS = ("_silence_", "_unknown_")
"""The first two labels of a keyword model; they are never emitted."""


@dataclass(frozen=True, slots=True)
class KeywordDecoding:
    """Settings of the keyword decoder; labels without a threshold are never emitted."""

    thresholds: Mapping[str, float]
    smoothing_s: float
    refractory_s: float
    flush_s: float


@dataclass(frozen=True, slots=True)
class VadDecoding:
    """Settings of the speech decoder: thresholds with hysteresis, least lengths and padding."""

    on: float
    off: float
    min_speech_s: float
    min_silence_s: float
    pad_s: float
    flush_s: float


@dataclass(frozen=True, slots=True)
class ByteDecoding:
    """Settings of the text decoder."""

    flush_s: float


Decoding = KeywordDecoding | VadDecoding | ByteDecoding


def check_decoding(
    task: str, labels: tuple[str, ...], decoding: Decoding, path: str = "manifest.decoding"
) -> None:
    """Raise ManifestError when settings do not fit the task or the labels."""
    if isinstance(decoding, KeywordDecoding):
        words = labels[len(NOT_WORDS) :]
        unknown = sorted(set(decoding.thresholds) - set(words))
        if unknown:
            raise ManifestError(
                f"{path}.thresholds: {', '.join(unknown)} is no keyword of this model; "
                f"it knows {', '.join(words)}"
            )
    if isinstance(decoding, VadDecoding) and decoding.off > decoding.on:
        raise ManifestError(f"{path}.off: is {decoding.off}, must not be above on ({decoding.on})")
    kinds = {"keyword": KeywordDecoding, "vad": VadDecoding, "bytes": ByteDecoding}
    if not isinstance(decoding, kinds[task]):
        raise ManifestError(f"{path}: is no {kinds[task].__name__} of task {task}")


DEFAULTS: dict[str, dict[str, float]] = {
    "keyword": {"smoothing_s": 0.24, "refractory_s": 1.0, "flush_s": 0.5},
    "vad": {
        "on": 0.6, "off": 0.35, "min_speech_s": 0.1, "min_silence_s": 0.3, "pad_s": 0.05,
        "flush_s": 0.1,
    },
    "bytes": {"flush_s": 0.0},
}  # fmt: skip
DEFAULT_THRESHOLD = 0.8


def fill_decoding(task: str, labels: tuple[str, ...], given: Mapping[str, object]) -> Decoding:
    """The settings in `given`, and defaults for those it leaves out; ManifestError as below."""
    values: dict[str, object] = {**DEFAULTS[task], **given}
    if task == "keyword":
        own = values.get("thresholds", {})
        words = dict.fromkeys(labels[len(NOT_WORDS) :], DEFAULT_THRESHOLD)
        values["thresholds"] = {**words, **own} if isinstance(own, Mapping) else own
    return read_decoding(task, labels, values)


def read_decoding(
    task: str, labels: tuple[str, ...], values: Mapping[str, object], path: str = "decoding"
) -> Decoding:
    """The decoder settings of `task` in `values`, checked against the labels."""
    decoding = Fields(dict(values), path).all(lambda f: decoding_fields(task, f))
    check_decoding(task, labels, decoding, path)
    return decoding


def decoding_fields(task: str, f: Fields) -> Decoding:
    """Take the settings of `task` from a JSON object."""

    def seconds(key: str) -> float:
        return f.number(key, 0.0, 60.0)

    if task == "keyword":
        return KeywordDecoding(
            f.numbers("thresholds", 0.0, 1.0),
            **{key: seconds(key) for key in ("smoothing_s", "refractory_s", "flush_s")},
        )
    if task == "vad":
        return VadDecoding(
            f.number("on", 0.0, 1.0),
            f.number("off", 0.0, 1.0),
            *(seconds(key.name) for key in fields(VadDecoding)[2:]),
        )
    return ByteDecoding(seconds("flush_s"))
