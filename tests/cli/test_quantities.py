"""Sizes and times as people write them."""

from __future__ import annotations

import click
import pytest

from edgeseq.cli.quantities import parse_size, parse_time

CONTEXT = click.Context(click.Command("any"))
OPTION = click.Option(["--any"])


@pytest.mark.parametrize(
    ("text", "size"),
    [("64", 65536), ("64k", 65536), ("64 KiB".replace(" ", ""), 65536), ("1.5M", 3 << 19),
     ("65536b", 65536), ("2g", 2 << 30), (" 8kb ", 8192)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(CONTEXT, OPTION, text) == size


@pytest.mark.parametrize("text", ["", "k", "0", "-1", "1e3", "64kk", "0.1b", "1" * 30, "64 bits"])
def test_other_words_are_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a size such as 64k"):
        parse_size(CONTEXT, OPTION, text)


@pytest.mark.parametrize(("text", "us"), [("5ms", 5000.0), ("500us", 500.0), ("0.1S", 1e5)])
def test_times(text: str, us: float) -> None:
    assert parse_time(CONTEXT, OPTION, text) == pytest.approx(us)


@pytest.mark.parametrize("text", ["5", "0ms", "-1s", "1h", ""])
def test_other_words_are_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time such as 5ms"):
        parse_time(CONTEXT, OPTION, text)
