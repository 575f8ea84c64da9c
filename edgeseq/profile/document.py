"""The JSON document of a profile: its fields, its check, its page of documentation.

One table of fields serves all three, and the columns of the CSV. `python -m
edgeseq.profile.document` writes docs/profile-format.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import ConfigError

__all__ = [
    "BUDGET", "FORMAT", "RUN", "VERSION", "Document", "Field", "check", "check_fields", "page",
    "read", "read_json",
]  # fmt: skip

FORMAT = "edgeseq.profile"
VERSION = 1
"""Raised when a field changes its meaning or goes; a new field may be null in older files."""

MOST_BYTES = 64 * 2**20
MOST_NUMBER = 1e15
"""Of either sign; no figure of a profile is larger."""

Document = dict[str, Any]
Kind = Literal["text", "count", "number", "flag", "list", "object"]

KINDS: dict[Kind, tuple[type, ...]] = {
    "text": (str,),
    "count": (int,),
    "number": (int, float),
    "flag": (bool,),
    "list": (list,),
    "object": (dict,),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A key of a JSON object.

    Attributes:
        name: the key; the unit is its last part.
        kind: type of the value.
        words: what it means.
        optional: whether it may be null.
        rounds: how the values of several rounds become one: median, max, sum or first.
        late: whether older files of this version lack it; `read` gives null for it then.
    """

    name: str
    kind: Kind
    words: str
    optional: bool = False
    rounds: str = "median"
    late: bool = False


def _same(name: str, kind: Kind, words: str, optional: bool = False, late: bool = False) -> Field:
    return Field(name, kind, words, optional, "first", late)


DOCUMENT = (
    _same("format", "text", f"always {FORMAT}"),
    _same("version", "count", f"version of this format, {VERSION}"),
    _same("created", "text", "when it was measured, ISO 8601 in UTC"),
    _same("edgeseq", "text", "version of edgeseq"),
    _same("machine", "object", "what was measured on: board, soc, core, memory, system, versions"),
    _same("before", "object", "governor, clock, temperature, throttling, load at the start"),
    _same("after", "object", "the same at the end"),
    _same("settings", "object", "rounds, steps or seconds, warm-up, garbage collection"),
    _same("warnings", "list", "what may have spoilt the figures, in words"),
    _same("notes", "list", "configurations that could not run, and other remarks"),
    _same("runs", "list", "one object for each model, backend and number of threads: see below"),
    _same("growth", "list", "with --growth: step time and memory against stream length"),
    _same("soak", "list", "with --soak: a long stream, first minute against last"),
)

