"""Suggestions: the words that a model holds for likely, by an exhaustive search of small ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseq.assets import resolve
from edgeseq.decode.sampling import Sampler
from edgeseq.errors import ConfigError
from edgeseq.generator import Generator
from edgeseq.runtime import Session
from edgeseq.suggest import Suggester, Suggestion
from tests import graphs
from tests.runtime.native_files import native_file


def suggest(session: Session, text: bytes, width: int = 3, longest: int = 24) -> list[Suggestion]:
    generator = Generator(session, Sampler())
    generator.read(text)
    state = generator.state
    return Suggester(session, width, longest).suggest(state["tensors"], bits(state["logits"]))


def bits(logits: Any) -> Any:
    wide = np.asarray(logits, np.float64)
    return (np.logaddexp.reduce(wide) - wide) / math.log(2)


def probability(session: Session, before: bytes, word: bytes, ends: bytes) -> float:
    """Of `word` and any of `ends` behind it, by the steps alone."""
    generator = Generator(session, Sampler())
    generator.read(before)
    p = 1.0
    for byte in word:
        p *= 2 ** -bits(generator.state["logits"])[byte]
        generator.read(bytes((byte,)))
    return float(p * sum(2 ** -bits(generator.state["logits"])[end] for end in ends))


def test_a_word_goes_on_to_its_end(tmp_path: Path) -> None:
    session = Session(graphs.chain_model(tmp_path / "c.onnx", b"the sad, BIG-y5 "))
    # An h is followed by an e, that by a space: one likely word, wherever it begins.
    assert suggest(session, b"t")[0].text == "he"
    assert suggest(session, b"t")[0].probability == pytest.approx(1, abs=1e-6)
    # Behind an e a space comes first, and after spaces t, s and B are as likely.
    assert {s.text for s in suggest(session, b"he")} == {" the", " sad", " BIG-y5"}
    assert [round(s.probability, 3) for s in suggest(session, b"he")] == [0.333] * 3
    assert suggest(session, b"he", width=1)[0].text in (" the", " sad", " BIG-y5")
    assert suggest(session, b"he", longest=1) == []
    assert [s.text for s in suggest(session, b"t", longest=2)][:1] == ["he"]


@pytest.mark.parametrize("name", ["bytes-gru", "bytes-transformer"])
def test_probabilities_are_those_of_the_model(name: str) -> None:
    session, before = Session(resolve(name)), b"And the LORD sa"
    words = suggest(session, before)
    assert words[0].text == "id"
    assert words[0].probability > 0.3
    assert [w.probability for w in words] == sorted((w.probability for w in words), reverse=True)
    for word in words[:2]:
        expected = probability(session, before, word.text.encode(), b' \n\t.,;:!?()[]"')
        assert word.probability == pytest.approx(expected, rel=1e-3)


def test_a_wide_beam_finds_what_trying_everything_finds(tmp_path: Path) -> None:
    """A model with random weights, whose words of one byte are all tried."""
    session, ends = Session(graphs.byte_model(tmp_path / "b.onnx")), b' \n\t.,;:!?()[]"'
    found = suggest(session, b"ab", width=256, longest=1)
    singles = {
        chr(byte): probability(session, b"ab", bytes((byte,)), ends)
        for byte in range(33, 127)
        if byte not in ends
    }
    by_text = {s.text: s.probability for s in found}
    assert by_text == pytest.approx(singles, rel=1e-4)
    # A word has a letter, at most one space before it, and is one.
    for suggestion in found:
        assert suggestion.text.strip()
        assert not set(suggestion.text.strip()) & set(ends.decode())
        assert suggestion.text.isprintable()


def test_the_native_engine_suggests_as_well(tmp_path: Path) -> None:
    session = Session(native_file(tmp_path, "gru-bytes"))
    for word in suggest(session, b"And "):
        expected = probability(session, b"And ", word.text.encode(), b' \n\t.,;:!?()[]"')
        assert word.probability == pytest.approx(expected, rel=1e-3)


def test_without_anything_expected_there_are_no_words(tmp_path: Path) -> None:
    session = Session(graphs.byte_model(tmp_path / "b.onnx"))
    assert Suggester(session).suggest(session.initial_state(), None) == []
    with pytest.raises(ConfigError, match="takes 2 bytes"):
        Suggester(Session(graphs.byte_model(tmp_path / "two.onnx", chunk=2)))
