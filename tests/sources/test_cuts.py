"""F14, F19: bytes that arrive in any pieces give the same events, from the pipe to the decoder."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseq import Event, Session, Stream
from edgeseq.sources import Source
from edgeseq.sources.bytestream import ByteStream
from edgeseq.sources.opening import _choose
from tests import graphs
from tests.graphs import HIGH_HZ, LOW_HZ, silence, tone
from tests.sources.test_pcm import encoded
from tests.sources.wavbytes import GUID_TAIL, chunk, fmt, wav

RAW = ("s16le", "s16be", "s24le", "s32be", "f32le", "f64be", "u8", "mulaw", "alaw")
WORDS = np.concatenate([silence(0.1), tone(LOW_HZ, 0.2), silence(0.4), tone(HIGH_HZ, 0.2)])


class Pieces(io.RawIOBase):
    """A pipe that gives its bytes in the given pieces."""

    def __init__(self, data: bytes, cuts: list[int]) -> None:
        edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
        self._parts = [data[a:b] for a, b in pairwise(edges) if a < b]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._parts:
            return 0
        piece = self._parts[0][: len(buffer)]
        buffer[: len(piece)] = piece
        self._parts[0] = self._parts[0][len(piece) :]
        if not self._parts[0]:
            del self._parts[0]
        return len(piece)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(graphs.tone_model(tmp_path_factory.mktemp("m") / "tone.onnx"))


def wavs() -> dict[str, bytes]:
    values = {name: encoded(WORDS, name) for name in ("s16le", "s24le", "f32le", "mulaw")}
    stereo = np.repeat(WORDS, 2)
    return {
        "plain": wav(values["s16le"]),
        "odd chunk, streaming size": wav(
            values["s24le"], fmt(bits=24), before=chunk(b"LIST", b"odd"), size=0xFFFFFFFF
        ),
        "float extensible": wav(values["f32le"], fmt(tag=3, bits=32, guid_tail=GUID_TAIL)),
        "mu-law": wav(values["mulaw"], fmt(tag=7, bits=8)),
        "stereo": wav(encoded(stereo, "s16le"), fmt(channels=2)),
    }


def events(session: Session, source: Source) -> list[Event]:
    return list(Stream(session).events(source))


def opened(data: bytes, cuts: list[int] | None, format: str | None) -> Source:
    raw: Any = io.BytesIO(data) if cuts is None else Pieces(data, cuts)
    return _choose(ByteStream(raw, "pipe"), True, True, "mix", format, None, None)


@pytest.mark.parametrize("kind", [*wavs(), *RAW])
@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 10**6), max_size=30))
def test_any_cut_of_the_bytes_gives_the_same_events(
    session: Session, kind: str, cuts: list[int]
) -> None:
    data = encoded(WORDS, kind) if kind in RAW else wavs()[kind]
    format = kind if kind in RAW else None
    whole = events(session, opened(data, None, format))
    assert [getattr(event, "label", "") for event in whole] == ["low", "high"]
    assert events(session, opened(data, cuts, format)) == whole


@pytest.mark.parametrize("kind", ["plain", "float extensible", "s16le"])
def test_single_bytes_give_the_same_events(session: Session, kind: str, tmp_path: Path) -> None:
    data = encoded(WORDS, kind) if kind in RAW else wavs()[kind]
    format = kind if kind in RAW else None
    bytewise = opened(data, list(range(len(data))), format)
    assert events(session, bytewise) == events(session, opened(data, None, format))
