"""Run in an emulated system: every logit of a clip, by each model, into one .npz file.

python logits.py WAV OUT.npz MODEL...
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeseq.profile.feed import chunks_of
from edgeseq.runtime import Session


def logits(model: str, wav: str) -> npt.NDArray[np.float32]:
    """Those of all steps, `[steps, V]`, the state carried from one to the next."""
    session = Session(model)
    stepper = session.stepper()
    steps = [stepper.step(x).copy() for x in chunks_of(session.manifest, wav)]
    return np.concatenate(steps, axis=1)[0]


def main(wav: str, out: str, models: Sequence[str]) -> None:
    """Write the arrays, each under the name of its file."""
    np.savez(out, **{Path(model).name: logits(model, wav) for model in models})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
