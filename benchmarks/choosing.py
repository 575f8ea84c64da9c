"""docs/choosing.md, from the measurements that come with edgeseq: python -m benchmarks.choosing"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template
from textwrap import fill
from typing import Any

from edgeseq.profile import reference

PAGE = Path(__file__).parents[1] / "docs" / "choosing.md"
TEMPLATE = Path(__file__).with_name("choosing.md.in")
WIDTH = 110

Row = Mapping[str, Any]

TASKS = {"keyword": "Keywords, 20 ms a step", "vad": "Speech or not, 10 ms a step", "bytes": "Text"}


def page() -> str:
    """The page, from edgeseq/assets/reference."""
    ours, board = reference.computer(), reference.cortex_m4()
    runs = {run["model"]: run for run in ours["runs"]}
    rows = {row["model"]: row for row in board["rows"]}
    tables: list[str] = []
    for task, title in TASKS.items():
        tables += [f"## {title}", "", *_table(_on_computer(task, runs), COMPUTER), ""]
        tables += [*_table([row for row in rows.values() if row["task"] == task], BOARD), ""]
    said = {"tables": "\n".join(tables[:-1]), "origin": _origin(ours, board), **_facts(runs, rows)}
    text = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(said)
    return "".join(map(_filled, text.splitlines(keepends=True)))


def _filled(line: str) -> str:
    """A long line of prose, wrapped."""
    if len(line) <= WIDTH or line.startswith("|"):
        return line
    after = "  " if line.startswith("- ") else ""
    return fill(line, WIDTH, subsequent_indent=after, break_on_hyphens=False) + "\n"


def _origin(ours: Row, board: Row) -> str:
    machine = ours["machine"]
    return (
        f"The upper tables: {machine['cpu']}, {machine['cores']} cores, {machine['system']}, "
        f"onnxruntime {machine['onnxruntime']}, one thread, medians of "
        f"{ours['settings']['rounds']} rounds in fresh processes "
        "(`python -m benchmarks.reference computer`), on a machine that other work kept busy. The "
        f"lower ones: {board['core']}, {board['counted_by']}; flash is weights and tables, to "
        f"which the engine adds {board['engine_bytes']:,} bytes "
        "(`python -m benchmarks.reference cortex-m4`)."
    )


def _on_computer(task: str, runs: Mapping[str, Row]) -> list[dict[str, Any]]:
    """A row for each network, with its forms beside each other."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for run in runs.values():
        if run["task"] != task:
            continue
        key = run["family"], run["shape"], run["left_context"]
        form = run["backend"] if run["backend"] == "native" else run["quantization"]
        found.setdefault(key, {"run": run})[form] = run
    order = ("gru", "lstm", "linear", "transformer", "hybrid")
    # Stable: shapes stay in the order of their size.
    return sorted(
        found.values(), key=lambda r: (order.index(r["run"]["family"]), r["run"]["parameters"])
    )


def _network(run: Row) -> str:
    window = "" if run["left_context"] is None else f", window {run['left_context']}"
    return f"{run['family']} {run['shape']}{window}"


def _time(form: str) -> Callable[[Row], str]:
    def write(row: Row) -> str:
        run = row.get(form)
        return "-" if run is None else f"{run['step_p50_us']:,.0f} / {run['step_p99_us']:,.0f}"

    return write


def _quality(row: Row) -> str:
    """What the bundled model of this shape is worth."""
    known = reference.quality()
    for form in ("native", "int8"):
        run = row.get(form)
        if run is None:
            continue
        if run["model"] in known:
            return f"{known[run['model']]['value']:.1%}"
        if run["metric"] is not None:
            bits = run["metric_name"] == "bits per byte"
            return f"{run['metric']:.2f} bits per byte" if bits else f"{run['metric']:.1%}"
    return ""


def _form(row: Row) -> Row:
    """The int8 file, or what there is."""
    found: Row = row.get("int8") or row["run"]
    return found


def _state(row: Row) -> str:
    native = row.get("native")
    own = f"{_form(row)['state_bytes']:,}"
    return own if native is None else f"{own} / {native['state_bytes']:,}"


COMPUTER: dict[str, Callable[[Row], str]] = {
    "network": lambda r: _network(r["run"]),
    "parameters": lambda r: f"{r['run']['parameters']:,}",
    "int8 file (bytes)": lambda r: f"{_form(r)['file_bytes']:,}",
    "state, onnx / native (bytes)": _state,
    "step p50 / p99 (us), float": _time("none"),
    "int8": _time("int8"),
    "native": _time("native"),
    "accuracy": _quality,
}

BOARD: dict[str, Callable[[Row], str]] = {
    "on a Cortex-M4": _network,
    "flash (bytes)": lambda r: f"{r['flash_bytes']:,}",
    "arena (bytes)": lambda r: f"{r['arena_bytes']:,}",
    "of which state": lambda r: f"{r['state_bytes']:,}",
    "instructions a step": lambda r: f"{r['instructions']:,}",
    "multiply-accumulates": lambda r: f"{r['macs_per_step']:,}",
}


def _table(rows: Sequence[Row], columns: Mapping[str, Callable[[Row], str]]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(write(row) for write in columns.values())} |" for row in rows]
    return lines


def _facts(runs: Mapping[str, Row], rows: Mapping[str, Row]) -> dict[str, str]:
    """The sentences of the template that have figures in them."""
    gru, attention = rows["words-gru"], rows["words-transformer"]
    short, long = attention, rows["keyword-transformer-3x96-w128"]
    state = (
        f"Of about equal size, words-gru keeps {gru['state_bytes']:,} bytes between steps in the "
        f"integer program and words-transformer {attention['state_bytes']:,}, in arenas of "
        f"{gru['arena_bytes']:,} and {attention['arena_bytes']:,}; with a window of "
        f"{long['left_context']} instead of {short['left_context']} it would be "
        f"{long['state_bytes']:,}."
    )
    per = [row["instructions"] / row["macs_per_step"] for row in rows.values()]
    large = [row["instructions"] / row["macs_per_step"] for row in rows.values()
             if row["macs_per_step"] > 200_000]  # fmt: skip
    macs = (
        f"On the Cortex-M4 one costs {min(large):.1f} to {max(large):.1f} instructions in networks "
        f"of more than 200,000 (up to {max(per):.1f} in the smallest, where the front end weighs)."
    )
    ratios = {
        name: runs[name]["step_p50_us"] / runs[f"{name}-native"]["step_p50_us"]
        for name in ("words-gru", "words-transformer")
    }
    backend = (
        f"The same weights take {ratios['words-gru']:.1f} (words-gru) and "
        f"{ratios['words-transformer']:.1f} times (words-transformer) as long in onnxruntime as in "
        f"the native engine, which needs about "
        f"{runs['words-gru']['rss_peak_bytes'] / runs['words-gru-native']['rss_peak_bytes']:.1f} "
        f"times less memory for the process too."
    )
    known = reference.quality()
    accuracy = (
        f"On six classes of Speech Commands our Transformer is right in "
        f"{known['words-transformer']['value']:.1%} and our GRU in "
        f"{known['words-gru']['value']:.1%}; on text our GRU needs "
        f"{runs['bytes-gru']['metric']:.2f} bits per byte and our "
        f"Transformer {runs['bytes-transformer']['metric']:.2f}."
    )
    return {"state": state, "macs": macs, "backend": backend, "accuracy": accuracy}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
