"""The state bytes that the README names for options of attention."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgeseq.training.config import Recipe

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("options", "state_bytes"),
    [
        ({}, 79_112),
        ({"kv_heads": 2}, 42_248),
        ({"kv_heads": 1}, 23_816),
        ({"latent": 24}, 14_600),
        ({"sinks": 4}, 79_112),
        ({"dilation": 2}, 152_840),
    ],
)
def test_state_bytes_of_options(options: dict[str, int], state_bytes: int) -> None:
    config = Recipe.load(ROOT / "recipes" / "words-transformer.toml").model
    model = replace(config, encoder=replace(config.encoder, **options)).build()
    assert sum(value.nbytes for value in model.initial_state(1).values()) == state_bytes
    assert f"{state_bytes:,}" in (ROOT / "README.md").read_text(encoding="utf-8")