RUN = (
    _same("model", "text", "name of the model"),
    _same("task", "text", "keyword, vad or bytes"),
    _same("family", "text", "gru, lstm, transformer, ..."),
    _same("shape", "text", "layers x width of the encoder, as in 2x160", True, late=True),
    _same("left_context", "count", "past frames that attention sees", True, late=True),
    _same("quantization", "text", "how the weights are stored"),
    _same("backend", "text", "what ran it"),
    _same("threads", "count", "threads of one step"),
    _same("file_sha256", "text", "of the model file"),
    _same("input", "text", "name of the audio or text"),
    _same("input_sha256", "text", "of that file"),
    _same("file_bytes", "count", "size of the model file"),
    _same("weight_bytes", "count", "stored weights"),
    _same("state_bytes", "count", "carried from step to step, for one stream"),
    _same("arena_bytes", "count", "working memory of a backend that plans it", optional=True),
    _same("parameters", "count", "trained numbers"),
    _same("macs_per_step", "count", "multiply-accumulates of a step"),
    _same("step_audio_ms", "number", "audio that a step consumes; null for text", optional=True),
    Field("steps", "count", "timed steps of all rounds together", rounds="sum"),
    Field("step_p50_us", "number", "median step time, behind warm-up"),
    Field("step_p90_us", "number", "step time that one step in ten exceeds"),
    Field("step_p99_us", "number", "step time that one step in a hundred exceeds"),
    Field("step_p999_us", "number", "step time that one step in a thousand exceeds"),
    Field("step_max_us", "number", "the longest step of all rounds", rounds="max"),
    Field("step_mean_us", "number", "mean step time"),
    Field("step_jitter_us", "number", "mean difference between a step time and the one before"),
    Field("p50_spread", "number", "(largest - smallest) / median of the rounds' step_p50_us"),
    Field("overhead_us", "number", "what timing adds to a step: the median of an empty step"),
    Field("compute_s", "number", "time of all timed steps of a round"),
    Field("wall_s", "number", "time of the timed part of a round by the clock"),
    Field("stream_seconds", "number", "audio in the timed steps of a round", optional=True),
    Field("rtf", "number", "compute time / audio time, one stream", optional=True),
    Field("cpu_s", "number", "processor time of a round's timed part, all threads"),
    Field("cpu_per_audio_s", "number", "processor seconds for a second of audio", optional=True),
    Field("frames_per_s", "number", "frames (bytes for text) a second of compute time"),
    Field("cold_process_ms", "number", "from the start of the process to Python's first line"),
    Field("cold_import_ms", "number", "imports of edgeseq, numpy and the backend's libraries"),
    Field("cold_load_ms", "number", "from the file to a stream's buffers"),
    Field("cold_first_step_ms", "number", "the very first step"),
    Field("rss_imported_bytes", "count", "memory of the process after the imports"),
    Field("rss_loaded_bytes", "count", "after loading"),
    Field("rss_steady_bytes", "count", "after the timed steps"),
    Field("rss_peak_bytes", "count", "the most until then"),
    Field("minor_faults", "count", "pages mapped during the timed steps", optional=True),
    Field("major_faults", "count", "pages read from disk during them", optional=True),
    Field("voluntary_switches", "count", "waits during them", optional=True),
    Field("involuntary_switches", "count", "cores lost to others during them", optional=True),
    Field("energy_j", "number", "energy of the whole processor during them", optional=True),
    _same("energy_source", "text", 'rapl, pmic, or "" where the machine does not tell'),
    _same("metric_name", "text", "words found, right frames or bits per byte"),
    _same("metric", "number", "how good it is on the input; null without labels", optional=True),
    _same("false_alarms", "count", "keywords that nobody said", optional=True),
    _same("events", "count", "events in the input"),
    Field("word_delay_p50_ms", "number", "median of words[].delay_ms", optional=True),
    Field("word_delay_max_ms", "number", "largest of words[].delay_ms", optional=True),
    _same("budget", "object", "latency by cause, see below; null for text", optional=True),
    _same("words", "list", "for each word found: label, end_s, event_s, delay_ms"),
    _same("operators", "list", "operator, calls, share of step time, by the backend's profile"),
    _same("histogram", "list", "[from, to, count] of step times in microseconds, all rounds"),
    _same("trace", "list", "[seconds, RSS bytes, p50, p99 in microseconds], first round"),
    _same("rounds", "list", "step_p50_us, step_p99_us, rss_peak_bytes and warnings of each round"),
)

BUDGET = (
    _same("capture_ms", "number", "longest wait for the end of a capture block (20 ms)"),
    _same("resampler_ms", "number", "most that the resampler held back, measured"),
    _same("fill_ms", "number", "longest further wait until the chunk of a step is complete"),
    _same("lookahead_ms", "number", "future input that an output waits for"),
    _same("decoder_ms", "number", "mean wait of the decoder for a peak or pause, measured", True),
    _same("compute_p50_ms", "number", "median time of front end, steps and decoder for a block"),
    _same("compute_p99_ms", "number", "the same, exceeded by one block in a hundred"),
    _same("queue_p99_ms", "number", "wait for blocks before, exceeded by one block in a hundred"),
    _same("queue_max_ms", "number", "the longest such wait"),
    _same("algorithmic_ms", "number", "capture + resampler + fill + lookahead + decoder"),
    _same("computing_ms", "number", "compute_p99 + queue_p99"),
)


