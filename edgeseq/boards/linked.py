"""What a linker kept, from the map that GNU ld writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Piece", "linked_pieces"]

BEGIN = "Linker script and memory map"

LOADED = (".vectors", ".text", ".rodata", ".data", ".ARM.ex", ".init_array", ".fini_array")
EMPTY = (".bss", "COMMON")

NAME = re.compile(r" (\.\S+|COMMON)(?:\s+(.*))?")
PLACE = re.compile(r"\s*0x[0-9a-f]+\s+0x([0-9a-f]+)\s+(\S.*)")
FILL = re.compile(r" \*fill\*\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s*")


@dataclass(frozen=True, slots=True)
class Piece:
    """A section of an object file that is in the program.

    Attributes:
        section: its name, such as `.text.es_init`.
        file: the object file; a member of a library is in parentheses after it. Empty for what
            only fills up to a whole number of words.
        size: its bytes.
    """

    section: str
    file: str
    size: int

    @property
    def in_flash(self) -> bool:
        """Whether it lies in the image: code, constants, and first values of variables."""
        return self.section.startswith(LOADED)

    @property
    def in_ram(self) -> bool:
        """Whether it takes memory for data."""
        return self.section.startswith((*EMPTY, ".data"))


def linked_pieces(text: str) -> Iterator[Piece]:
    """Every piece of code and data in the linker map `text`."""
    name = last = ""
    for line in text.partition(BEGIN)[2].splitlines():
        if fill := FILL.fullmatch(line):
            yield Piece(last, "", int(fill[1], 16))
            continue
        named = NAME.fullmatch(line)
        # A name too long for its column has its place on the next line.
        name, rest = (named[1], named[2] or "") if named else (name, line)
        place = PLACE.fullmatch(rest)
        if place and name:
            piece = Piece(name, place[2], int(place[1], 16))
            if piece.size and (piece.in_flash or piece.in_ram):
                last = name
                yield piece
        if place or not named:
            name = ""
