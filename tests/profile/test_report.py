"""The HTML report: whole, safe, without anything from elsewhere; and its pictures."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseq.profile.axes import fit, short
from edgeseq.profile.labels import run_names
from edgeseq.profile.pareto import front
from edgeseq.profile.report import html
from tests.profile.documents import document, run

VOID = {"meta"}

GROWTH = {
    "name": "words-gru: recurrent state",
    "model": "words-gru",
    "kind": "recurrent state",
    "note": "",
    "points": [
        {
            "steps": 100,
            "step_p50_us": 60.0,
            "step_p99_us": 80.0,
            "state_bytes": 2048,
            "rss_grown_bytes": 0,
        },
        {
            "steps": 1000,
            "step_p50_us": 61.0,
            "step_p99_us": 80.0,
            "state_bytes": 2048,
            "rss_grown_bytes": 4096,
        },
    ],
}
SOAK = {
    "name": "words-gru",
    "backend": "onnx",
    "interrupted": False,
    "stream_seconds": 86400.0,
    "steps": 4_320_000,
    "wall_s": 300.0,
    "rss_growth_bytes": 12288,
    "rss_slope_bytes_per_hour": 512.0,
    "p50_ratio": 1.0,
    "p99_ratio": None,
    "same_events": True,
    "state_difference": 0.0,
    "same_after_reset": True,
    "trace": [[60, 7e7, 60.0, 90.0], [86400, 7e7, 60.0, 91.0]],
}


class Balanced(HTMLParser):
    """Counts tags and refuses one that is closed in the wrong place."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)


def parsed(text: str) -> Balanced:
    parser = Balanced()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser


def test_every_part_has_its_place() -> None:
    text = run("bytes-gru", metric_name="bits per byte", metric=2.4, budget=None, words=[])
    page = parsed(
        html(
            document(
                run(), run(threads=2), text,
                warnings=["too hot"], notes=["no native"], growth=[GROWTH], soak=[SOAK],
            )
        )
    )  # fmt: skip
    for words in ("Summary", "Step times", "Accuracy, speed, size", "From sound to event",
                  "Memory over time", "Start", "Operators", "Growth with the stream", "Long stream",
                  "Machine", "too hot", "no native", "words-gru 1 thread", "words-gru 2 threads",
                  "yes (2.60 s)", "12 KiB", "48.0 → 55.0"):  # fmt: skip
        assert words in page.text, words
    # A histogram and operators for each run, two scatters, budget, start, trace, 3 growth, 2 soak.
    assert page.seen.count("svg") == 3 + 3 + 2 + 3 + 3 + 2


def test_parts_without_figures_are_left_out() -> None:
    page = parsed(html(document(run(operators=[], metric=None))))
    for words in ("Operators", "Growth", "Long stream", "Accuracy, speed", "care"):
        assert words not in page.text


def test_nothing_comes_from_elsewhere_and_nothing_runs() -> None:
    text = html(document(growth=[GROWTH], soak=[SOAK]))
    assert "script" not in text
    assert not re.search(r"(https?:|//|url\(|@import|\bsrc=|\bhref=)", text)


def test_names_cannot_become_markup() -> None:
    bad = '<img src=x onerror="alert(1)">'
    made = run(bad, operators=[{"operator": bad, "calls": 1, "share": 1.0}])
    page = parsed(html(document(made, board=bad, warnings=[bad], soak=[SOAK | {"name": bad}])))
    assert "img" not in page.seen
    assert bad in page.text


def test_names_tell_runs_apart_by_what_differs() -> None:
    runs = [run("a", threads=1), run("a", threads=2), run("b"), run("c"), run("c", backend="x")]
    assert run_names(runs) == ["a 1 thread", "a 2 threads", "b", "c onnx", "c x"]


COSTS = st.tuples(st.floats(0, 1), st.floats(1, 100), st.integers(1, 1000))


@given(st.lists(COSTS, min_size=1, max_size=12), st.booleans())
def test_the_front_holds_what_nothing_beats(costs: list[Any], less: bool) -> None:
    name = "bits per byte" if less else "words found"
    runs = [
        {"metric_name": name, "metric": m, "step_p50_us": t, "file_bytes": b} for m, t, b in costs
    ]
    best = front(runs)
    assert best

    def key(r: Any) -> tuple[float, float, int]:
        return r["metric"] if less else -r["metric"], r["step_p50_us"], r["file_bytes"]

    for one in runs:
        beaten = any(
            key(o) != key(one) and all(x <= y for x, y in zip(key(o), key(one), strict=True))
            for o in runs
        )
        assert any(one is kept for kept in best) is not beaten


@given(st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=5), st.booleans())
def test_axes_hold_all_values_and_have_few_numbers(values: list[float], log: bool) -> None:
    axis = fit(values, 0, 300, log)
    places = [axis.at(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= place <= 300 for place in places)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 12
    assert all(axis.low <= tick <= axis.high * (1 + 1e-9) for tick in ticks)


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0"), (0.05, "0.05"), (1500, "1.5k"), (2e6, "2M"), (3e9, "3G")]
)
def test_numbers_are_short(value: float, words: str) -> None:
    assert short(value) == words
