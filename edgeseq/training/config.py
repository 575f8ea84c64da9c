"""A recipe: everything that makes one model, read from TOML and checked by name."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from ..decoding import fill_decoding
from ..errors import ConfigError, ManifestError
from ..models import ModelConfig
from .tasks import BYTES, KEYWORD, TASKS, VAD

__all__ = ["Augment", "Corpus", "Optimise", "Recipe"]

T = TypeVar("T")

OPTIMIZERS = ("adamw", "muon")
PRECISIONS = ("float32", "bf16")

MOST_BASES = 8
"""Recipes that one recipe may extend, each the next."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """One set of recordings.

    Attributes:
        path: folder below the data root.
        reader: how the folder is read (see corpora.READERS).
        role: `words` (labelled clips), `speech` (anything but the labels), `noise` (mixed in and
            shown alone), `room` (impulse responses) or `text`.
        weight: share of a batch, relative to the other corpora of words, speech and noise.
        licence: of the recordings, for the manifest.
        attribution: who to name, for the manifest.
        splits: TSV with path, speaker, split, beside the recipe; "" where the reader knows them.
        hold_out: speakers, or for noise name parts, that are kept out of training.
        map: label in the folder to label of the model, where they differ.
        include: only files whose path below the folder starts with one of these.
        holds: labels that somebody may say in recordings of the role `speech`, whose text is not
            known; there they are neither asked for nor forbidden.
    """

    path: str
    reader: str
    role: str
    weight: float = 1.0
    licence: str = ""
    attribution: str = ""
    splits: str = ""
    hold_out: tuple[str, ...] = ()
    map: Mapping[str, str] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Augment:
    """Random changes to a training clip; each `*_p` is a probability, each pair a uniform range.

    `speech_speed`, `reverse_p` and `overlay_p` change speech and noise that hold no keyword: played
    at another speed, backwards (sounds of a voice in an order that no word has), or two recordings
    at once; `coloured_p` is the share of noise, shown alone or mixed in, that is made up instead.
    They make many hours of negatives out of few. With `burst_p` only a burst of a word's length is
    kept: else speech between two silences would mean a keyword. `babble_p` is the share of the
    noise that is other people talking. `hard_p` is the share of stretches without a keyword that
    come from where the model that training starts from (--init) hears one.
    """

    seconds: float = 2.2
    gain_db: tuple[float, float] = (-18.0, 6.0)
    speed: tuple[float, float] = (0.86, 1.17)
    speech_speed: tuple[float, float] = (1.0, 1.0)
    reverse_p: float = 0.0
    overlay_p: float = 0.0
    coloured_p: float = 0.0
    burst_p: float = 0.0
    hard_p: float = 0.0
    burst_seconds: tuple[float, float] = (0.3, 1.3)
    noise_p: float = 0.6
    babble_p: float = 0.0
    snr_db: tuple[float, float] = (0.0, 30.0)
    floor_dbfs: tuple[float, float] = (-90.0, -50.0)
    room_p: float = 0.2
    band_limit_p: float = 0.2
    band_limit_hz: tuple[float, float] = (2500.0, 3900.0)
    time_mask_p: float = 0.5
    time_mask_frames: int = 6
    band_mask_p: float = 0.5
    band_mask_bands: int = 8
    tilt_db: float = 10.0
    ripple_db: float = 5.0
    warp_bands: float = 1.0
    warp_scale: float = 0.05


@dataclass(frozen=True, slots=True)
class Optimise:
    """Linear warm-up and cosine decay to zero, over a fixed number of steps.

    `optimizer` is `adamw`, or `muon` for the encoder's matrices and AdamW for the rest: on keywords
    300 steps of it leave a fifth less loss than 300 of AdamW.

    `precision` is `float32`, or `bf16` for products in bfloat16 (weights, logits and losses stay
    float32). float16 is not offered: it needs a loss scale, which can collapse.
    """

    optimizer: str = "adamw"
    steps: int = 4000
    batch: int = 64
    length: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup_steps: int = 200
    clip_norm: float = 1.0
    ema: float = 0.998
    seed: int = 1
    validate_every: int = 500
    precision: str = "float32"

    def __post_init__(self) -> None:
        """Refuse an optimiser or a precision that is not there."""
        if self.precision not in PRECISIONS:
            raise ConfigError(
                f"train.precision is {self.precision!r}; allowed: {', '.join(PRECISIONS)}"
            )
        if self.optimizer not in OPTIMIZERS:
            raise ConfigError(
                f"train.optimizer is {self.optimizer!r}; allowed: {', '.join(OPTIMIZERS)}"
            )


@dataclass(frozen=True, slots=True)
class Recipe:
    """One model: what it is, what it learns from, how."""

    name: str
    task: str
    labels: tuple[str, ...]
    model: ModelConfig
    corpora: tuple[Corpus, ...]
    augment: Augment
    optimise: Optimise
    decoding: Mapping[str, Any]
    licence: str
    folder: Path

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """Read a recipe.

        Raises:
            ConfigError: the file is missing or no TOML, or a key or value is not allowed; the
                message names the key.
        """
        try:
            return cls.from_dict(_read(path), path.parent)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], folder: Path) -> Recipe:
        """Check plain values and build the recipe; `folder` is where split files are looked up."""
        allowed = {
            "name",
            "task",
            "labels",
            "licence",
            "model",
            "data",
            "augment",
            "train",
            "decoding",
        }
        _known(values, allowed, "recipe")
        task = values.get("task")
        if not isinstance(task, str) or task not in TASKS:
            raise ConfigError(f"task is {task!r}; allowed: {', '.join(TASKS)}")
        labels = tuple(_texts(values.get("labels", ()), "labels"))
        full = {
            KEYWORD: ("_silence_", "_unknown_", *labels),
            VAD: ("_silence_", "speech"),
            BYTES: (),
        }
        outputs = 256 if task == BYTES else len(full[task])
        corpora = tuple(_fill(Corpus, entry, "data") for entry in _list(values, "data"))
        if lost := sorted({label for c in corpora for label in c.holds} - set(full[task])):
            raise ConfigError(f"data.holds names {lost[0]!r}, which is none of the labels")
        decoding = _table(values, "decoding")
        try:
            fill_decoding(task, full[task], decoding)
        except ManifestError as error:
            raise ConfigError(str(error)) from None
        return cls(
            name=str(values.get("name", "model")),
            task=task,
            labels=full[task],
            model=ModelConfig.from_dict(_table(values, "model"), outputs),
            corpora=corpora,
            augment=_fill(Augment, values.get("augment", {}), "augment"),
            optimise=_fill(Optimise, values.get("train", {}), "train"),
            decoding=decoding,
            licence=str(values.get("licence", "not stated")),
            folder=folder,
        )


def _read(path: Path, depth: int = 0) -> dict[str, Any]:
    """The tables of a recipe laid over those of the recipe that it `extends`."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"cannot be read as a recipe: {error}") from error
    base = values.pop("extends", None)
    if base is None:
        return values
    if not isinstance(base, str) or Path(base).name != base:
        raise ConfigError(f"extends is {base!r}; it must name a recipe in the same folder")
    if depth == MOST_BASES:
        raise ConfigError(f"extends leads through more than {MOST_BASES} recipes, or in a circle")
    return _laid_over(_read(path.parent / base, depth + 1), values)


