"""Profiles of several machines put side by side, as far as they can be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ..errors import ConfigError
from .condition import MOST_SPREAD
from .document import Document

__all__ = ["differences", "join", "obstacles", "repeats"]

VERSIONS = ("edgeseq", "onnxruntime", "numpy")
MEASURING = ("rounds", "steps", "seconds", "warm_up_steps", "gc")


def join(documents: Mapping[str, Document], mix: bool = False) -> Document:
    """One document with the runs of all, each with its machine.

    Args:
        documents: by the name of the file that each came from.
        mix: join even what cannot be compared, and note it.

    ConfigError when there is less than two documents, or something cannot be compared.
    """
    if len(documents) < 2:
        raise ConfigError("one profile alone is no comparison; give two or more .json files")
    against = obstacles(documents)
    if against and not mix:
        raise ConfigError(f"{'; '.join(against)}; use --mix to see them side by side all the same")
    names = machine_names(documents)
    runs = [
        {**run, "machine": names[file]}
        for file, document in documents.items()
        for run in document["runs"]
    ]
    order = list(dict.fromkeys(run["model"] for run in runs))
    runs.sort(key=lambda run: (order.index(run["model"]), run["backend"], run["threads"]))
    first = next(iter(documents.values()))
    machines = {names[f]: _machine_words(d["machine"]) for f, d in documents.items()}
    return {
        **first,
        "created": max(document["created"] for document in documents.values()),
        "machine": {
            **dict.fromkeys(("cores", "bits", "memory_bytes"), 0),
            "cpu": ", ".join(names.values()),
            "board": "",
            "libraries": {},
            "joined": machines,
        },
        "before": {},
        "after": {},
        "settings": {},
        "warnings": [
            *against,
            *differences(documents),
            *repeats(documents),
            *(f"{names[f]}: {words}" for f, d in documents.items() for words in d["warnings"]),
        ],
        "notes": [f"{names[f]}: {words}" for f, d in documents.items() for words in d["notes"]],
        "runs": runs,
        **{
            kind: [
                {**row, "name": f"{row['name']} on {names[file]}"}
                for file, document in documents.items()
                for row in document[kind]
            ]
            for kind in ("growth", "soak")
        },
    }


def machine_names(documents: Mapping[str, Document]) -> dict[str, str]:
    """A name for each document's machine; the file is added where two would be the same."""
    plain = {f: d["machine"].get("board") or d["machine"]["cpu"] for f, d in documents.items()}
    values = list(plain.values())
    return {f: n if values.count(n) == 1 else f"{n} ({f})" for f, n in plain.items()}


def obstacles(documents: Mapping[str, Document]) -> list[str]:
    """What makes figures of the same name mean different things; empty when all is well."""
    words = []
    for key, what in (("file_sha256", "is another model file"), ("input_sha256", "heard or read")):
        found: dict[str, dict[str, str]] = {}
        for file, document in documents.items():
            for run in document["runs"]:
                found.setdefault(run["model"], {}).setdefault(run[key], file)
        for model, files in found.items():
            if len(files) > 1:
                where = " and ".join(files.values())
                same = what if key == "file_sha256" else f"{what} another input"
                words.append(f"{model} {same} in {where}")
    return words


def differences(documents: Mapping[str, Document]) -> list[str]:
    """What else differs, and may explain a difference of figures."""
    words = []
    for name in VERSIONS:
        words += _differ(documents, name, partial(_version, name=name))
    words += _differ(documents, "word size of Python", lambda d: d["machine"].get("bits"))
    for name in MEASURING:
        words += _differ(documents, name, partial(_setting, name=name))
    runs: dict[str, set[tuple[object, ...]]] = {
        file: {(r["model"], r["backend"], r["threads"]) for r in document["runs"]}
        for file, document in documents.items()
    }
    shared = set.intersection(*runs.values())
    for file, have in runs.items():
        alone = sorted({str(key[0]) for key in have - shared})
        if alone:
            words.append(f"only in some, among them {file}: {', '.join(alone)}")
    return words


def repeats(documents: Mapping[str, Document]) -> list[str]:
    """How far runs of one configuration on one machine lie apart, a line for each machine."""
    machines: dict[str, dict[str, Document]] = {}
    for file, document in documents.items():
        words = _machine_words(document["machine"])
        machines.setdefault(words, {})[file] = document
    lines = []
    for same in machines.values():
        found: dict[tuple[str, str, int], list[float]] = {}
        for document in same.values():
            for run in document["runs"]:
                key = run["model"], run["backend"], run["threads"]
                found.setdefault(key, []).append(run["step_p50_us"])
        # Models that are no longer the same file were told before, or refused.
        spread = {key: max(v) / min(v) - 1 for key, v in found.items() if len(v) > 1 and min(v)}
        apart = [key for key, value in spread.items() if value > MOST_SPREAD]
        if apart:
            worst = max(apart, key=lambda key: spread[key])
            lines.append(
                f"step p50 differs by up to {spread[worst]:.0%} ({worst[0]} on {worst[1]}) between "
                f"{' and '.join(same)}, of the same machine: {len(apart)} of {len(spread)} "
                f"configurations by more than {MOST_SPREAD:.0%}; it was not steady"
            )
    return lines


def _differ(
    documents: Mapping[str, Document], name: str, value: Callable[[Document], object]
) -> list[str]:
    found = {file: value(document) for file, document in documents.items()}
    if len({str(v) for v in found.values()}) < 2:
        return []
    parts = ", ".join(f"{'none' if v is None else v} in {file}" for file, v in found.items())
    return [f"{name} differs: {parts}"]


def _setting(document: Document, name: str) -> object:
    return document["settings"].get(name)


def _version(document: Document, name: str) -> object:
    return document["machine"].get("libraries", {}).get(name, document.get(name))


def _machine_words(machine: Mapping[str, Any]) -> str:
    cores, gib = machine.get("cores"), machine.get("memory_bytes", 0) / 2**30
    parts: Sequence[object] = (
        machine["cpu"], machine.get("soc"), f"{cores} cores", f"{gib:.1f} GiB",
        f"{machine.get('bits')}-bit Python", machine.get("system"),
    )  # fmt: skip
    return ", ".join(str(part) for part in parts if part)
