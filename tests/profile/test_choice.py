"""Advice keeps within all limits, and is never worse when a limit is looser."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseq.profile.choice import Advice, Limits, advise, common_measure, order
from edgeseq.profile.options import Option, Quality, slower_of_same

WORDS = "right words"


def option(model: str = "a", **changes: object) -> Option:
    made = Option(
        model=model, task="keyword", family="gru", shape="2x160", window=None, precision="int8",
        backend="onnx", threads=1, parameters=1000, ram_bytes=100, flash_bytes=100,
        step_us=100.0, instructions=None, step_audio_ms=20.0, trained=False, get="",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def good(value: float) -> dict[str, Quality]:
    return {WORDS: Quality(WORDS, value)}


needs = st.integers(1, 12)
qualities = st.one_of(
    st.just({}),
    st.floats(0, 1).map(good),
    st.floats(0, 8).map(lambda v: {"bits per byte": Quality("bits per byte", v, True)}),
)
options = st.lists(
    st.builds(
        lambda number, **values: option(f"m{number}", **values),
        st.integers(0, 10**6), family=st.sampled_from(["gru", "transformer"]),
        parameters=needs, ram_bytes=needs, flash_bytes=needs,
        step_us=st.one_of(st.none(), needs.map(float)), instructions=st.one_of(st.none(), needs),
        step_audio_ms=st.sampled_from([None, 0.004, 0.008]), trained=st.booleans(),
        quality=qualities,
    ),
    max_size=8, unique_by=lambda o: o.model,
)  # fmt: skip
some = st.one_of(st.none(), st.integers(0, 13).map(float))
limits = st.builds(
    Limits, ram_bytes=some, flash_bytes=some, step_us=some,
    slower=st.sampled_from([None, 0.5, 1.0, 2.0]), clock_mhz=st.sampled_from([None, 1.0, 2.0]),
)  # fmt: skip


def place(found: Advice, among: list[Option]) -> int:
    """Rank of the answer; the worst where there is none."""
    ranked = order(among, common_measure(among))
    return len(ranked) if found.best is None else ranked.index(found.best)


@given(options, limits)
def test_what_is_recommended_is_within_every_limit(among: list[Option], given: Limits) -> None:
    found = advise(among, given)
    if found.best is None:
        assert all(given.broken(o) for o in among)
        return
    time = given.time_us(found.best)
    assert found.best.ram_bytes <= (given.ram_bytes if given.ram_bytes is not None else math.inf)
    assert found.best.flash_bytes <= (
        given.flash_bytes if given.flash_bytes is not None else math.inf
    )
    if time is not None:
        assert time <= (given.step_us if given.step_us is not None else math.inf)
        assert time <= 1e3 * (found.best.step_audio_ms or math.inf)


@given(options, limits, st.sampled_from(["ram_bytes", "flash_bytes", "step_us"]), some)
def test_a_looser_limit_never_gives_a_worse_answer(
    among: list[Option], given: Limits, name: str, value: float | None
) -> None:
    now = getattr(given, name)
    if now is None or (value is not None and value < now):
        value = None
    looser = replace(given, **{name: value})
    assert place(advise(among, looser), among) <= place(advise(among, given), among)


@given(options, limits)
def test_every_option_fits_or_is_ruled_out_by_a_limit(among: list[Option], given: Limits) -> None:
    found = advise(among, given)
    out = {o.model for options in found.ruled_out.values() for o in options}
    assert {o.model for o in found.fitting} | out == {o.model for o in among}
    assert not {o.model for o in found.fitting} & out


@given(options, limits)
def test_what_would_change_the_answer_does(among: list[Option], given: Limits) -> None:
    found = advise(among, given)
    for change in found.changes:
        name = {"ram": "ram_bytes", "flash": "flash_bytes", "step": "step_us"}[change.limit]
        value = math.nextafter(change.value, -1) if change.below else change.value
        other = advise(among, replace(given, **{name: value}))
        assert other.best == change.option
        assert other.best != found.best


@given(options, limits, st.randoms())
def test_the_order_of_the_measurements_does_not_matter(
    among: list[Option], given: Limits, random: object
) -> None:
    mixed = list(among)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert advise(mixed, given) == advise(among, given)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (Limits(ram_bytes=99), "ram"),
        (Limits(flash_bytes=99), "flash"),
        (Limits(step_us=99), "step"),
        (Limits(slower=201), "live"),
    ],
)
def test_each_limit_rules_out_alone(given: Limits, name: str) -> None:
    found = advise([option()], given)
    assert (found.best, list(found.ruled_out)) == (None, [name])


def test_a_limit_that_is_just_met_is_met() -> None:
    exact = Limits(ram_bytes=100, flash_bytes=100, step_us=200, slower=2.0)
    assert advise([option()], exact).best == option()


def test_accuracy_comes_first_then_speed_then_size() -> None:
    fast = option("fast", quality=good(0.9338), step_us=10.0, trained=True)
    exact = option("exact", quality=good(0.9348), step_us=50.0, trained=True)
    better = option("better", quality=good(0.95), step_us=500.0, trained=True)
    own = option("own", trained=True, parameters=5)
    large, small = option("large", parameters=9), option("small", parameters=8)
    ranked = order([small, large, own, exact, fast, better], WORDS)
    assert [o.model for o in ranked] == ["better", "fast", "exact", "own", "large", "small"]


def test_fewer_bits_per_byte_are_better() -> None:
    low, high = (
        option(n, quality={"bits per byte": Quality("bits per byte", v, True)})
        for n, v in (("low", 2.3), ("high", 2.5))
    )
    assert advise([high, low], Limits()).best == low


def test_instructions_are_a_time_only_with_a_clock_and_then_the_least() -> None:
    chip = option(step_us=None, instructions=500_000)
    assert advise([chip], Limits(step_us=5000)).best == chip
    assert advise([chip], Limits(step_us=5000, clock_mhz=100)).best == chip
    assert advise([chip], Limits(step_us=5000, clock_mhz=99)).best is None
    assert advise([chip], Limits(clock_mhz=20)).ruled_out == {"live": [chip]}


def test_without_a_known_speed_no_time_is_checked() -> None:
    assert advise([option()], Limits(step_us=1, slower=None)).best == option()


def test_of_several_files_the_slower_one_counts() -> None:
    (found,) = slower_of_same([option(step_us=5.0, ram_bytes=9), option(step_us=7.0, ram_bytes=8)])
    assert (found.step_us, found.ram_bytes) == (7.0, 9)
    two = slower_of_same([option(), option(threads=2)])
    assert len(two) == 2