MACHINE = (
    _same("cpu", "text", "name of the board or of the processor"),
    _same("board", "text", 'maker\'s name of the board or computer, or ""'),
    _same("cores", "count", "cores that the process may use"),
    _same("bits", "count", "word size of Python"),
    _same("memory_bytes", "count", "memory that the process may use; 0 when unknown"),
    _same("libraries", "object", "versions by package"),
)

OPERATOR = (
    _same("operator", "text", "kind of operator"),
    _same("calls", "count", "calls in the profiled steps"),
    _same("share", "number", "of the step time, from 0 to 1"),
)

WORD = (
    _same("label", "text", "what was said"),
    _same("end_s", "number", "labelled end of the word"),
    _same("event_s", "number", "when its event came out"),
    _same("delay_ms", "number", "the time between the two"),
)

ROUND = (
    _same("step_p50_us", "number", "median step time"),
    _same("step_p99_us", "number", "step time that one step in a hundred exceeds"),
    _same("rss_peak_bytes", "number", "most memory"),
    _same("warnings", "list", "what may have spoilt this round"),
)

GROWTH = (
    _same("name", "text", "model and kind"),
    _same("model", "text", "name of the model"),
    _same("kind", "text", "bounded cache, recurrent state, full recompute or growing cache"),
    _same("note", "text", "why the row ends early, or nothing"),
    _same("points", "list", "after so many steps: see below"),
)

POINT = (
    _same("steps", "count", "length of the stream"),
    _same("step_p50_us", "number", "median time of the steps before"),
    _same("step_p99_us", "number", "the time that one in a hundred of them exceeds"),
    _same("state_bytes", "count", "what must be kept for the next step"),
    _same("rss_grown_bytes", "number", "growth of the process since the first point"),
)

SOAK = (
    _same("name", "text", "name of the model"),
    _same("backend", "text", "what ran it"),
    _same("interrupted", "flag", "whether it ended early"),
    _same("stream_seconds", "number", "length of the stream (bytes for text)"),
    _same("steps", "count", "steps"),
    _same("wall_s", "number", "how long it took"),
    _same("rss_growth_bytes", "number", "behind the first minute", True),
    _same("rss_slope_bytes_per_hour", "number", "straight line through the trace, same part", True),
    _same("p50_ratio", "number", "median step time, last 24th / first 24th", True),
    _same("p99_ratio", "number", "the same of the 99th percentile", True),
    _same("same_events", "flag", "last turn of the input against the first minute's", True),
    _same("state_difference", "number", "largest difference of any state at their ends", True),
    _same("same_after_reset", "flag", "whether a reset stream equals a new one, bit for bit"),
    _same("trace", "list", "[stream seconds, RSS bytes, p50, p99 in microseconds]"),
)

PAGES = (
    ("Document", DOCUMENT),
    ("machine (more keys may follow)", MACHINE),
    ("runs", RUN),
    ("runs[].budget", BUDGET),
    ("runs[].words", WORD),
    ("runs[].operators", OPERATOR),
    ("runs[].rounds", ROUND),
    ("growth", GROWTH),
    ("growth[].points", POINT),
    ("soak", SOAK),
)


def read(path: str) -> Document:
    """The document in a file; ConfigError says in one line what is wrong with it."""
    document = read_json(path)
    check(document, path)
    for run in document["runs"]:
        for field in RUN:
            if field.late:
                run.setdefault(field.name, None)
    return dict(document)


def read_json(path: str) -> Any:
    """The value in a JSON file; ConfigError when it cannot be read, is too large, or is none."""
    try:
        if Path(path).stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path}: more than {MOST_BYTES:,} bytes are no profile")
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError):
        raise ConfigError(f"{path}: is not JSON; write one with: edgeseq profile -o FILE") from None


