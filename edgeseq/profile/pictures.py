"""Pictures as SVG text, drawn by our own code so that a report needs nothing else to be read.

All are 400 units wide, so that text keeps a readable size on a phone. Colours are classes `c0` to
`c7`, which the page defines for light and dark. Every mark has a title, which browsers show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from .axes import Axis, fit, short

__all__ = ["COLOURS", "Dot", "Line", "Part", "histogram", "lines", "scatter", "stacked"]

COLOURS = 8
WIDTH, HEIGHT = 400, 230
LEFT, RIGHT, TOP, BOTTOM = 48, 390, 12, 190
ROW, BAR = 34, 14


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: its name and its points (x, y)."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of a scatter plot; `size` is what the area of its circle stands for."""

    name: str
    x: float
    y: float
    size: float


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a stacked bar: colour, value, and the words that say what it is."""

    colour: int
    value: float
    words: str


def lines(
    curves: Sequence[Line], x: str, y: str, *, x_log: bool = False, y_log: bool = False
) -> str:
    """Curves over one pair of axes, whose names carry the units."""
    points = [point for curve in curves for point in curve.points]
    across = fit([px for px, _ in points], LEFT, RIGHT, x_log)
    up = fit([py for _, py in points], BOTTOM, TOP, y_log)
    parts = [_frame(across, up, x, y)]
    for number, curve in enumerate(curves):
        places = [(across.at(px), up.at(py)) for px, py in curve.points]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
        colour = f"c{number % COLOURS}"
        parts.append(f'<polyline class="line {colour}" points="{path}"/>')
        if len(places) <= 16:
            for (px, py), (vx, vy) in zip(places, curve.points, strict=True):
                words = escape(f"{curve.name}: {short(vx)}, {short(vy)}")
                parts.append(
                    f'<circle class="dot {colour}" cx="{px:.1f}" cy="{py:.1f}" r="3">'
                    f"<title>{words}</title></circle>"
                )
    return _svg(HEIGHT, f"{y} against {x}", parts) + _legend([curve.name for curve in curves])


def scatter(
    dots: Sequence[Dot], x: str, y: str, size: str, front: Sequence[Dot] = (), *, x_log: bool = True
) -> str:
    """Points with areas; `front` is joined by a line."""
    across = fit([dot.x for dot in dots], LEFT + 8, RIGHT - 12, x_log)
    spread = [dot.y for dot in dots]
    room = (max(spread) - min(spread)) * 0.25 or max(abs(max(spread)) * 0.05, 0.01)
    up = Axis(min(spread) - room, max(spread) + room, BOTTOM, TOP + 8)
    largest = max(dot.size for dot in dots) or 1
    parts = [_frame(across, up, x, y)]
    if len(front) > 1:
        path = " ".join(f"{across.at(dot.x):.1f},{up.at(dot.y):.1f}" for dot in front)
        parts.append(f'<polyline class="front" points="{path}"/>')
    for number, dot in enumerate(dots):
        words = escape(f"{dot.name}: {short(dot.x)}, {short(dot.y)}, {short(dot.size)} {size}")
        radius = 4 + 10 * (dot.size / largest) ** 0.5
        parts.append(
            f'<circle class="disc c{number % COLOURS}" cx="{across.at(dot.x):.1f}" '
            f'cy="{up.at(dot.y):.1f}" r="{radius:.1f}"><title>{words}</title></circle>'
        )
    return _svg(HEIGHT, f"{y} against {x}", parts) + _legend([dot.name for dot in dots])


def histogram(
    bars: Sequence[Sequence[float]], marks: Sequence[tuple[str, float]], colour: int, x: Axis
) -> str:
    """Counts as bars (from, to, count) over `x`, the root of the count high, with named marks."""
    top, bottom = 46, 132
    most = max(bar[2] for bar in bars) ** 0.5
    parts = []
    for low, high, count in bars:
        left, right = x.at(max(low, x.low)), x.at(high)
        height = (bottom - top) * count**0.5 / most
        words = escape(f"{short(low)} to {short(high)} µs: {int(count):,} steps")
        parts.append(
            f'<rect class="fill c{colour % COLOURS}" x="{left:.1f}" y="{bottom - height:.1f}" '
            f'width="{max(0.8, right - left - 0.4):.1f}" height="{height:.1f}">'
            f"<title>{words}</title></rect>"
        )
    for number, (name, value) in enumerate(marks):
        place = x.at(value)
        # A row of words for each of three marks, so that near ones can be read.
        row = 12 + 13 * (number % 3)
        anchor = "end" if place > RIGHT - 40 else "start" if place < LEFT + 30 else "middle"
        parts.append(f'<path class="mark" d="M{place:.1f} {row + 3}V{bottom}"/>')
        parts.append(
            f'<text x="{place:.1f}" y="{row}" text-anchor="{anchor}">'
            f"{escape(name)} {short(value)}</text>"
        )
    parts += _across(x, bottom, "step time (µs)")
    return _svg(bottom + 38, "step times", parts)


def stacked(rows: Sequence[tuple[str, Sequence[Part]]], unit: str) -> str:
    """Bars of parts side by side, each below its name, with the sum at the end."""
    most = max((sum(part.value for part in parts) for _, parts in rows), default=0) or 1.0
    x = Axis(0, most, 4, 330)
    drawn = []
    for number, (name, parts) in enumerate(rows):
        top, at = number * ROW, 0.0
        drawn.append(f'<text x="4" y="{top + 12}">{escape(name)}</text>')
        for part in parts:
            left, right = x.at(at), x.at(at + part.value)
            at += part.value
            words = escape(f"{part.words}: {short(part.value)} {unit}")
            drawn.append(
                f'<rect class="fill c{part.colour % COLOURS}" x="{left:.1f}" y="{top + 16}" '
                f'width="{max(0.0, right - left):.1f}" height="{BAR}">'
                f"<title>{words}</title></rect>"
            )
        drawn.append(
            f'<text x="{x.at(at) + 5:.1f}" y="{top + 28}">{short(at)} {escape(unit)}</text>'
        )
    told = {part.colour: part.words for _, parts in rows for part in parts}
    legend = _legend([told[key] for key in sorted(told)], sorted(told)) if len(told) > 1 else ""
    return _svg(len(rows) * ROW + 2, "parts", drawn) + legend


def _frame(x: Axis, y: Axis, x_name: str, y_name: str) -> str:
    parts = _across(x, BOTTOM, x_name)
    for value in y.ticks():
        place = y.at(value)
        parts.append(f'<path class="grid" d="M{LEFT} {place:.1f}H{RIGHT}"/>')
        parts.append(
            f'<text x="{LEFT - 5}" y="{place + 4:.1f}" text-anchor="end">{short(value)}</text>'
        )
    middle = (TOP + BOTTOM) / 2
    parts.append(
        f'<text class="name" x="11" y="{middle}" text-anchor="middle" '
        f'transform="rotate(-90 11 {middle})">{escape(y_name)}</text>'
    )
    return "".join(parts)


def _across(x: Axis, bottom: int, name: str) -> list[str]:
    parts = [f'<path class="axis" d="M{LEFT} {bottom}H{RIGHT}"/>']
    for value in x.ticks():
        place = x.at(value)
        parts.append(f'<path class="axis" d="M{place:.1f} {bottom}v4"/>')
        parts.append(
            f'<text x="{place:.1f}" y="{bottom + 16}" text-anchor="middle">{short(value)}</text>'
        )
    middle = (LEFT + RIGHT) / 2
    parts.append(
        f'<text class="name" x="{middle}" y="{bottom + 32}" text-anchor="middle">'
        f"{escape(name)}</text>"
    )
    return parts


def _svg(height: float, words: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(words)}">'
        f"{''.join(parts)}</svg>"
    )


def _legend(names: Sequence[str], colours: Sequence[int] | None = None) -> str:
    numbers = range(len(names)) if colours is None else colours
    items = "".join(
        f'<li><i class="key c{number % COLOURS}"></i>{escape(name)}</li>'
        for number, name in zip(numbers, names, strict=True)
    )
    return f'<ul class="legend">{items}</ul>'
