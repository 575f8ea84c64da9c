"""Faults of sound cards that people report, played through the real Microphone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import AudioError
from .microphone import Health, Microphone, OnOverflow
from .simulated import Fault, Script, SimulatedCard

__all__ = ["SCENARIOS", "Outcome", "Scenario", "play"]

TOLERANCE_SECONDS = 0.15
"""A loss is told by the clock, to a callback or two; the last block may still be on its way."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A script, and what a person must be told about it.

    Attributes:
        words: what happens, for people.
        script: the card.
        told: words that the notes, the error or the causes of gaps must contain.
        opens: whether the card can be opened at all.
    """

    words: str
    script: Script
    told: tuple[str, ...] = ()
    opens: bool = True


SCENARIOS = {
    "rates-refused": Scenario(
        "16 kHz is refused, 48 kHz stereo is taken",
        Script(takes=((48000, 2),)),
        ("opened at 48000 Hz with 2",),
    ),
    "nothing-taken": Scenario(
        "every setting is refused",
        Script(takes=((1000, 1),)),
        ("does not open", "tried 16000 Hz"),
        opens=False,
    ),
    "burst": Scenario(
        "audio is held back for 1.8 s, then comes at once",
        Script(rate=16000, channels=1, faults=(Fault("burst", 2.0, 1.8),)),
    ),
    "overflow": Scenario(
        "the device loses half a second and says so",
        Script(rate=16000, channels=1, faults=(Fault("overflow", 2.0, 0.5),)),
        ("overflow",),
    ),
    "stall": Scenario(
        "the device loses a second without a word",
        Script(rate=16000, channels=1, seconds=200.0, faults=(Fault("stall", 40.0, 1.0),)),
        ("too little audio",),
    ),
    "unplug": Scenario(
        "unplugged for 20 s, then back",
        Script(seconds=60.0, faults=(Fault("unplug", 5.0, 20.0),)),
        ("no audio for 2 s", "audio again", "device"),
    ),
    "zeros": Scenario(
        "exact zeros, as from a muted device",
        Script(rate=16000, channels=1, faults=(Fault("zeros", 2.0, 5.0),)),
        ("digital silence",),
    ),
    "drift": Scenario(
        "the device's clock is 0.2 % fast",
        Script(rate=16000, channels=1, drift_ppm=2000.0, seconds=400.0),
        ("its clock is fast",),
    ),
    "opposite-channels": Scenario(
        "left and right cancel each other",
        Script(signal="opposite"),
        ("cancel each other",),
    ),
    "right-only": Scenario("the voice is on the right channel only", Script(signal="right")),
}
"""By the name that `edgeseq doctor --simulate` takes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the Microphone made of a script.

    Attributes:
        heard_seconds: audio that it gave.
        lost_seconds: audio that it said was missing.
        passed_seconds: time that passed.
        loudest: largest sample.
        causes: causes of the gaps.
        notes: what it told.
        error: the error that ended it, or "".
        health: its counts; None when it did not open.
    """

    heard_seconds: float
    lost_seconds: float
    passed_seconds: float
    loudest: float
    causes: tuple[str, ...]
    notes: tuple[str, ...]
    error: str
    health: Health | None

    def faults(self, scenario: Scenario) -> list[str]:
        """What is wrong with it, in words; empty when all is well."""
        wrong = []
        text = " ".join((*self.notes, *self.causes, self.error))
        wrong += [f"nothing was said of {words!r}" for words in scenario.told if words not in text]
        if scenario.opens == bool(self.error):
            wrong.append(self.error or "no error came")
        missing = self.passed_seconds - self.heard_seconds - self.lost_seconds
        drift = abs(scenario.script.drift_ppm) / 1e6 * self.passed_seconds
        silent = sum(f.seconds for f in scenario.script.faults if f.kind == "stall")
        if scenario.opens and abs(missing) > TOLERANCE_SECONDS + drift + silent:
            wrong.append(f"{missing:.3f} s are neither heard nor counted as lost")
        return wrong


def play(script: Script, on_overflow: OnOverflow = "mark") -> Outcome:
    """Listen to `script` to its end, in simulated time."""
    card = SimulatedCard(script)
    heard = lost = 0
    loudest = 0.0
    causes: list[str] = []
    try:
        mic = Microphone(on_overflow=on_overflow, backend=card, clock=card)
    except AudioError as error:
        return Outcome(0, 0, 0, 0, (), (), str(error), None)
    failure = ""
    try:
        for block in mic.blocks():
            heard += len(block.samples)
            lost += block.lost
            if block.lost:
                causes.append(block.cause)
            if len(block.samples):
                loudest = max(loudest, float(np.abs(block.samples).max()))
            if card.now() >= script.seconds:
                mic.close()
    except AudioError as error:
        failure = str(error)
    finally:
        mic.close()
    rate = mic.sample_rate
    return Outcome(
        round(heard / rate, 3),
        round(lost / rate, 3),
        round(card.now(), 3),
        loudest,
        tuple(causes),
        tuple(mic.notes),
        failure,
        mic.health,
    )
