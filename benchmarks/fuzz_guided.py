"""Fuzzing guided by coverage: python -m benchmarks.fuzz_guided TARGET [--runs N] [--seconds N]

Targets are those of `benchmarks.fuzz` that run in Python alone (`pip install atheris`), and
`engine`: the loader of .esq files and the C engine behind it, under the address and
undefined-behaviour sanitizers (`apt-get install clang libclang-rt-dev`). Good inputs of
tests/hostile are the seeds.
Exit code 1 when there was a finding; the input is then written to the current folder.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

IN_PYTHON = ("manifest", "wav", "audio", "recipe", "toml", "script")
LONGEST = 4096
SEED = 1


def engine(options: list[str]) -> int:
    """Run libFuzzer on sections of .esq files."""
    from tests.firmware.fuzzed import build_fuzzer, small_sections

    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, section in enumerate(small_sections()):
            (corpus / str(number)).write_bytes(section)
        fuzzer = build_fuzzer(Path(folder) / "fuzz")
        return subprocess.run([fuzzer, *options, corpus]).returncode


def in_python(name: str, options: list[str]) -> int:
    """Run atheris on a reader; it ends the process itself.

    Nothing of edgeseq may be imported before: only what is loaded in here counts as coverage.
    """
    import atheris

    with atheris.instrument_imports(include=["edgeseq"]):
        from tests.hostile.targets import TARGETS, one_line
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(target.seeds()):
            (Path(folder) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], *options, folder], lambda data: one_line(target.run, data))
        atheris.Fuzz()
    return 0


def main() -> int:
    """Run one target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=[*IN_PYTHON, "engine"])
    parser.add_argument("--runs", type=int, default=-1, help="default: without end")
    parser.add_argument("--seconds", type=int, default=0, help="default: without end")
    args = parser.parse_args()
    options = [
        f"-runs={args.runs}", f"-max_total_time={args.seconds}", f"-seed={SEED}", "-timeout=20",
        "-rss_limit_mb=2048", f"-max_len={LONGEST}", "-print_final_stats=1",
    ]  # fmt: skip
    return engine(options) if args.target == "engine" else in_python(args.target, options)


if __name__ == "__main__":
    sys.exit(main())
