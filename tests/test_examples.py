"""The examples run, and what they find that is no time holds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_claims_are_measured_and_those_about_bytes_hold(tmp_path: Path) -> None:
    page = tmp_path / "claims.md"
    # As a reader would start it, from somewhere else.
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "rnn_vs_transformer.py", "--quick", "-o", page],
        capture_output=True, text=True, cwd=tmp_path, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", page.read_text(), re.MULTILINE)
    verdicts = {claim: verdict for claim, _, verdict in rows if claim not in ("claim", "---")}
    for claim in (
        "RNNs, linear recurrences and windowed attention need O(T)",
        "A recurrent state takes constant memory",
        "Accumulating gradients equals a larger batch in less memory",
    ):
        assert verdicts[claim].startswith("holds"), (claim, verdicts[claim])
    assert len(verdicts) >= 13
    assert all(verdicts.values())


def test_the_page_of_claims_has_the_rows_that_the_example_makes() -> None:
    page = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    assert "--quick" not in page, "the page is to be made without --quick"
    source = "".join(
        (ROOT / name).read_text(encoding="utf-8")
        for name in ("benchmarks/claims.py", "benchmarks/claims_training.py")
    )
    claims = re.findall(r'(?:Claim|_cost)\(\n? *f?"([^"{]+)', source)
    assert len(claims) >= 11
    for claim in claims:
        assert claim in page, (
            f"run: python examples/rnn_vs_transformer.py -o docs/claims.md: {claim}"
        )
