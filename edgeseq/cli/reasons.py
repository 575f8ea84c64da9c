"""The reasons of `edgeseq advise`, in sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from ..profile.choice import Advice, Change, Limits
from ..profile.devices import Device
from ..profile.options import Option

__all__ = ["answer", "basis_words", "change_words", "ruled_out_words", "why"]

MOST_NAMED = 3
"""Options named under a limit; the rest is counted."""

ATTENTION = ("transformer", "hybrid")

LIMIT = {
    "ram": "RAM",
    "flash": "flash",
    "step": "step budget",
    "live": "keeping up with live audio",
}


def answer(advice: Advice, task: str, asked: Device) -> list[str]:
    """The recommendation in one line or two."""
    if advice.best is None:
        return [f"Nothing that was measured for {task} fits; see what would change it."]
    lines = [f"{advice.best.model}: {advice.best.words}"]
    if advice.best.get:
        lines.append(f"  {advice.best.get}")
    return lines


def why(advice: Advice, limits: Limits) -> list[str]:
    """What speaks for the recommendation."""
    best = advice.best
    if best is None:
        return []
    count = len(advice.fitting)
    lines = [f"{_worth(best, advice)}, first of {count} that fit{'s' if count == 1 else ''}"]
    lines.append(_needs(best, limits))
    lines += _forms(best, advice.fitting, limits)
    attends = best.family in ATTENTION
    other = next((o for o in advice.fitting if (o.family in ATTENTION) != attends), None)
    kind = "recurrent network" if attends else "network with attention"
    if other is not None:
        lines.append(f"the best {kind} that fits: {other.words}: {_worth(other, advice)}")
        lines.append(f"  {_needs(other, limits)}")
    else:
        lines.append(f"no {kind} that was measured fits")
    return lines


def _worth(option: Option, advice: Advice) -> str:
    quality = option.quality.get(advice.measure or "")
    if quality is not None:
        return quality.words
    if option.trained:
        return f"accuracy unknown, {option.parameters:,} parameters"
    return f"{option.parameters:,} parameters, accuracy unknown until it is trained"


def _needs(option: Option, limits: Limits) -> str:
    parts = [
        f"RAM {_of(option.ram_bytes, limits.ram_bytes, _bytes)}",
        f"flash {_of(option.flash_bytes, limits.flash_bytes, _bytes)}",
    ]
    time = limits.time_us(option)
    if option.instructions is not None:
        parts.append(f"{option.instructions:,} instructions a step")
        if time is None and limits.step_us is not None:
            least = option.instructions / limits.step_us
            parts.append(
                f"which takes {_time(limits.step_us)} at {least:.0f} MHz at the very least"
            )
        elif time is not None:
            parts.append(f"at least {_of(time, limits.step_us, _time)} (one a cycle at most)")
    elif time is not None:
        parts.append(f"step p99 {_of(time, limits.step_us, _time)}")
    return ", ".join(parts)


def _of(need: float, limit: float | None, write: Callable[[float], str]) -> str:
    return write(need) if limit is None else f"{write(need)} of {write(limit)}"


def _forms(best: Option, fitting: Sequence[Option], limits: Limits) -> list[str]:
    """How the other forms of the same network compare."""
    lines = []
    for other in fitting:
        if other is best or other.network != best.network or other.threads != best.threads:
            continue
        mine, theirs = limits.time_us(best), limits.time_us(other)
        if mine and theirs:
            form = f"{other.precision} on {other.backend}"
            ratio = theirs / mine
            lines.append(
                f"the same network in {form} takes {ratio:.1f} times as long a step"
                if ratio >= 1.05
                else f"the same network in {form} takes as long a step"
                if ratio > 0.95
                else f"the same network in {form} is faster, but less accurate"
            )
    return lines


def ruled_out_words(advice: Advice, limits: Limits) -> list[str]:
    """A line for each limit that excludes something."""
    lines = []
    for name, options in advice.ruled_out.items():
        named = ", ".join(_excluded(o, name, limits) for o in options[:MOST_NAMED])
        more = len(options) - MOST_NAMED
        tail = f" and {more} more" if more > 0 else ""
        head = LIMIT[name]
        if name != "live":
            value = {"ram": limits.ram_bytes, "flash": limits.flash_bytes, "step": limits.step_us}
            head += f" of {_written(name, value[name] or 0.0)}"
        lines.append(f"{head}: {named}{tail}")
    return lines


def _excluded(option: Option, name: str, limits: Limits) -> str:
    need = limits.needs(option)[name]
    least = "at least " if option.instructions is not None and name in ("step", "live") else ""
    return f"{option.words} ({least}{_written(name, need)})"


def change_words(advice: Advice, limits: Limits) -> list[str]:
    """What another limit would give."""
    lines = []
    if advice.best is None and not advice.changes and advice.ruled_out:
        ranked = next(iter(advice.ruled_out.values()))
        lines.append(f"more than one limit is in the way: {ranked[0].words} needs "
                     f"{_needs(ranked[0], Limits(slower=limits.slower))}")  # fmt: skip
    return [*lines, *(_change(change, advice) for change in advice.changes)]


def _change(change: Change, advice: Advice) -> str:
    value, option = _written(change.limit, change.value), change.option
    name = LIMIT[change.limit]
    if option is None:
        return f"with less than {value} of {name}: nothing that was measured"
    how = "with less than" if change.below else "with"
    return f"{how} {value} of {name}: {option.words}: {_worth(option, advice)}"


def basis_words(
    kind: str, machines: Mapping[str, str], asked: Device, limits: Limits, advice: Advice
) -> list[str]:
    """What the answer rests on, and what it does not say."""
    where = "; ".join(f"{name} ({file})" for file, name in machines.items())
    measure = f"edgeseq profile MODEL -o {asked.name}.json"
    again = f"edgeseq advise ... {asked.name}.json"
    if kind == "measured":
        return [where]
    if kind == "instructions":
        lines = [
            f"instructions counted by {where}: no latency, an emulator knows no cycles",
            "RAM is the engine's arena, without the stack and your program's buffers",
        ]
        if limits.clock_mhz is None:
            lines.append(
                "time limits were not checked; --clock-mhz N excludes what cannot be fast enough"
            )
        else:
            lines.append("that a step fits its time is not shown: a cycle count needs the chip")
        return lines
    if kind == "reference":
        return [
            f"{where}: of this kind, but not yours",
            f"on yours: {measure}, then: {again}",
        ]
    scaled = f"{where}: not {asked.words}"
    if kind == "estimate":
        return [
            f"an ESTIMATE: {where}, every time multiplied by {limits.slower:g} as you assumed",
            "a factor says nothing of caches and vector units; bytes of memory are as measured",
            f"measure before you decide, on the device: {measure}, then: {again}",
        ]
    lines = [
        f"no measurement of {asked.words} comes with edgeseq, so NO TIME is claimed",
        f"{scaled}; sizes and order are from there",
    ]
    best = advice.best
    if best is not None and best.step_us is not None:
        step = f"{_time(best.step_us)} there (p99)"
        budget = limits.step_us or (1e3 * best.step_audio_ms if best.step_audio_ms else None)
        if budget is not None:
            lines.append(
                f"a step took {step}: it meets {_time(budget)} on a device up to "
                f"{budget / best.step_us:,.0f} times slower"
            )
    lines += [f"on the device: {measure}, then: {again}", "or assume a factor: --slower N"]
    return [*lines, asked.remark] if asked.remark else lines


def _written(name: str, value: float) -> str:
    return _time(value) if name in ("step", "live") else _bytes(value)


def _bytes(value: float) -> str:
    for unit, size in (("MiB", 2**20), ("KiB", 2**10)):
        if value >= size:
            # Rounded up, so that what is said to be enough is enough.
            return f"{math.ceil(10 * value / size) / 10:,.1f}".removesuffix(".0") + f" {unit}"
    return f"{value:,.0f} bytes"


def _time(us: float) -> str:
    return f"{us / 1e3:,.2f} ms" if us >= 1e3 else f"{us:,.1f} us"
