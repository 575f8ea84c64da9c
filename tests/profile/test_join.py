"""Profiles of several machines: joined where they may be, refused where they may not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeseq.errors import ConfigError
from edgeseq.profile.document import check
from edgeseq.profile.join import join
from edgeseq.profile.labels import run_names
from tests.cli.process import call, error_of
from tests.profile.documents import document, run
from tests.profile.test_report import SOAK


def test_runs_of_a_model_stand_beside_each_other() -> None:
    one = document(run("a"), run("b"), board="Pi 4")
    two = document(run("a"), run("b"), board="Laptop", warnings=["hot"], soak=[SOAK])
    joined = join({"1.json": one, "2.json": two})
    check(joined, "joined")
    assert run_names(joined["runs"]) == ["a on Pi 4", "a on Laptop", "b on Pi 4", "b on Laptop"]
    assert joined["warnings"] == ["Laptop: hot"]
    assert joined["soak"] == [SOAK | {"name": "words-gru on Laptop"}]
    assert "4 cores" in joined["machine"]["joined"]["Pi 4"]


def test_two_runs_on_one_machine_are_told_apart_by_file() -> None:
    joined = join({"1.json": document(), "2.json": document()})
    assert [r["machine"] for r in joined["runs"]] == ["Board A (1.json)", "Board A (2.json)"]


def test_two_runs_on_one_machine_that_disagree_show_by_how_much() -> None:
    first = document(run("a", step_p50_us=60.0), run("b", step_p50_us=50.0))
    near = document(run("a", step_p50_us=62.9), run("b", step_p50_us=50.0))
    far = document(run("a", step_p50_us=90.0), run("b", step_p50_us=51.0))
    assert join({"1.json": first, "2.json": near})["warnings"] == []
    (words,) = join({"1.json": first, "2.json": near, "3.json": far})["warnings"]
    assert words.startswith("step p50 differs by up to 50% (a on onnx) between 1.json and 2.json")
    assert "1 of 2 configurations" in words
    # Another machine may be as fast as it likes.
    assert join({"1.json": first, "2.json": {**far, "machine": {**far["machine"], "cores": 8}}})[
        "warnings"
    ] == []  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"file_sha256": "x"}, "words-gru is another model file in 1.json and 2.json"),
        ({"input_sha256": "x"}, "words-gru heard or read another input in 1.json and 2.json"),
    ],
)
def test_what_cannot_be_compared_is_refused_or_said(change: dict[str, object], words: str) -> None:
    documents = {"1.json": document(), "2.json": document(run(**change))}
    with pytest.raises(ConfigError, match="--mix") as error:
        join(documents)
    assert words in str(error.value)
    assert words in join(documents, mix=True)["warnings"]


def test_whatever_else_differs_is_said() -> None:
    other = document(run(), run("b"), edgeseq="0.2.0")
    other["machine"]["libraries"] = {"onnxruntime": "1.20.0", "numpy": "2.0.0"}
    other["machine"]["bits"] = 32
    other["settings"]["rounds"] = 1
    warnings = join({"1.json": document(), "2.json": other})["warnings"]
    assert warnings == [
        "edgeseq differs: 0.1.0 in 1.json, 0.2.0 in 2.json",
        "onnxruntime differs: 1.32.0 in 1.json, 1.20.0 in 2.json",
        "word size of Python differs: 64 in 1.json, 32 in 2.json",
        "rounds differs: 3 in 1.json, 1 in 2.json",
        "only in some, among them 2.json: b",
    ]


def test_the_command_joins_files(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.json", "b.json")]
    for path, board in zip(paths, ("Pi 4", "Laptop"), strict=True):
        path.write_text(json.dumps(document(board=board)))
    page, table = tmp_path / "both.html", tmp_path / "both.csv"
    done = call("compare", *paths, "-o", page, "-o", table)
    assert done.returncode == 0
    for words in ("words-gru on Pi 4", "words-gru on Laptop", "4 cores"):
        assert words in done.stdout
    assert "words-gru on Laptop" in page.read_text()
    assert table.read_text().count("\n") == 3
    assert len(json.loads(call("compare", *paths, "--json").stdout)["runs"]) == 2


def test_wrong_use_of_the_command(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document()))
    assert "one profile alone" in error_of(call("compare", path))
    for args, words in (
        ((path, "words-gru"), "words-gru is no .json file"),
        ((path, path, "--wav", "a.wav"), "go with models, not with .json files"),
        (("words-gru", "--wav", "a.wav", "--mix"), "-o and --mix go with .json files"),
    ):
        done = call("compare", *args)
        assert done.returncode == 2
        assert words in done.stderr
