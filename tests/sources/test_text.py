"""Text sources and the pace of the clock."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeseq.errors import AudioError, ConfigError
from edgeseq.sources import Block, PcmSource, Source, TextSource, open_text
from edgeseq.sources.pace import RealtimeSource, realtime

TEXT = "Größe: 3 €\r\n" * 1000


def read(source: Source) -> bytes:
    """All bytes of a source."""
    return b"".join(block.samples.tobytes() for block in source.blocks())


def test_bytes_come_unchanged_from_string_and_file(tmp_path: Path) -> None:
    """UTF-8, line ends and all, in small blocks."""
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode())
    for source in (TextSource.from_string(TEXT), open_text(path), open_text(str(path))):
        assert source.sample_rate is None
        assert not source.live
        assert read(source) == TEXT.encode()
        source.close()


def test_blocks_are_small_bytes() -> None:
    """Bounded memory, and the type that a byte model takes."""
    blocks = list(TextSource.from_string(TEXT).blocks())
    assert max(len(block.samples) for block in blocks) <= 4096
    assert all(block.samples.dtype == np.uint8 for block in blocks)


def test_an_empty_text_has_no_blocks() -> None:
    """Nothing to read is not an error."""
    assert list(TextSource.from_string("").blocks()) == []


def test_a_missing_text_is_named(tmp_path: Path) -> None:
    """One line with the path and the reason."""
    with pytest.raises(AudioError, match=r"gone\.txt: cannot be opened: No such file"):
        open_text(tmp_path / "gone.txt")


class Clock:
    """A clock that only sleep and work move on."""

    def __init__(self) -> None:
        self.now = 100.0

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def pcm(count: int) -> PcmSource:
    return PcmSource(io.BytesIO(np.arange(count, dtype="<i2").tobytes()), name="a")


def test_each_block_comes_when_its_sound_would_have_ended() -> None:
    """20 ms blocks; the samples are those of the file."""
    clock = Clock()
    paced = RealtimeSource(pcm(5000), clock=clock.read, sleep=clock.sleep)
    samples = []
    for block in paced.blocks():
        samples.append(block.samples)
        assert len(block.samples) <= 320
        assert clock.now == pytest.approx(100 + sum(map(len, samples)) / 16000)
    np.testing.assert_array_equal(np.concatenate(samples) * 2**15, np.arange(5000))
    assert (paced.name, paced.sample_rate, paced.live) == ("a", 16000, True)


def test_a_late_caller_gets_the_backlog_at_once() -> None:
    """Late by one second, then no sleep until the clock is caught."""
    clock = Clock()
    blocks = RealtimeSource(pcm(32000), clock=clock.read, sleep=clock.sleep).blocks()
    next(blocks)
    clock.now += 1.0
    late = clock.now
    for _ in range(50):
        next(blocks)
    assert clock.now == late
    next(blocks)
    assert clock.now > late


def test_lost_samples_take_time_too() -> None:
    """The pace counts what a source says it has lost."""

    class Lossy:
        name, sample_rate, live = "lossy", 16000, False
        notes: list[str] = []  # noqa: RUF012

        def blocks(self) -> Iterator[Block]:
            yield Block(np.zeros(640, np.float32), lost=16000)

        def close(self) -> None:
            pass

    clock = Clock()
    paced = RealtimeSource(Lossy(), clock=clock.read, sleep=clock.sleep)
    assert [(len(b.samples), b.lost) for b in paced.blocks()] == [(320, 16000), (320, 0)]
    assert clock.now == pytest.approx(101.04)


def test_text_has_no_pace() -> None:
    """Said at once."""
    with pytest.raises(ConfigError, match="text has no clock"):
        realtime(TextSource.from_string("a"))
