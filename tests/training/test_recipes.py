"""Recipes: those that ship can be read, and a wrong one is refused in a line that names the key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeseq.errors import ConfigError
from edgeseq.models import ModelConfig
from edgeseq.training.config import Recipe

RECIPES = Path(__file__).parents[2] / "recipes"
FAMILIES = ("-gru", "-linear", "-transformer")
WHOLE = sorted(p for p in RECIPES.glob("*.toml") if p.stem.endswith(FAMILIES))
GOOD = """
task = "keyword"
labels = ["yes", "no"]
[model.frontend]
kind = "logmel"
[model.encoder]
kind = "gru"
hidden = 8
"""


@pytest.mark.parametrize("path", WHOLE, ids=lambda p: p.stem)
def test_shipped_recipes_build(path: Path) -> None:
    recipe = Recipe.load(path)
    model = recipe.model.build()
    assert model.output_dim == (256 if recipe.task == "bytes" else len(recipe.labels))
    assert all(c.licence and c.attribution for c in recipe.corpora)
    assert recipe.optimise.steps % recipe.optimise.validate_every == 0
    for corpus in recipe.corpora:
        assert not corpus.splits or (RECIPES / corpus.splits).is_file()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('task = "keyword"', 'task = "sing"', "task is 'sing'; allowed: keyword, vad, bytes"),
        ("hidden = 8", "hiden = 8", r"model\.encoder\.hiden is unknown for gru"),
        ("hidden = 8", "hidden = 0", "hidden is 0; it must be at least 1"),
        ('kind = "gru"', 'kind = "rnn"', r"model\.encoder\.kind is 'rnn'; allowed: gru, lstm"),
        ("labels", "label", "recipe has unknown key 'label'"),
        ("[model.frontend]", "[model.front]", r"model\.front is unknown; allowed: model\.frontend"),
        ('[model.frontend]\nkind = "logmel"\n', "", r"model\.frontend is missing"),
        ('labels = ["yes"', "labels = [yes", "cannot be read as a recipe"),
        ("hidden = 8", "hidden = 8\n[train]\nsteps = 'many'", r"train\.steps is 'many'"),
        ("hidden = 8", "hidden = 8\n[[data]]\npath = 'x'", r"data\.reader is missing"),
        ("hidden = 8", "hidden = 8\ndropout = 1.0", r"dropout is 1\.0; it must be in"),
    ],
)
def test_a_wrong_recipe_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        Recipe.load(path)
    assert str(path) in str(caught.value)


def test_a_hybrid_is_its_list_of_layers_and_survives_json(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    own = 'kind = "hybrid"\nlayers = ["linear", "attention", "linear"]'
    path.write_text(GOOD.replace('kind = "gru"\nhidden = 8', own), encoding="utf-8")
    config = Recipe.load(path).model
    blocks = config.build().layers["encoder"].blocks
    assert [type(b).__name__ for b in blocks] == ["LinearBlock", "Block", "LinearBlock"]
    assert ModelConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("hybrid\nlayers = 3", r"model\.encoder\.layers is 3; it must be a list"),
        ("hybrid\nlayers = [3]", r"layers is \[3\]; it must be a list like \['linear'"),
        ('hybrid\nlayers = ["gru"]', r"layers is \['gru'\]; .* linear, attention"),
        ("hybrid\nlayers = []", r"layers is \[\]; it must name one block"),
        ("hybrid\nheads = 5", "heads 5 does not divide dim 96"),
        ("linear\nconv = 1", "conv is 1; it must be 0"),
        ("linear\nfeed_forward = 0", "feed_forward is 0; it must be at least 1"),
        ("transformer\nkv_heads = 3", "kv_heads is 3; it must divide heads 4"),
        ("transformer\nlatent = -1", "latent is -1 .* it must be 0"),
        ("transformer\nlatent = 8\nkv_heads = 2", "latent is 8 with kv_heads 2"),
        ("transformer\nsinks = -1", "sinks is -1; it must be 0"),
        ("transformer\ndilation = 0", "dilation is 0; it must be at least 1"),
        ("transformer\ndilation = 2", "dilation is 2 without a convolution"),
    ],
)
def test_a_wrong_encoder_is_named(tmp_path: Path, encoder: str, message: str) -> None:
    kind, _, rest = encoder.partition("\n")
    path = tmp_path / "recipe.toml"
    path.write_text(GOOD.replace('"gru"\nhidden = 8', f'"{kind}"\n{rest}'), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        Recipe.load(path)


def test_extends_lays_one_recipe_over_another(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "own.toml").write_text(
        'extends = "base.toml"\nname = "own"\n[train]\nsteps = 1000\n', encoding="utf-8"
    )
    recipe = Recipe.load(tmp_path / "own.toml")
    assert (recipe.name, recipe.optimise.steps) == ("own", 1000)
    assert recipe.labels == ("_silence_", "_unknown_", "yes", "no")


def test_extends_reaches_tables_inside_tables(tmp_path: Path) -> None:
    base = GOOD + "\n[decoding]\nflush_s = 0.5\n[decoding.thresholds]\nyes = 0.4\nno = 0.4\n"
    (tmp_path / "base.toml").write_text(base, encoding="utf-8")
    own = 'extends = "base.toml"\n[decoding.thresholds]\nno = 0.9\n'
    (tmp_path / "own.toml").write_text(own, encoding="utf-8")
    decoding = Recipe.load(tmp_path / "own.toml").decoding
    assert decoding == {"flush_s": 0.5, "thresholds": {"yes": 0.4, "no": 0.9}}


def test_missing_recipe_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        Recipe.load(tmp_path / "none.toml")
