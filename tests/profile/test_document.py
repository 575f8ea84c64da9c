"""The JSON of a profile: read strictly, documented from the same table, written as CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from edgeseq.errors import ConfigError
from edgeseq.profile.csvfile import csv_text
from edgeseq.profile.document import BUDGET, DOCUMENT, RUN, check, page, read
from tests.profile.documents import document, run
from tests.profile.test_report import GROWTH, SOAK

PAGE = Path(__file__).parents[2] / "docs" / "profile-format.md"


def test_the_page_is_that_of_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document()))
    assert read(str(path)) == document()


@pytest.mark.parametrize("field", [f.name for f in DOCUMENT])
def test_every_key_of_the_document_is_needed(field: str) -> None:
    found = document()
    del found[field]
    with pytest.raises(ConfigError, match=field):
        check(found, "a.json")


@pytest.mark.parametrize("field", RUN, ids=lambda f: f.name)
def test_every_key_of_a_run_is_needed_and_typed(field: Any) -> None:
    wrong: list[object] = ["missing", "yes", True, float("nan"), float("inf")]
    for value in wrong if field.kind != "text" else [5]:
        made = run()
        made[field.name] = value
        if value == "missing":
            del made[field.name]
            if field.late:
                check(document(made), "a.json")
                continue
        with pytest.raises(ConfigError, match=rf"a\.json: runs\[0\]\.{field.name}: (is|missing)"):
            check(document(made), "a.json")
    made = {**run(), field.name: None}
    if field.optional:
        check(document(made), "a.json")
    else:
        with pytest.raises(ConfigError, match="null"):
            check(document(made), "a.json")


def test_a_budget_is_checked_as_well() -> None:
    made = run()
    del made["budget"][BUDGET[0].name]
    with pytest.raises(ConfigError, match=r"runs\[0\]\.budget\.capture_ms: missing"):
        check(document(made), "a.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"runs": [run(trace=[[1, 2, 3]])]}, r"runs\[0\]\.trace\[0\]: must hold 4 numbers"),
        ({"runs": [run(histogram=[[1, 2, -3]])]}, r"histogram\[0\]: must hold 3 numbers from 0"),
        ({"runs": [run(words=[1])]}, r"runs\[0\]\.words\[0\]: is int, must be an object"),
        ({"runs": [run(operators=[{}])]}, r"operators\[0\]\.operator: missing"),
        ({"runs": [run(state_bytes=-1)]}, "state_bytes: is -1, must be a count"),
        ({"runs": [run(rtf=1e300)]}, "rtf: is 1e.300, must be a number"),
        ({"machine": {"cpu": 5}}, "machine.cpu: is 5, must be a text"),
        ({"warnings": [5]}, "warnings: must hold text only"),
        ({"growth": [{**GROWTH, "points": [{}]}]}, r"growth\[0\]\.points\[0\]\.steps: missing"),
        ({"soak": [{**SOAK, "same_events": 1}]}, "same_events: is 1, must be a flag"),
    ],
)
def test_what_lies_deeper_is_checked(change: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check(document(**change), "a.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "is no profile"),
        ('{"format": "other"}', "'other', must be 'edgeseq.profile'"),
        ('{"format": "edgeseq.profile", "version": 2}', "has version 2 of the format"),
    ],
)
def test_other_files_are_refused_in_a_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"a\.json") as error:
        read(str(path))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_older_files_give_null_for_what_they_lack(tmp_path: Path) -> None:
    made = run()
    del made["shape"], made["left_context"]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document(made)))
    (found,) = read(str(path))["runs"]
    assert (found["shape"], found["left_context"]) == (None, None)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(str(tmp_path / "none.json"))


def test_csv_has_a_row_for_each_run_and_empty_cells_for_null() -> None:
    text = csv_text([document(run("a"), run("b", budget=None, rtf=None)), document(board="Pi")])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["model"] for row in rows] == ["a", "b", "words-gru"]
    assert [row["board"] for row in rows] == ["Board A", "Board A", "Pi"]
    assert (rows[0]["rtf"], rows[1]["rtf"]) == ("1.5", "")
    assert (rows[0]["budget_capture_ms"], rows[1]["budget_capture_ms"]) == ("2.0", "")
