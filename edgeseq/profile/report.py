"""A profile as one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from .axes import fit
from .document import Document
from .labels import metric_words, rows_of, run_names, soak_words
from .pareto import LESS_IS_BETTER, front
from .pictures import Dot, Line, Part, histogram, lines, scatter, stacked
from .style import STYLE

__all__ = ["html"]

Run = Mapping[str, Any]

MOST_OPERATORS = 7

BUDGET_PARTS = (
    ("capture_ms", "capture block"),
    ("resampler_ms", "resampler"),
    ("fill_ms", "frame fill"),
    ("lookahead_ms", "lookahead"),
    ("decoder_ms", "decoder"),
    ("compute_p99_ms", "compute p99"),
    ("queue_p99_ms", "queue p99"),
)

COLD_PARTS = (
    ("cold_process_ms", "process"),
    ("cold_import_ms", "import"),
    ("cold_load_ms", "load"),
    ("cold_first_step_ms", "first step"),
)


def html(document: Document) -> str:
    """The page; everything in it comes from the document."""
    runs: list[Run] = document["runs"]
    names = run_names(runs)
    machine = document["machine"]
    where = machine["board"] or machine["cpu"]
    parts = [
        f"<h1>edgeseq profile</h1><p>{escape(where)} · {escape(document['created'])}</p>",
        _list("Take these figures with care", document["warnings"], "warn"),
        _list("Not measured", document["notes"], "note"),
    ]
    if runs:
        parts += [
            _section("Summary", _summary(runs, names)),
            _section("Step times", _histograms(runs, names), _HISTOGRAM_WORDS),
            _section("Accuracy, speed, size", _paretos(runs, names), _PARETO_WORDS),
            _section("From sound to event", _budgets(runs, names), _BUDGET_WORDS),
            _section("Memory over time", _traces(runs, names), _TRACE_WORDS),
            _section("Start", _bars(runs, names, COLD_PARTS, "ms"), _COLD_WORDS),
            _section("Operators", _operators(runs, names), _OPERATOR_WORDS),
        ]
    parts += [
        _section("Growth with the stream", _growth(document["growth"]), _GROWTH_WORDS),
        _section("Long stream", _soak(document["soak"]), _SOAK_WORDS),
        _section("Machine", _facts(document)),
    ]
    return _PAGE.format(title=escape(f"edgeseq profile: {where}"), style=STYLE, body="".join(parts))


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title><style>{style}</style></head>
<body><main>{body}</main></body></html>
"""

_HISTOGRAM_WORDS = (
    "One bar for each eighth of a doubling of time; heights are square roots of counts, so that "
    "single slow steps show. All have the same scale."
)
_PARETO_WORDS = (
    "Area: file bytes. The line joins what no other beats in accuracy, speed and size at once."
)
_BUDGET_WORDS = (
    "Capture, fill and lookahead are the longest waits that the lengths of blocks and chunks "
    "cause; resampler, decoder, compute and queue are measured. Below: from the labelled end of "
    "each word to its event."
)
_TRACE_WORDS = "Resident memory of the process while the timed steps ran, first round."
_COLD_WORDS = "What a program waits for until the first result."
_OPERATOR_WORDS = "Share of the step time, by the backend's own profile."
_GROWTH_WORDS = (
    "Step time and memory after so many steps of one stream. Full recompute and growing cache are "
    "what a streaming model would cost without a bounded state; they run in torch with "
    "untrained weights of the same shape."
)
_SOAK_WORDS = "A long stream as fast as the machine can; the input repeats."


def _section(title: str, body: str, words: str = "") -> str:
    if not body:
        return ""
    told = f'<p class="words">{escape(words)}</p>' if words else ""
    return f"<section><h2>{escape(title)}</h2>{told}{body}</section>"


def _list(title: str, items: Sequence[str], kind: str) -> str:
    if not items:
        return ""
    rows = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f'<aside class="{kind}"><strong>{escape(title)}</strong><ul>{rows}</ul></aside>'


def _figure(body: str, caption: str = "") -> str:
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{words}{body}</figure>"


def _grid(figures: Iterable[str]) -> str:
    body = "".join(figures)
    return f'<div class="grid-of">{body}</div>' if body else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    # Focusable, so that a keyboard can scroll it.
    return (
        f'<div class="wide" tabindex="0"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cells(row: Sequence[str]) -> str:
    return f"<th>{escape(row[0])}</th>" + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])


def _summary(runs: Sequence[Run], names: Sequence[str]) -> str:
    rows = [["accuracy", *(metric_words(run) for run in runs)]]
    for (words, _, write, _), values in rows_of(runs):
        rows.append([words, *("-" if value is None else write(value) for value in values)])
    return _table(["", *names], rows)


def _histograms(runs: Sequence[Run], names: Sequence[str]) -> str:
    edges = [bar[i] for run in runs for bar in run["histogram"] for i in (0, 1)]
    x = fit(edges, 12, 390, log=True)
    marks = (("p50", "step_p50_us"), ("p99", "step_p99_us"), ("max", "step_max_us"))
    return _grid(
        _figure(histogram(run["histogram"], [(w, run[k]) for w, k in marks], number, x), name)
        for number, (run, name) in enumerate(zip(runs, names, strict=True))
        if run["histogram"]
    )


