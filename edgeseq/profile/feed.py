"""A file as the chunks that a model step takes, held in memory."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from ..errors import AudioError
from ..frontends import ByteFrontend, Frontend, PcmFrontend
from ..manifest import Manifest
from ..runtime.backend import Array
from ..sources import Source, open_audio, open_text
from ..sources.resample import Resampler

__all__ = ["chunks_of"]

MOST_CHUNKS = 2000
"""40 s of audio in chunks of 20 ms: enough variety, and small beside the runtime."""


def chunks_of(manifest: Manifest, file: str) -> list[Array]:
    """The first chunks `x` of a file, at the model's rate; AudioError when it has not even one."""
    text = manifest.input == "bytes"
    source: Source = open_text(file) if text else open_audio(file)
    front: Frontend = (ByteFrontend if text else PcmFrontend)(manifest.timing)
    chunks: list[Array] = []
    with closing(source):
        rate, own = source.sample_rate, manifest.timing.sample_rate
        resampler = Resampler(rate, own) if rate and own and rate != own else None
        for block in source.blocks():
            samples = block.samples
            if resampler is not None:
                samples = resampler.push(np.asarray(samples, np.float32))
            chunks += [x.copy() for x in front.push(samples)]
            if len(chunks) >= MOST_CHUNKS:
                return chunks[:MOST_CHUNKS]
    if resampler is not None:
        chunks += [x.copy() for x in front.push(resampler.flush())]
    if not chunks:
        chunks = [x.copy() for x in front.flush()]
    if not chunks:
        raise AudioError(f"{file}: is empty, at least one byte or sample is needed")
    return chunks
