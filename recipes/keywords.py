"""The keywords that the synthetic clips are made of."""

from __future__ import annotations

import tomllib
from pathlib import Path

__all__ = ["keywords"]


def keywords() -> list[str]:
    """The labels of words-base.toml: six wake words, four commands, ten digits."""
    recipe = Path(__file__).parent / "words-base.toml"
    labels: list[str] = tomllib.loads(recipe.read_text(encoding="utf-8"))["labels"]
    return labels
