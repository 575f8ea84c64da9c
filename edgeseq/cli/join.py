"""`edgeseq compare A.json B.json`: profiles of several machines side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ..profile.document import read
from ..profile.join import join
from .figures import print_runs
from .lines import visible
from .outputs import write_outputs

__all__ = ["compare_files"]


def compare_files(files: Sequence[str], outputs: Sequence[Path], mix: bool, as_json: bool) -> None:
    """Print the runs of all files in one table, with everything that differs besides."""
    documents = {file: read(file) for file in files}
    joined = join(documents, mix)
    write_outputs(outputs, joined, list(documents.values()))
    if as_json:
        print(json.dumps(joined))
        return
    print_runs(joined["runs"])
    for name, words in joined["machine"]["joined"].items():
        print(f"{visible(name)}: {visible(words)}")
    for words in joined["warnings"]:
        print(f"warning: {visible(words)}")
    for words in joined["notes"]:
        print(f"not measured: {visible(words)}")
