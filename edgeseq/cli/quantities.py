"""Sizes, times and durations as people write them, the same in every command."""

from __future__ import annotations

import re

import click

__all__ = ["parse_duration", "parse_size", "parse_time"]

SIZES = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30}
TIMES = {"us": 1.0, "ms": 1e3, "s": 1e6}


def parse_size(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Bytes of 64, 64k, 1.5M or 65536b; boards are told in KiB, so a bare number is one of those.

    Raises:
        click.BadParameter: it is no size, or none that a device has.
    """
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)(b|[kmg](?:i?b)?)?", value.strip().lower())
    size = int(float(found[1]) * SIZES[(found[2] or "k")[0]]) if found else 0
    if size < 1:
        raise click.BadParameter(f"{value!r} is not a size such as 64k, 1.5M or 65536b (64 is 64k)")
    return size


def parse_time(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Microseconds of 5ms, 500us or 0.1s.

    Raises:
        click.BadParameter: it is no time above 0.
    """
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)(us|ms|s)", value.strip().lower())
    time = float(found[1]) * TIMES[found[2]] if found else 0.0
    if time <= 0:
        raise click.BadParameter(f"{value!r} is not a time such as 5ms, 500us or 0.1s")
    return time


def parse_duration(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> float | None:
    """Seconds of 24h, 30m or 90s.

    Raises:
        click.BadParameter: it is no duration above 0.
    """
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([hms])", value)
    seconds = float(found[1]) * {"h": 3600, "m": 60, "s": 1}[found[2]] if found else 0.0
    if seconds <= 0:
        raise click.BadParameter(f"{value!r} is not a duration such as 24h, 30m or 90s")
    return seconds
