"""Saved states: what was written comes back exactly, and nothing else is believed."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgeseq import Session, Stream
from edgeseq.errors import StateError
from edgeseq.spec import DTYPES
from edgeseq.state_file import MOST_FILE_BYTES, read_state, write_state
from tests import graphs

PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=0, min_side=0))
    ),
    plain=st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3), max_leaves=8),
)
def test_what_was_written_comes_back_bit_for_bit(tmp_path: Path, array: Any, plain: Any) -> None:
    file = tmp_path / "state"
    write_state(file, "m", "text", {"a": {"b": [array]}, "plain": plain})
    values = read_state(file, "m", "text")
    got = values["a"]["b"][0]
    assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert values["plain"] == plain


def test_a_stream_goes_on_from_a_file(tmp_path: Path) -> None:
    session = Session(graphs.gru_model(tmp_path / "gru.onnx"))
    signal, file = graphs.noise(1.0), tmp_path / "stream"
    one, two = Stream(session), Stream(session)
    one.push(signal[:7001])
    write_state(file, session.digest, "stream", one.state)
    two.restore(read_state(file, session.digest, "stream"))
    assert one.push(signal[7001:]) + one.flush() == two.push(signal[7001:]) + two.flush()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "state"
    write_state(file, "m", "text", {})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


GOOD = {"edgeseq_state": 1, "kind": "text", "model": "m", "values": {}}
ARRAY = {"array": "int8", "shape": [2], "data": "AAA="}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({**GOOD, "edgeseq_state": 2}, "is of format 2, this version reads 1"),
        ({**GOOD, "kind": "prefixes"}, "the state holds 'prefixes', not 'text'"),
        ({**GOOD, "model": "n"}, "belongs to another model"),
        ({**GOOD, "more": 1}, "unknown key more"),
        ({k: v for k, v in GOOD.items() if k != "values"}, "values: missing"),
        ([], "must be an object"),
        ({**GOOD, "values": {"t": {**ARRAY, "array": "object"}}}, "t: is no array of"),
        ({**GOOD, "values": {"t": {**ARRAY, "array": ["int8"]}}}, "t: is no array of"),
        ({**GOOD, "values": {"t": {**ARRAY, "shape": [2**62, 2**62]}}}, "2 bytes do not hold"),
        ({**GOOD, "values": {"t": {**ARRAY, "shape": [2, *[1] * 99]}}}, "no array has the shape"),
        ({**GOOD, "values": {"t": {**ARRAY, "shape": [-1]}}}, "t: is no array of"),
        ({**GOOD, "values": {"t": {**ARRAY, "shape": [True, 2]}}}, "t: is no array of"),
        ({**GOOD, "values": {"t": {**ARRAY, "data": "??"}}}, "t: data is not base64"),
        ({**GOOD, "values": {"t": {"array": "int8"}}}, "t: is no array of"),
    ],
)
def test_what_is_no_state_is_one_line(tmp_path: Path, document: Any, words: str) -> None:
    file = tmp_path / "state"
    file.write_text(json.dumps(document))
    with pytest.raises(StateError, match="state") as caught:
        read_state(file, "m", "text")
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "[" * 100_000, '{"a":' * 900 + "1" + "}" * 900, "\x00\xff"])
def test_other_files_are_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "state"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(StateError):
        read_state(file, "m", "text")
    nested: Any = {}
    for _ in range(900):
        nested = {"a": nested}
    file.write_text(json.dumps({**GOOD, "values": nested}))
    # Read, or refused in words: never a traceback.
    try:
        read_state(file, "m", "text")
    except StateError as error:
        assert "nested too deeply" in str(error)  # noqa: PT017


def test_a_file_that_is_missing_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be read: No such file"):
        read_state(tmp_path / "none", "m", "text")
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(MOST_FILE_BYTES + 1)
    with pytest.raises(StateError, match="a state has at most"):
        read_state(large, "m", "text")
    with pytest.raises(StateError, match="cannot be written: No such file"):
        write_state(tmp_path / "no" / "folder", "m", "text", {})
