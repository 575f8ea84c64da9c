"""Writing text: whole characters, stop texts, and going on where a text was left, per backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseq.assets import resolve
from edgeseq.decode.sampling import Sampler
from edgeseq.errors import ConfigError, StateError
from edgeseq.generator import BEFORE, Generator, StopText
from edgeseq.prefix import PrefixCache
from edgeseq.runtime import Session
from edgeseq.state_file import read_state, write_state
from tests import graphs
from tests.runtime.native_files import native_file

KINDS = (
    "onnx", "native gru-bytes", "native transformer-bytes", "bytes-gru", "bytes-transformer"
)  # fmt: skip
UNIQUE = "aä€😀".encode()


@pytest.fixture(scope="module", params=KINDS)
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder, kind = tmp_path_factory.mktemp("generator"), request.param
    if kind == "onnx":
        return Session(graphs.byte_model(folder / "bytes.onnx"))
    if kind.startswith("native"):
        return Session(native_file(folder, kind.split()[1]))
    return Session(resolve(kind))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(graphs.chain_model(tmp_path_factory.mktemp("chain") / "chain.onnx", UNIQUE))


def write(generator: Generator, count: int) -> str:
    return "".join(generator.write() for _ in range(count))


def greedy(session: Session, prompt: bytes = b"") -> Generator:
    generator = Generator(session, Sampler(0.0))
    generator.read(prompt)
    return generator


def test_the_same_seed_writes_the_same_and_another_does_not(session: Session) -> None:
    texts = []
    for seed in (1, 1, 2):
        generator = Generator(session, Sampler(seed=seed))
        generator.read(b"And the ")
        texts.append(write(generator, 80))
    assert texts[0] == texts[1] != texts[2]


def test_greedy_bytes_are_the_likeliest_of_the_pure_step(session: Session) -> None:
    prompt, state, written = b"And he ", session.initial_state(), b""
    for byte in BEFORE + prompt:
        y, state = session.step(np.full((1, 1, 1), byte, np.int64), state)
    for _ in range(40):
        byte = int(np.argmax(y[0, 0]))
        written += bytes((byte,))
        y, state = session.step(np.full((1, 1, 1), byte, np.int64), state)
    generator = greedy(session, prompt)
    text = write(generator, 40)
    assert text == written[: len(written) - len(generator.unfinished)].decode(errors="replace")
    assert generator.count == len(prompt) + 40
    assert (generator.reading.steps, generator.writing.steps) == (len(prompt), 40)


def test_a_saved_text_goes_on_exactly(session: Session, tmp_path: Path) -> None:
    whole = Generator(session, Sampler(0.0))
    whole.read("Now ä".encode())
    write(whole, 30)
    file = tmp_path / "memory"
    write_state(file, session.digest, "text", whole.state)
    other = Generator(session, Sampler(0.0))
    other.read(b"something else")
    other.restore(read_state(file, session.digest, "text"))
    assert other.count == whole.count
    assert write(other, 50) == write(whole, 50)


@pytest.mark.parametrize("cut", range(len(UNIQUE) + 1))
def test_characters_are_whole_wherever_the_prompt_and_the_text_end(
    chain: Session, cut: int
) -> None:
    prompt = UNIQUE + UNIQUE[:cut]
    after = UNIQUE[cut:] + UNIQUE * 2
    for count in range(1, len(UNIQUE) + 3):
        text, generator = "", greedy(chain, prompt)
        for _ in range(count):
            text += generator.write()
        whole = (prompt + after[:count]).decode(errors="ignore")
        # A character that the prompt began is given whole.
        assert text == whole[len(prompt.decode(errors="ignore")) :]
        assert "\ufffd" not in text
        assert text.encode() + generator.unfinished in (UNIQUE * 4)


def test_bytes_that_are_no_utf8_become_the_replacement(tmp_path: Path) -> None:
    data = b"a\xffb\xe2\x82c"
    session = Session(graphs.chain_model(tmp_path / "bad.onnx", data))
    assert write(greedy(session, b"a"), len(data)) == "\ufffdb\ufffdca"


def test_without_a_prompt_a_text_begins_behind_a_line_break(session: Session) -> None:
    state, empty = session.initial_state(), greedy(session)
    y, _ = session.step(np.full((1, 1, 1), BEFORE[0], np.int64), state)
    assert empty.write() == bytes((int(np.argmax(y[0, 0])),)).decode(errors="replace")
    assert empty.count == 1


@given(
    pieces=st.lists(st.text("abcx", max_size=4), max_size=12),
    stops=st.lists(st.text("abcx", min_size=1, max_size=4), max_size=3),
)
def test_a_stop_text_ends_before_it_however_it_is_cut(pieces: list[str], stops: list[str]) -> None:
    stop = StopText(stops)
    given_parts = [stop.push(piece) for piece in pieces]
    text = "".join(given_parts) + stop.flush()
    # Told by reading on character by character: the first stop text that is complete ends it.
    expected, found = "".join(pieces), ""
    so_far = ""
    for piece in pieces:
        so_far += piece
        hits = [(so_far.find(s), -len(s), s) for s in stops if s in so_far]
        if hits:
            expected, found = so_far[: min(hits)[0]], min(hits)[2]
            break
    assert (text, stop.found) == (expected, found)
    assert not any(s in text for s in stops)


def test_what_cannot_be_a_stop_text_is_not_held_back() -> None:
    stop = StopText(["the end"])
    assert [stop.push(c) for c in "the "] == ["", "", "", ""]
    assert stop.push("sea") == "the sea"
    assert stop.push("t") == ""
    assert stop.flush() == "t"
    with pytest.raises(ConfigError, match="stop text is empty"):
        StopText(["a", ""])


def test_prompts_that_begin_alike_are_read_once(session: Session) -> None:
    cache, shared = PrefixCache(), bytes(range(65, 91)) * 45
    texts = {}
    for prompt, known in (
        (shared, 0),
        (shared, len(shared)),
        (shared + b" and more", len(shared)),
        (shared[:700] + b"!", 512),
        (shared[:100], 0),
    ):
        generator = Generator(session, Sampler(0.0))
        assert cache.read(generator, prompt) == known
        assert generator.count == len(prompt)
        assert generator.reading.steps == len(prompt) - known
        texts[prompt] = write(generator, 40)
    for prompt, text in texts.items():
        assert write(greedy(session, prompt), 40) == text
    kept = PrefixCache()
    kept.restore(cache.state)
    again = Generator(session, Sampler(0.0))
    assert kept.read(again, shared) == len(shared)
    with pytest.raises(StateError, match="use a fresh one"):
        kept.read(again, shared)


def test_a_prefix_cache_is_bounded(chain: Session) -> None:
    cache = PrefixCache()
    for n in range(60):
        cache.read(Generator(chain, Sampler(0.0)), UNIQUE * 80 + bytes((n,)))
    assert len(cache) == 16
    assert cache.read(Generator(chain, Sampler(0.0)), UNIQUE * 80 + bytes((59,))) == 801


def test_only_models_that_write_bytes_one_by_one(tmp_path: Path) -> None:
    for path, words in (
        (graphs.tone_model(tmp_path / "tones.onnx"), "this is a keyword model, which writes no"),
        (graphs.byte_model(tmp_path / "two.onnx", chunk=2), "takes 2 bytes in one step"),
    ):
        with pytest.raises(ConfigError, match=words):
            Generator(Session(path), Sampler())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"logits": np.zeros(255, np.float32)}, r"logits must be float32\[256\]"),
        ({"logits": [0.0] * 256}, "logits must be"),
        ({"unfinished": list(b"a")}, "unfinished must be"),
        ({"unfinished": [300]}, "unfinished must be"),
        ({"unfinished": None}, "unfinished must be"),
        ({"unfinished": 2**40}, "unfinished must be"),
        ({"count": -1}, "count is -1"),
        ({"count": 1.5}, "count is 1.5"),
        ({"count": True}, "count is True"),
        ({"tensors": {}}, "missing filled, rnn.0.h"),
        ({"tensors": [1]}, "tensors must be arrays"),
        ({"tensors": {"filled": 0, "rnn.0.h": None}}, "tensors must be arrays"),
        ({"more": 1}, "has the keys tensors"),
    ],
)
def test_a_saved_text_that_does_not_fit_changes_nothing(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    generator = greedy(Session(graphs.byte_model(tmp_path / "b.onnx")), b"ab\xc3")
    before = generator.state
    with pytest.raises(StateError, match=words):
        generator.restore({**before, **change})
    after = generator.state
    assert all(np.array_equal(after["tensors"][k], before["tensors"][k]) for k in after["tensors"])
    assert (after["unfinished"], after["count"]) == (before["unfinished"], before["count"])


@pytest.mark.parametrize(
    "change",
    [
        {"length": 3}, {"length": True}, {"sha256": 1}, {"state": []}, {"more": 1},
        {"state": {"count": np.zeros(2)}},
    ],
)  # fmt: skip
def test_saved_prefixes_that_are_none_are_refused(chain: Session, change: dict[str, Any]) -> None:
    cache = PrefixCache()
    cache.read(Generator(chain, Sampler()), b"ab")
    (good,) = cache.state["prefixes"]
    for bad in ({"prefixes": [{**good, **change}]}, {"prefixes": 1}, {}):
        with pytest.raises(StateError, match="saved prefixes: "):
            PrefixCache().restore(bad)
