"""What every source of input offers, and the piece of input it yields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["NOTHING", "Block", "Floats", "Samples", "Source"]

Floats = npt.NDArray[np.float32]
"""Mono audio, one value per sample, in [-1, 1]."""

Samples = npt.NDArray[np.float32] | npt.NDArray[np.uint8]
"""Audio samples (float32) or the bytes of a text (uint8)."""


NOTHING: Floats = np.zeros(0, np.float32)
"""No audio at all."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some new input of any length, in order.

    Attributes:
        samples: mono float32 audio in [-1, 1], or uint8 bytes of a text.
        lost: samples of the source that are missing just before this block.
        cause: why they are missing: "overflow" (something was too slow), "device" (it was gone).
    """

    samples: Samples
    lost: int = 0
    cause: str = "lost"


class Source(Protocol):
    """Where input comes from.

    Attributes:
        name: what a message calls it, such as a file name.
        sample_rate: samples a second of the blocks; None for text.
        live: whether input arrives at its own pace, so that waiting for it is normal.
        notes: plain sentences about things a person should know; it may grow while blocks are read.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def sample_rate(self) -> int | None: ...  # noqa: D102

    @property
    def live(self) -> bool: ...  # noqa: D102

    @property
    def notes(self) -> list[str]: ...  # noqa: D102

    def blocks(self) -> Iterator[Block]:
        """Everything the source has, once, in bounded memory.

        A live source gives empty blocks now and then while it waits.
        """
        ...

    def close(self) -> None:
        """Give back the file or device; may be called twice."""
        ...
