"""The text benchmark: models of the sizes that it says, and figures that follow from the bytes."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from benchmarks import text, text_models
from edgeseq.assets import clip
from recipes.fetch_text import Paragraphs
from tests.runtime.native_files import need_engine


@pytest.mark.parametrize("name", text_models.ENCODERS)
def test_models_are_as_large_as_their_names_say(name: str) -> None:
    recipe = text_models.recipe(name, steps=10)
    weights = sum(p.numel() for p in recipe.model.build().parameters())
    assert weights == pytest.approx(1e6 * float(name.rpartition("-")[2]), rel=0.1)
    assert (recipe.name, recipe.task) == (name, "bytes")
    # The held-out book is none of the texts.
    assert {corpus.path for corpus in recipe.corpora} == set(text.TRAINED_ON)


def test_compressors_alone_and_primed() -> None:
    draw = random.Random(1)
    words = ["".join(draw.choices("etaoinshrdlu", k=6)) for _ in range(500)]

    def some(count: int) -> bytes:
        return " ".join(draw.choices(words, k=count)).encode()

    xz, *_ = text.baselines(some(1000), some(4000))
    # Of 500 words each has 9 bits, in 7 bytes; the list itself must be told when alone.
    assert math.log2(500) / 7 < xz["primed"] < xz["alone"] < 8
    assert xz["primed"] < 0.85 * xz["alone"]


def test_paragraphs_of_a_page() -> None:
    parser = Paragraphs()
    parser.feed(
        "<title>no</title><h1>A &amp; B</h1>no<p>One\n <i>two</i>  three<br>four</p><p> </p>"
    )
    assert parser.found == ["A & B", "One two threefour", ""]


@pytest.mark.slow
def test_from_text_to_table(tmp_path: Path) -> None:
    """A model of a few steps, in every form, on bytes that it did not see."""
    need_engine()
    passage = clip("passage.txt")
    assert passage is not None
    book = passage.read_bytes()
    for name in text.TRAINED_ON:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(book[:800] * 20)
    text_models.make("gru-0.5", [tmp_path], tmp_path / "runs", minutes=0.02)
    folder = tmp_path / "runs" / "gru-0.5"
    again = (folder / "model.safetensors").read_bytes()
    text_models.make("gru-0.5", [tmp_path], tmp_path / "runs", minutes=9)
    assert (folder / "model.safetensors").read_bytes() == again
    made = text.row("gru-0.5", folder, book[800:])
    budget = json.loads((folder / "budget.json").read_text())
    assert made["budget"] == budget
    assert budget["bytes"] == budget["steps"] * 32 * 128
    values = [made[form]["bits_per_byte"] for form in text.FORMS]
    assert max(values) < 8
    assert np.ptp(values) < 0.02
    assert "| gru-0.5 | 507,872 |" in text.table([made])
