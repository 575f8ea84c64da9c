"""The best option within limits, what the limits rule out, and what would change the answer.

The order of options depends on nothing that is asked, so that a looser limit never gives a worse
answer: trained models with an accuracy first, the most accurate first; of equal ones the fastest;
then trained models of unknown accuracy, then shapes that would have to be trained, the largest
first.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .options import Option, Quality

__all__ = ["Advice", "Change", "Limits", "advise", "common_measure", "order"]

NAMES = ("ram", "flash", "step", "live")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a device gives; None where it was not said.

    Attributes:
        ram_bytes: memory.
        flash_bytes: room for the model.
        step_us: time for one step.
        slower: how many times slower the device is than what was measured; None when its speed is
            unknown, so that no time limit can be checked.
        clock_mhz: of a microcontroller whose instructions were counted, or None.
    """

    ram_bytes: float | None = None
    flash_bytes: float | None = None
    step_us: float | None = None
    slower: float | None = 1.0
    clock_mhz: float | None = None

    def time_us(self, option: Option) -> float | None:
        """Time of a step on the device; the least that it can be where only instructions are known.

        A Cortex-M4 issues one instruction a cycle at most.
        """
        if option.instructions is not None:
            return None if self.clock_mhz is None else option.instructions / self.clock_mhz
        if option.step_us is None or self.slower is None:
            return None
        return option.step_us * self.slower

    def needs(self, option: Option) -> dict[str, float]:
        """What `option` takes of each limit that can be checked, by name."""
        time = self.time_us(option)
        found: dict[str, float | None] = {
            "ram": option.ram_bytes,
            "flash": option.flash_bytes,
            "step": time,
            "live": time if option.step_audio_ms is not None else None,
        }
        return {name: need for name, need in found.items() if need is not None}

    def allowed(self, option: Option, name: str) -> float:
        """How much of a limit there is; a live stream gives a step the time of its own audio."""
        if name == "live":
            return 1e3 * (option.step_audio_ms or math.inf)
        values = {"ram": self.ram_bytes, "flash": self.flash_bytes, "step": self.step_us}
        given = values[name]
        return math.inf if given is None else given

    def broken(self, option: Option) -> list[str]:
        """The limits that rule `option` out."""
        needs = self.needs(option)
        return [name for name in NAMES if needs.get(name, 0.0) > self.allowed(option, name)]


@dataclass(frozen=True, slots=True)
class Change:
    """Another limit and the answer that it would give.

    Attributes:
        limit: ram, flash or step.
        value: what it would have to be, in bytes or microseconds.
        below: whether the answer holds below `value`, else from `value` on.
        option: the answer; None when nothing measured would fit.
    """

    limit: str
    value: float
    below: bool
    option: Option | None


@dataclass(frozen=True, slots=True)
class Advice:
    """The answer.

    Attributes:
        best: what to run; None when nothing fits.
        measure: the measure of accuracy that was compared, or None.
        fitting: everything that fits, best first.
        ruled_out: by limit what it excludes, best first; an option may stand under several.
        changes: other limits that would give another answer.
    """

    best: Option | None
    measure: str | None
    fitting: list[Option]
    ruled_out: dict[str, list[Option]]
    changes: list[Change] = field(default_factory=list)


def common_measure(options: Sequence[Option]) -> str | None:
    """The measure of accuracy that most options share: figures of different ones do not compare."""
    counts = Counter(measure for option in options for measure in option.quality)
    return min(counts, key=lambda measure: (-counts[measure], measure), default=None)


def order(options: Sequence[Option], measure: str | None) -> list[Option]:
    """The options, best first."""

    def key(option: Option) -> tuple[object, ...]:
        quality = option.quality.get(measure or "")
        known = quality is not None
        grade = 0 if known else 1 if option.trained else 2
        effort = option.step_us if option.instructions is None else option.instructions
        return (
            grade,
            -quality.worth if isinstance(quality, Quality) else -float(option.parameters),
            effort or 0.0,
            option.ram_bytes,
            option.flash_bytes,
            option.words,
            option.model,
        )

    return sorted(options, key=key)


def advise(options: Sequence[Option], limits: Limits) -> Advice:
    """The best of `options` within `limits`, with what would change the answer."""
    measure = common_measure(options)
    ranked = order(options, measure)
    broken = {id(option): limits.broken(option) for option in ranked}
    fitting = [option for option in ranked if not broken[id(option)]]
    ruled_out = {
        name: found
        for name in NAMES
        if (found := [option for option in ranked if name in broken[id(option)]])
    }
    best = fitting[0] if fitting else None
    changes = _looser(ranked, best, limits, broken)
    if best is not None:
        changes += _tighter(fitting, best, limits)
    return Advice(best, measure, fitting, ruled_out, changes)


def _looser(
    ranked: Sequence[Option],
    best: Option | None,
    limits: Limits,
    broken: Mapping[int, list[str]],
) -> list[Change]:
    """For each limit, the smallest value that lets a better option in, and the one for the best."""
    better = ranked if best is None else ranked[: ranked.index(best)]
    changes = []
    for name in ("ram", "flash", "step"):
        alone = [option for option in better if broken[id(option)] == [name]]
        if not alone:
            continue
        nearest = min(alone, key=lambda option: (limits.needs(option)[name], ranked.index(option)))
        for option in dict.fromkeys((id(nearest), id(alone[0]))):
            found = next(o for o in alone if id(o) == option)
            changes.append(Change(name, limits.needs(found)[name], False, found))
    return changes


def _tighter(fitting: Sequence[Option], best: Option, limits: Limits) -> list[Change]:
    """For each limit, what would be the answer if there were a little less than the best takes."""
    changes = []
    for name in ("ram", "flash", "step"):
        need = limits.needs(best).get(name)
        if need is None:
            continue
        # What fits now and takes less; what does not fit now fits no tighter limit.
        lighter = [option for option in fitting if limits.needs(option).get(name, 0.0) < need]
        changes.append(Change(name, need, True, lighter[0] if lighter else None))
    return changes
