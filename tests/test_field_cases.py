"""The table of field cases names tests that are there and say which case they cover."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TABLE = (ROOT / "docs" / "field-cases.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (F\d+) \| (.+?) \| (.+?) \| *(\S*) *\|$", TABLE, re.MULTILINE)

CASES = [
    *(1, 2, 4, 5, 6, 7, 8, 9, 11, 12, 14, 15, 17, 18, 19, 22, 23, 24, 26, 27, 28, 30, 31, 32, 34),
    *(35, 37, 38, 39, 40, 41, 42, 44, 46, 47, 48, 49, 50, 52, 53, 55, 56, 57, 59, 60, 61, 63, 65),
]


def test_every_case_has_a_row() -> None:
    assert [row[0] for row in ROWS] == [f"F{number}" for number in CASES]


@pytest.mark.parametrize(("case", "words", "state", "test"), ROWS, ids=[row[0] for row in ROWS])
def test_a_row_is_true(case: str, words: str, state: str, test: str) -> None:
    assert state.startswith(("passes", "open"))
    if not test:
        assert state.startswith("open")
        return
    file, name = test.split("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    body = re.search(rf"^def {name}\(.*?(?=^(?:def|class|@) |\Z)", text, re.MULTILINE | re.DOTALL)
    assert body is not None, f"{test} is not there"
    if state.startswith("passes") and not state.startswith("passes:"):
        told = case in body.group() or f"_{case.lower()}_" in name or case in text[:600]
        assert told, f"{test} does not say that it covers {case}"
