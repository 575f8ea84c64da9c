"""Facts about this machine and this process."""

from __future__ import annotations

import struct

import numpy as np

from edgeseq.profile.machine import this_machine
from edgeseq.profile.memory import current_rss, peak_rss


def test_the_sentence_holds_every_fact() -> None:
    machine = this_machine()
    sentence = machine.sentence()
    for name in ("cpu", "cores", "system", "python", "onnxruntime"):
        assert str(machine.as_dict()[name]) in sentence
    assert machine.bits == 8 * struct.calcsize("P")
    assert machine.memory_bytes > 2**20
    assert machine.libraries["numpy"] == np.__version__
    assert machine.cores >= 1
    assert machine.cpu
    assert machine.onnxruntime != "not installed"
    assert "\n" not in sentence


def test_peak_remembers_what_was_given_back() -> None:
    size = 64 * 2**20
    before = current_rss()
    block = np.ones(size, np.uint8)
    assert current_rss() >= before + size // 2
    del block
    assert peak_rss() >= before + size // 2
    # The kernel counts in batches, so the two may differ by a few pages.
    assert peak_rss() >= current_rss() - 2**20