def _paretos(runs: Sequence[Run], names: Sequence[str]) -> str:
    figures = []
    named = list(zip(runs, names, strict=True))
    for metric in dict.fromkeys(run["metric_name"] for run in runs):
        group = [(r, n) for r, n in named if r["metric_name"] == metric and r["metric"] is not None]
        if not group:
            continue
        dots = {id(r): Dot(n, r["step_p50_us"], r["metric"], r["file_bytes"]) for r, n in group}
        best = [dots[id(run)] for run in front([run for run, _ in group])]
        words = f"{metric} ({'less' if metric in LESS_IS_BETTER else 'more'} is better)"
        figures.append(
            _figure(scatter(list(dots.values()), "step p50 (µs)", words, "bytes", best), metric)
        )
    return _grid(figures)


def _bars(
    runs: Sequence[Run], names: Sequence[str], parts: Sequence[tuple[str, str]], unit: str
) -> str:
    rows = [
        (name, [Part(i, run[key] or 0.0, words) for i, (key, words) in enumerate(parts)])
        for run, name in zip(runs, names, strict=True)
    ]
    return _figure(stacked(rows, unit)) if rows else ""


def _budgets(runs: Sequence[Run], names: Sequence[str]) -> str:
    audio = [(run, name) for run, name in zip(runs, names, strict=True) if run["budget"]]
    if not audio:
        return ""
    picture = _bars([run["budget"] for run, _ in audio], [n for _, n in audio], BUDGET_PARTS, "ms")
    sums = _table(
        ["ms", *(name for _, name in audio)],
        [
            [words, *("-" if r["budget"][k] is None else f"{r['budget'][k]:.2f}" for r, _ in audio)]
            for k, words in (
                *BUDGET_PARTS,
                ("algorithmic_ms", "algorithmic, in all"),
                ("computing_ms", "computing, in all"),
            )
        ],
    )
    labels = list(dict.fromkeys((w["label"], w["end_s"]) for run, _ in audio for w in run["words"]))
    rows = []
    for label, end in sorted(labels, key=lambda item: item[1]):
        found = [
            next((w["delay_ms"] for w in run["words"] if w["end_s"] == end), None)
            for run, _ in audio
        ]
        rows.append([f"{label} ({end:.2f} s)", *("-" if d is None else f"{d:.0f}" for d in found)])
    words = _table(["end of word to event, ms", *(name for _, name in audio)], rows) if rows else ""
    return picture + sums + words


def _traces(runs: Sequence[Run], names: Sequence[str]) -> str:
    curves = [
        Line(name, [(point[0], point[1] / 2**20) for point in run["trace"]])
        for run, name in zip(runs, names, strict=True)
    ]
    return _figure(lines(curves, "time (s)", "RSS (MiB)")) if curves else ""


def _operators(runs: Sequence[Run], names: Sequence[str]) -> str:
    figures = []
    for run, name in zip(runs, names, strict=True):
        if run["operators"]:
            shown = run["operators"][:MOST_OPERATORS]
            rest = sum(op["share"] for op in run["operators"][MOST_OPERATORS:])
            rows = [(op["operator"], [Part(0, 100 * op["share"], "share")]) for op in shown]
            rows += [("all others", [Part(0, 100 * rest, "share")])] if rest else []
            figures.append(_figure(stacked(rows, "%"), name))
    return _grid(figures)


def _growth(rows: Sequence[Run]) -> str:
    if not rows:
        return ""
    figures = []
    for key, words, scale in (
        ("step_p50_us", "step p50 (µs)", 1.0),
        ("state_bytes", "state (KiB)", 1024.0),
        ("rss_grown_bytes", "RSS growth (MiB)", 2.0**20),
    ):
        curves = [
            Line(row["name"], [(p["steps"], p[key] / scale) for p in row["points"] if p.get(key)])
            for row in rows
        ]
        log = key != "rss_grown_bytes"
        curves = [curve for curve in curves if curve.points]
        if curves:
            figures.append(_figure(lines(curves, "steps", words, x_log=True, y_log=log), words))
    notes = [row["note"] for row in rows if row.get("note")]
    return _grid(figures) + _list("Where a row ends early", notes, "note")


def _soak(rows: Sequence[Run]) -> str:
    if not rows:
        return ""
    figures = [
        _figure(
            lines(
                [Line(r["name"], [(p[0] / 3600, p[i] / s) for p in r["trace"]]) for r in rows],
                "stream time (h)", words,
            ),
            words,
        )
        for i, words, s in ((1, "RSS (MiB)", 2**20), (3, "step p99 (µs)", 1))
    ]  # fmt: skip
    told = [soak_words(row) for row in rows]
    table = _table(
        ["", *(row["name"] for row in rows)],
        [[key, *(words[key] for words in told)] for key in told[0]],
    )
    return _grid(figures) + table


def _facts(document: Document) -> str:
    rows = []
    for name, value in document["machine"].items():
        if name == "joined" and isinstance(value, Mapping):
            rows += [[str(machine), _plain(words)] for machine, words in value.items()]
        elif value not in ("", 0, {}):
            rows.append([name, _plain(value)])
    for name in document["before"]:
        pair = [_plain(document[when].get(name)) for when in ("before", "after")]
        if any(pair):
            rows.append([name, " → ".join(dict.fromkeys(pair))])
    rows += [[name, _plain(value)] for name, value in document["settings"].items()]
    return _table(["", "value"], rows)


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
