"""Facts about this machine and this process."""

from __future__ import annotations

import numpy as np

from edgeseq.profile.machine import this_machine
from edgeseq.profile.memory import current_rss, peak_rss


def test_the_sentence_holds_every_fact() -> None:
    machine = this_machine()
    sentence = machine.sentence()
    for value in machine.as_dict().values():
        assert str(value) in sentence
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
