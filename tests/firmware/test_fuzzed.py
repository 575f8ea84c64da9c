"""A bounded run of libFuzzer over the loader of .esq files and the engine behind it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.firmware.fuzzed import build_fuzzer, small_sections


@pytest.mark.slow
def test_libfuzzer_finds_nothing_in_sections_and_inputs(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, section in enumerate(small_sections()):
        (corpus / str(number)).write_bytes(section)
    fuzzer = build_fuzzer(tmp_path / "fuzz")
    done = subprocess.run(
        [fuzzer, "-runs=100000", "-seed=3", "-max_len=4096", "-timeout=20", corpus],
        capture_output=True, text=True, timeout=600, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done 100000 runs" in done.stderr
