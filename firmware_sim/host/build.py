"""Compiles the engine into a shared library: python firmware_sim/host/build.py [OUT]

OUT is edgeseq/_engine.abi3.so of this checkout when it is not given. Exit code 1, and words, when
there is no C compiler or it fails. Only the standard library is needed.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT.parent / "edgeseq" / "_engine.abi3.so"
FOLDERS = ("src", "host", "include")

# -fwrapv: numbers of a damaged model may overflow, which must stay a wrong number.
FLAGS = ("-std=c99", "-O3", "-fwrapv", "-fPIC", "-fvisibility=default", "-shared")


def sources() -> list[Path]:
    """Every file that the library is made from."""
    return sorted(p for folder in FOLDERS for p in (ROOT / folder).glob("*.[ch]"))


def digest() -> str:
    """SHA-256 of the sources and flags, which the library carries."""
    total = hashlib.sha256(" ".join(FLAGS).encode())
    for path in sources():
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def compiler() -> list[str] | None:
    """The C compiler's command: CC, else cc, gcc or clang; None when there is none."""
    given = os.environ.get("CC")
    for words in [shlex.split(given)] if given else [["cc"], ["gcc"], ["clang"]]:
        if words and shutil.which(words[0]):
            return words
    return None


def compile_library(out: Path, command: Sequence[str]) -> None:
    """Write the library; it appears only when it is complete.

    Raises:
        RuntimeError: the compiler failed; what it said is in the message.
    """
    includes = [f"-I{ROOT / folder}" for folder in FOLDERS]
    files = [str(path) for path in sources() if path.suffix == ".c"]
    python = Path(sysconfig.get_path("include"))
    if (python / "Python.h").exists():
        includes.append(f"-I{python}")
    else:
        files.remove(str(ROOT / "host" / "module.c"))
    if sys.platform == "darwin":
        # Python's own functions are found when the library is loaded.
        includes.append("-Wl,-undefined,dynamic_lookup")
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        made = Path(folder) / out.name
        done = subprocess.run(
            [*command, *FLAGS, *includes, f'-DES_BUILD="{digest()}"', *files, "-o", str(made)],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stderr}")
        made.replace(out)


def main() -> int:
    """Compile to the first argument, or into the package."""
    command = compiler()
    if command is None:
        print("no C compiler: install gcc, or set CC", file=sys.stderr)
        return 1
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    try:
        compile_library(out, command)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
