"""The look of the report: light and dark, from a phone to a wide screen."""

from __future__ import annotations

__all__ = ["STYLE"]

LIGHT = ("#2563eb", "#d9480f", "#2b8a3e", "#9c36b5", "#b08900", "#0b7285", "#c2255c", "#5c5f66")
DARK = ("#74a9ff", "#ff9b6a", "#69db7c", "#da9cf0", "#ffd43b", "#66d9e8", "#ff8fb1", "#ced4da")
"""Told apart by people with the common kinds of colour blindness by lightness and by legend."""


def _colours(values: tuple[str, ...]) -> str:
    return "".join(f"--c{number}:{value};" for number, value in enumerate(values))


def _classes() -> str:
    return "".join(
        f".line.c{n}{{stroke:var(--c{n})}}.fill.c{n},.dot.c{n},.disc.c{n}{{fill:var(--c{n})}}"
        f".key.c{n}{{background:var(--c{n})}}"
        for n in range(len(LIGHT))
    )


STYLE = (
    f":root{{--paper:#fff;--ink:#1b1f24;--soft:#57606a;--rule:#d8dee4;--card:#f6f8fa;"
    f"--warn:#fff3d6;{_colours(LIGHT)}}}"
    "@media(prefers-color-scheme:dark){"
    f":root{{--paper:#0f1318;--ink:#e6edf3;--soft:#9aa5b1;--rule:#30363d;--card:#171c22;"
    f"--warn:#3a2d0b;{_colours(DARK)}}}}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--paper);color:var(--ink);"
    "font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}"
    "main{max-width:1120px;margin:0 auto;padding:16px}"
    "h1{font-size:1.6rem;margin:.4em 0 0}h2{font-size:1.2rem;margin:2em 0 .3em}"
    "p{margin:.2em 0;overflow-wrap:anywhere}.words{color:var(--soft);max-width:46em}"
    "aside{border-radius:8px;padding:10px 14px;margin:14px 0;background:var(--card)}"
    "aside.warn{background:var(--warn)}aside ul{margin:.3em 0;padding-left:1.2em}"
    ".grid-of{display:grid;gap:14px;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr))}"
    "figure{margin:12px 0;padding:12px;background:var(--card);border-radius:8px;max-width:560px}"
    ".grid-of figure{margin:0}"
    "figcaption{font-weight:600;margin-bottom:6px;overflow-wrap:anywhere}"
    "svg{display:block;width:100%;height:auto}"
    "svg text{fill:var(--soft);font-size:12px}svg text.name{fill:var(--ink)}"
    ".axis{stroke:var(--soft);stroke-width:1}.grid{stroke:var(--rule);stroke-width:1}"
    ".mark{stroke:var(--ink);stroke-width:1;stroke-dasharray:3 2}"
    ".front{fill:none;stroke:var(--soft);stroke-width:1.5;stroke-dasharray:4 3}"
    ".line{fill:none;stroke-width:2}.disc{fill-opacity:.75}"
    ".legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 14px;margin:8px 0 0;padding:0;"
    "font-size:.85rem}.key{display:inline-block;width:11px;height:11px;border-radius:3px;"
    "margin-right:5px}"
    f"{_classes()}"
    ".wide{overflow-x:auto;margin:12px 0}"
    "table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}"
    "th,td{padding:4px 10px;border-bottom:1px solid var(--rule);text-align:right;"
    "white-space:nowrap}th:first-child{text-align:left;font-weight:500;position:sticky;left:0;"
    "background:var(--paper)}"
    "@media print{.wide{overflow:visible}}"
)