def _laid_over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`under` with the values of `over`, table by table; a list is replaced as a whole."""
    merged = {**under, **over}
    for key in under.keys() & over.keys():
        if isinstance(under[key], dict) and isinstance(over[key], dict):
            merged[key] = _laid_over(under[key], over[key])
    return merged


def _list(values: Mapping[str, Any], key: str) -> list[Any]:
    value = values.get(key, [])
    if not isinstance(value, list):
        raise ConfigError(f"{key} is {value!r}; it must be a list of tables")
    return value


def _table(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = values.get(key, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{key} is {value!r}; it must be a table")
    return dict(value)


def _texts(values: object, where: str) -> Sequence[str]:
    if not isinstance(values, list | tuple) or not all(isinstance(v, str) for v in values):
        raise ConfigError(f"{where} is {values!r}; it must be a list of texts")
    return values


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


FITS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "str": (lambda v: isinstance(v, str), "a text"),
    "bool": (lambda v: isinstance(v, bool), "true or false"),
    "int": (lambda v: isinstance(v, int) and not isinstance(v, bool), "a whole number"),
    "float": (_is_number, "a number"),
    "tuple[float, float]": (
        lambda v: isinstance(v, list | tuple) and len(v) == 2 and all(map(_is_number, v)),
        "a pair of numbers",
    ),
    "tuple[str, ...]": (
        lambda v: isinstance(v, list | tuple) and all(isinstance(x, str) for x in v),
        "a list of texts",
    ),
    "Mapping[str, str]": (
        lambda v: isinstance(v, dict) and all(isinstance(x, str) for x in v.values()),
        "a table of texts",
    ),
}
"""What a field of the recipe classes takes, by its annotation."""


def _known(values: Mapping[str, Any], allowed: set[str], where: str) -> None:
    if not isinstance(values, dict):
        raise ConfigError(f"{where} is {values!r}; it must be a table")
    unknown = sorted(set(values) - allowed)
    if unknown:
        raise ConfigError(
            f"{where} has unknown key {unknown[0]!r}; allowed: {', '.join(sorted(allowed))}"
        )


def _fill(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    known = fields(kind)  # type: ignore[arg-type]
    _known(values, {f.name for f in known}, where)
    for f in known:
        if f.default is MISSING and f.default_factory is MISSING and f.name not in values:
            raise ConfigError(f"{where}.{f.name} is missing")
        fits, words = FITS[str(f.type)]
        if f.name in values and not fits(values[f.name]):
            like = f" like {f.default}" if f.default is not MISSING and f.default != "" else ""
            raise ConfigError(f"{where}.{f.name} is {values[f.name]!r}; it must be {words}{like}")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
