"""Sentences that follow from a comparison."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edgeseq.cli.advice import faster_form, keeping_up


def row(model: str, scheme: str, p50: float, config: str = "c", **more: Any) -> dict[str, Any]:
    values = {
        "model": model, "quantization": scheme, "step_p50_us": p50, "step_p99_us": 2 * p50,
        "config_sha256": config, "rtf": p50 / 20_000, "step_seconds": 0.02, "macs_per_step": 1000,
    }  # fmt: skip
    return {**values, **more}


def test_f52_the_faster_of_float_and_int8_is_named_whichever_it_is() -> None:
    assert faster_form([row("a", "none", 10.0), row("b", "int8", 15.0)]) == [
        "a (float) and b (int8) are the same model; float is 1.50 times as fast here."
    ]
    assert faster_form([row("a", "none", 30.0), row("b", "int8", 15.0)]) == [
        "b (int8) and a (float) are the same model; int8 is 2.00 times as fast here."
    ]
    (alike,) = faster_form([row("a", "none", 15.1), row("b", "int8", 15.0)])
    assert "equally fast" in alike


def test_f52_other_models_and_equal_forms_are_not_compared() -> None:
    assert faster_form([row("a", "none", 10.0), row("b", "int8", 15.0, config="d")]) == []
    assert faster_form([row("a", "int8", 10.0), row("b", "int8", 15.0)]) == []


@given(
    slower=st.floats(1, 10_000),
    times=st.lists(st.floats(1, 20_000), min_size=1, max_size=5),
)
def test_f59_what_keeps_up_has_time_left_and_the_largest_of_those_is_named(
    slower: float, times: list[float]
) -> None:
    rows = [row(f"m{n}", "int8", time, macs_per_step=1000 * n + 1) for n, time in enumerate(times)]
    *lines, last = keeping_up(rows, slower)
    fitting = [n for n, time in enumerate(times) if 2 * time * 1e-6 * slower <= 0.02]
    assert [n for n, line in enumerate(lines) if line.endswith("keeps up")] == fitting
    assert all("(estimate)" in line for line in lines)
    assert last.endswith(f"is m{fitting[-1]}." if fitting else "keeps up.")
    assert last.startswith("The largest") == bool(fitting)


def test_nothing_is_said_without_the_option_or_of_text() -> None:
    assert keeping_up([row("a", "int8", 10.0)], None) == []
    assert keeping_up([row("a", "int8", 10.0, step_seconds=None)], 20.0) == []
