"""Models and clips that come with the package."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from ..errors import ManifestError

__all__ = ["DEFAULT_AUDIO", "DEFAULT_TEXT", "bundled", "clip", "default", "resolve"]

FOLDER = Path(__file__).parent

DEFAULT_AUDIO = ("words-gru", "words-transformer", "vad-gru")
DEFAULT_TEXT = ("bytes-gru", "bytes-transformer")
"""What a stream runs when no model is named: both families on the same input."""


def bundled() -> dict[str, Path]:
    """The models that come with this package, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.onnx"))}


def default(text: bool) -> list[Path]:
    """The models to run when none is named; ManifestError when this installation has none."""
    have = bundled()
    names = DEFAULT_TEXT if text else DEFAULT_AUDIO
    found = [have[name] for name in names if name in have]
    if not found:
        raise ManifestError(
            f"this installation has no bundled model for {'text' if text else 'audio'}; "
            "name a model file (MODEL.onnx)"
        )
    return found


def resolve(name_or_path: str) -> Path:
    """The file of a bundled model's name, or the path itself when it is there."""
    models = bundled()
    if name_or_path in models:
        return models[name_or_path]
    path = Path(name_or_path)
    if path.exists():
        return path
    folder = path.parent
    files = [str(file) for file in folder.glob("*.onnx")] if folder.is_dir() else []
    raise ManifestError(
        f"{name_or_path}: no such model file, and no bundled model has this name"
        + _advice(name_or_path, models, files)
    )


def clip(name: str) -> Path | None:
    """A recording that comes with this package, such as `words.wav`."""
    path = FOLDER / "clips" / name
    return path if path.exists() else None


def _advice(wanted: str, models: Iterable[str], files: list[str]) -> str:
    near = difflib.get_close_matches(wanted, [*models, *files], n=3, cutoff=0.6)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; bundled are: {', '.join(models) or 'none'}"
