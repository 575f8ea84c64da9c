"""A profile as CSV: a row for each run, a column for each plain value."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from .document import BUDGET, RUN, Document

__all__ = ["csv_text"]

PLAIN = tuple(f.name for f in RUN if f.kind in ("text", "count", "number"))
MACHINE = ("board", "soc", "cpu", "cores", "bits", "system", "memory_bytes")


def csv_text(documents: Iterable[Document]) -> str:
    """The runs of all documents, each with its machine; empty cells for null."""
    text = io.StringIO()
    columns = ["created", *MACHINE, *PLAIN, *(f"budget_{f.name}" for f in BUDGET)]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for document in documents:
        machine = {name: document["machine"].get(name) for name in MACHINE}
        for run in document["runs"]:
            plain = {name: run[name] for name in PLAIN}
            budget = {f"budget_{k}": v for k, v in (run["budget"] or {}).items()}
            writer.writerow({"created": document["created"], **machine, **plain, **budget})
    return text.getvalue()