def check(document: object, where: str) -> None:
    """Raise ConfigError, which names the place, unless this is a document of this version."""
    found = document if isinstance(document, dict) else {}
    if found.get("format") != FORMAT:
        raise ConfigError(
            f"{where}: is no profile (format is {found.get('format')!r}, must be {FORMAT!r}); "
            "write one with: edgeseq profile -o FILE"
        )
    if found.get("version") != VERSION:
        raise ConfigError(
            f"{where}: has version {found.get('version')!r} of the format, this edgeseq reads "
            f"{VERSION}; measure again, or use the edgeseq that wrote it"
        )
    check_fields(found, DOCUMENT, where)
    check_fields(found["machine"], MACHINE, f"{where}: machine")
    for name in ("warnings", "notes"):
        _texts(found[name], f"{where}: {name}")
    for place, run in _each(found["runs"], RUN, f"{where}: runs"):
        if run["budget"] is not None:
            check_fields(run["budget"], BUDGET, f"{place}.budget")
        _each(run["words"], WORD, f"{place}.words")
        _each(run["operators"], OPERATOR, f"{place}.operators")
        for inner, turn in _each(run["rounds"], ROUND, f"{place}.rounds"):
            _texts(turn["warnings"], f"{inner}.warnings")
        _rows(run["histogram"], 3, f"{place}.histogram")
        _rows(run["trace"], 4, f"{place}.trace")
    for place, row in _each(found["growth"], GROWTH, f"{where}: growth"):
        _each(row["points"], POINT, f"{place}.points")
    for place, row in _each(found["soak"], SOAK, f"{where}: soak"):
        _rows(row["trace"], 4, f"{place}.trace")


def _each(
    items: list[Any], fields: Iterable[Field], where: str
) -> list[tuple[str, dict[str, Any]]]:
    """Every item with its place, all checked."""
    named = [(f"{where}[{number}]", item) for number, item in enumerate(items)]
    for place, item in named:
        check_fields(item, fields, place)
    return named


def _texts(items: list[Any], where: str) -> None:
    if not all(isinstance(item, str) for item in items):
        raise ConfigError(f"{where}: must hold text only")


def _rows(rows: list[Any], width: int, where: str) -> None:
    for number, row in enumerate(rows):
        good = isinstance(row, list) and len(row) == width
        if not good or not all(_is_number(value) and value >= 0 for value in row):
            raise ConfigError(f"{where}[{number}]: must hold {width} numbers from 0 on")


def _is_number(value: Any) -> bool:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    # False for NaN as well.
    return good and bool(-MOST_NUMBER <= value <= MOST_NUMBER)


def check_fields(found: object, fields: Iterable[Field], where: str) -> None:
    """Raise ConfigError unless `found` is an object that has these fields, each of its type."""
    if not isinstance(found, Mapping):
        raise ConfigError(f"{where}: is {type(found).__name__}, must be an object")
    for field in fields:
        if field.name not in found:
            if field.late:
                continue
            raise ConfigError(f"{where}.{field.name}: missing")
        value = found[field.name]
        if value is None and field.optional:
            continue
        good = isinstance(value, KINDS[field.kind])
        if field.kind in ("count", "number"):
            good = good and _is_number(value)
        if field.kind == "count":
            good = good and value >= 0
        if not good:
            kind = "null" if value is None else repr(value)[:40]
            raise ConfigError(f"{where}.{field.name}: is {kind}, must be a {field.kind}")


def page() -> str:
    """The page of documentation, in Markdown."""
    parts = [
        "# The JSON of a profile",
        "",
        "GENERATED by `python -m edgeseq.profile.document`; do not edit.",
        "",
        "`edgeseq profile -o FILE.json` writes it, `edgeseq compare A.json B.json` reads it. Units "
        "are the last part of a name: `_us`, `_ms`, `_s`, `_bytes`. Readers refuse another "
        "`version`, missing keys and other types; unknown keys are left alone. A figure of a run "
        "is the median of its rounds unless the table says otherwise. The CSV has a column for "
        "every text, count and number of a run.",
    ]
    for title, fields in PAGES:
        parts += ["", f"## {title}", "", "| key | type | meaning |", "|---|---|---|"]
        for field in fields:
            kind = f"{field.kind} or null" if field.optional else field.kind
            kind += ", absent in older files" if field.late else ""
            joined = "" if field.rounds in ("median", "first") else f" ({field.rounds} of rounds)"
            parts.append(f"| `{field.name}` | {kind} | {field.words}{joined} |")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
