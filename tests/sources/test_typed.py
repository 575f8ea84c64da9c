"""Keys into lines, however they are cut, and a terminal that is left as it was."""

from __future__ import annotations

import io
import os
import pty
import termios
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseq.errors import AudioError
from edgeseq.sources.typed import LineEditor, TypedSource

KEYS = st.lists(
    st.sampled_from(["a", "ä", "€", "😀", " ", "\r", "\n", "\x7f", "\x15", "\x17", "\t", "\x1b[C",
                     "\x1b[1;5C", "\x1b[A", "\x1bOP", "\x1b[3~", "\x00", "\x07", "\x1bx"]),
    max_size=25,
)  # fmt: skip


def typed(data: bytes, offer: str = "") -> tuple[list[str], str]:
    editor = LineEditor()
    editor.offer = offer
    return editor.push(data), editor.text


@pytest.mark.parametrize(
    ("keys", "lines", "text"),
    [
        ("ab\rc\n", ["ab\n", "c\n"], ""),
        ("Grüße€\x7f\x08", [], "Grüß"),
        ("\x7f\x15\x17a", [], "a"),
        ("one two  \x17", [], "one "),
        ("one two\x17\x17x", [], "x"),
        ("all of it\x15no", [], "no"),
        ("a\x1b[A\x1b[B\x1b[D\x1b[3~\x1bOP\x1b[1;5Ab", [], "ab"),
        ("a\x00\x07\x0eb", [], "ab"),
        ("a\x04b\r", [], "a"),
    ],
)
def test_keys(keys: str, lines: list[str], text: str) -> None:
    assert typed(keys.encode()) == (lines, text)


def test_an_offer_is_taken_by_the_next_key_or_never() -> None:
    assert typed(b"\t", "unto") == ([], "unto")
    assert typed(b"\x1b[C", " the") == ([], " the")
    assert typed(b"a\t", "unto") == ([], "a")
    assert typed(b"\t\t", "unto") == ([], "unto")


@given(keys=KEYS, cuts=st.lists(st.integers(0, 80), max_size=6))
def test_any_cut_of_the_keys_gives_the_same(keys: list[str], cuts: list[int]) -> None:
    data = "".join(keys).encode()
    whole, parts, last = LineEditor(), LineEditor(), 0
    expected = whole.push(data)
    lines = []
    for cut in [*sorted(min(c, len(data)) for c in cuts), len(data)]:
        lines += parts.push(data[last:cut])
        last = cut
    assert (lines, parts.text) == (expected, whole.text)
    assert all(line.endswith("\n") and line[:-1].isprintable() for line in lines)


def test_an_endless_sequence_is_given_up() -> None:
    editor = LineEditor()
    assert editor.push(b"\x1b[" + b"1;" * 1000 + b"\r") == ["[" + "1;" * 1000 + "\n"]


def test_bytes_that_are_no_utf8_do_no_harm() -> None:
    assert typed(b"a\xff\xe2\r")[0] == ["a\ufffd\ufffd\n"]


def test_a_terminal_gives_keys_as_they_come_and_is_left_as_it_was() -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    with open(theirs, "rb", buffering=0) as stream:
        with closing(TypedSource(stream)) as source:
            seen: list[str] = []
            source.changed = lambda: seen.append(source.editor.text)
            assert not termios.tcgetattr(theirs)[3] & termios.ICANON
            blocks = source.blocks()
            assert next(blocks).samples.tobytes() == b"\n"
            os.write(ours, b"ab")
            while "ab" not in seen:
                assert len(next(blocks).samples) == 0
            os.write(ours, "ü\rrest\x04".encode())
            given_ = b"".join(block.samples.tobytes() for block in blocks)
            assert given_ == "abü\nrest".encode()
            assert seen[-1] == ""
        source.close()
        assert termios.tcgetattr(theirs) == before
    os.close(ours)


def test_what_is_no_terminal_is_refused() -> None:
    with pytest.raises(AudioError, match="no terminal"), open(os.devnull, "rb") as stream:
        TypedSource(stream)
    with pytest.raises(AudioError, match="no terminal"):
        TypedSource(io.BytesIO())
