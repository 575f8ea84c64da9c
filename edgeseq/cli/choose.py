"""Which models a command runs: their files, names and thresholds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from ..assets import default, resolve
from ..decoding import KeywordDecoding, VadDecoding
from ..errors import ConfigError
from ..manifest import Manifest
from ..runtime import read_manifest

__all__ = ["Chosen", "choose", "choose_any", "parse_thresholds", "thresholds_for"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model to run.

    Attributes:
        name: what output calls it; different for every chosen model.
        path: its file.
        manifest: what the file says.
    """

    name: str
    path: Path
    manifest: Manifest


def choose(names: Sequence[str], text: bool, files: Iterable[Path] | None = None) -> list[Chosen]:
    """The models called `names`, or `files` (else the default ones) when there are no names.

    ConfigError when one of them takes text where the input is audio, or the other way round.
    """
    chosen = choose_any([resolve(name) for name in names] or list(files or default(text)))
    for model in chosen:
        if (model.manifest.input == "bytes") != text:
            takes, given = ("text", "audio") if not text else ("audio", "text")
            option = "--text" if not text else "--mic, --wav or --stdin"
            raise ConfigError(
                f"{model.path}: this is a {model.manifest.task} model, which takes {takes}, but "
                f"the input is {given}; use {option}, or another model"
            )
    return chosen


def choose_any(paths: Sequence[Path]) -> list[Chosen]:
    """The models in `paths`, whatever they take; ConfigError when one is there twice."""
    double = sorted({str(path) for path in paths if paths.count(path) > 1})
    if double:
        raise ConfigError(f"{', '.join(double)}: given twice; name each model once")
    manifests = [read_manifest(path) for path in paths]
    return [
        Chosen(name, path, manifest)
        for name, path, manifest in zip(_names(paths, manifests), paths, manifests, strict=True)
    ]


def _names(paths: Sequence[Path], manifests: list[Manifest]) -> list[str]:
    """The shortest kind of name that tells all models apart."""
    for names in ([m.name for m in manifests], [p.stem for p in paths], [p.name for p in paths]):
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def parse_thresholds(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, float]:
    """LABEL=P options as a mapping; a usage error for anything else."""
    thresholds: dict[str, float] = {}
    for value in values:
        label, _, number = value.rpartition("=")
        try:
            p = float(number)
        except ValueError:
            p = -1.0
        if not label or not 0 <= p <= 1:
            raise click.BadParameter(f"{value!r} is not LABEL=P with P from 0 to 1, as in yes=0.8")
        thresholds[label] = p
    return thresholds


def thresholds_for(
    chosen: Sequence[Chosen], thresholds: Mapping[str, float]
) -> list[dict[str, object]]:
    """Decoder settings of each model that put `thresholds` in place of its own."""
    known = {label for model in chosen for label in _labels(model.manifest)}
    unknown = sorted(set(thresholds) - known)
    if unknown:
        raise ConfigError(
            f"--threshold: no model here knows {', '.join(unknown)}; "
            f"known are: {', '.join(sorted(known)) or 'none'}"
        )
    return [_settings(model.manifest, thresholds) for model in chosen]


def _labels(manifest: Manifest) -> list[str]:
    return [label for label in manifest.labels if not label.startswith("_")]


def _settings(manifest: Manifest, thresholds: Mapping[str, float]) -> dict[str, object]:
    own = {label: p for label, p in thresholds.items() if label in _labels(manifest)}
    decoding = manifest.decoding
    if own and isinstance(decoding, KeywordDecoding):
        return {"thresholds": {**decoding.thresholds, **own}}
    if own and isinstance(decoding, VadDecoding):
        on = own["speech"]
        # Speech must not end above the probability at which it begins.
        return {"on": on, "off": min(decoding.off, on)}
    return {}
