"""The folder that `edgeseq export --target firmware` writes, read back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, ManifestError
from ..manifest import MOST_MANIFEST_BYTES, Manifest

__all__ = ["MANIFEST", "FirmwareFolder", "check_audio", "read_folder"]

MANIFEST = "manifest.json"
"""What the model says about itself, as in an .esq file."""

SOURCE, HEADER = "model_data.c", "model_data.h"

MOST_HEADER_BYTES = 2**20
DEFINE = re.compile(r"^#define EDGESEQ_(\w+) (\d{1,9})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FirmwareFolder:
    """A model in C.

    Attributes:
        path: the folder.
        manifest: what the model says about itself.
        output_fraction: a logit is its integer divided by 2 to this power.
        arena_bytes: memory that the engine needs for it.
    """

    path: Path
    manifest: Manifest
    output_fraction: int
    arena_bytes: int


def read_folder(path: Path) -> FirmwareFolder:
    """The folder at `path`.

    Raises:
        ManifestError: a file is missing or damaged, or two of them are of different models.
    """
    for name in (SOURCE, HEADER, MANIFEST):
        if not (path / name).is_file():
            raise ManifestError(
                f"{path}: has no {name}; make the folder with: "
                f"edgeseq export MODEL --target firmware -o {path}"
            )
    manifest = Manifest.from_json(_read(path / MANIFEST, MOST_MANIFEST_BYTES), str(path / MANIFEST))
    found = {name: int(n) for name, n in DEFINE.findall(_read(path / HEADER, MOST_HEADER_BYTES))}
    for name, said in (
        ("INPUT_DIM", manifest.timing.hop),
        ("OUTPUT_DIM", manifest.output_dim),
        ("SAMPLE_RATE", manifest.timing.sample_rate or 0),
        ("TAKES_BYTES", int(manifest.input == "bytes")),
    ):
        if found.get(name) != said:
            raise ManifestError(
                f"{path / HEADER}: EDGESEQ_{name} is {found.get(name, 'missing')}, {MANIFEST} says "
                f"{said}; export the model again"
            )
    try:
        return FirmwareFolder(path, manifest, found["OUTPUT_FRACTION"], found["ARENA_BYTES"])
    except KeyError as error:
        raise ManifestError(
            f"{path / HEADER}: EDGESEQ_{error.args[0]} is missing; export the model again"
        ) from None


def check_audio(task: str, where: str) -> None:
    """Raise ConfigError when a model of `task` takes no audio; `where` leads the message."""
    if task == "bytes":
        raise ConfigError(
            f"{where}: this is a {task} model, which takes text; boards are simulated with models "
            "that take audio"
        )


def _read(path: Path, most: int) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > most:
        raise ManifestError(f"{path}: has {len(data):,} bytes; at most {most:,} are allowed")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ManifestError(f"{path}: is damaged: it is not UTF-8") from None
