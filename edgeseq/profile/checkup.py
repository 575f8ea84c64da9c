"""What a machine lacks to run edgeseq well, and what to do about it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from ..assets import bundled
from ..errors import EdgeseqError, MissingExtraError
from .condition import DYNAMIC_DRIVERS
from .machine import FAST, cpu_flags, emulator

__all__ = ["CHECKS", "Finding", "check_up"]

State = Literal["good", "warn", "bad"]

NEEDED = ("numpy", "onnxruntime", "click", "rich", "psutil", "soxr")
BITS = 8 * struct.calcsize("P")
NATIVE_ONLY = (
    "this 32-bit system runs .esq files; on another machine: "
    "edgeseq export words-gru --target native -o words.esq"
)
EXTRAS = {"sounddevice": ("mic", "microphones"), "soundfile": ("audio", "FLAC, Ogg, MP3, Opus")}

LEAST_PYTHON = (3, 11)
LEAST_MEMORY_MIB = 100
"""A stream with three models takes 70 MiB."""

CPU = Path("/sys/devices/system/cpu/cpu0/cpufreq")
CPUINFO = Path("/proc/cpuinfo")
SOUND = Path("/dev/snd")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes:
        check: what was looked at, in one word.
        state: good, warn (works, but not everything or not fast) or bad (does not work).
        words: what was found.
        advice: what to do; "" where nothing has to be done.
    """

    check: str
    state: State
    words: str
    advice: str = ""


def check_python(
    version: tuple[int, ...] = sys.version_info[:3], bits: int = BITS
) -> Iterator[Finding]:
    """Version and word size; there is no onnxruntime for 32-bit systems (field case F55)."""
    words = f"Python {'.'.join(map(str, version))}, {bits}-bit {platform.machine()}"
    if version[:2] < LEAST_PYTHON:
        yield Finding("python", "bad", words, "install Python 3.11 or newer")
    elif bits < 64:
        advice = ".onnx files need a 64-bit system (onnxruntime has no other); .esq files run here"
        yield Finding("python", "warn", words, advice)
    else:
        yield Finding("python", "good", words)


def check_packages(
    load: Callable[[str], object] = importlib.import_module, bits: int = BITS
) -> Iterator[Finding]:
    """What must be installed, and what may be."""
    for name in NEEDED:
        if name == "onnxruntime" and bits < 64:
            continue
        try:
            load(name)
        # A broken wheel may raise anything, a wrong CPU or libc among it.
        except Exception as error:
            words = f"{name} cannot be imported: {_first_line(error)}"
            advice = f"pip install --force-reinstall {name}"
            yield Finding("packages", "bad", words, advice)
        else:
            yield Finding("packages", "good", f"{name} {_version(name)}")
    for name, (extra, purpose) in EXTRAS.items():
        try:
            load(name)
        except ImportError:
            advice = f"for {purpose}: pip install 'edgeseq[{extra}]'"
            yield Finding("packages", "warn", f"{name} is not installed", advice)
        except OSError as error:
            library = {"sounddevice": "libportaudio2", "soundfile": "libsndfile1"}[name]
            yield Finding(
                "packages",
                "warn",
                f"{name} does not load: {_first_line(error)}",
                f"for {purpose}: sudo apt install {library}",
            )
        else:
            yield Finding("packages", "good", f"{name} {_version(name)}")


def check_engine() -> Iterator[Finding]:
    """Whether this installation has the compiled engine, which .esq files need."""
    from ..runtime import engine

    try:
        name = engine.kernels()
    except EdgeseqError as error:
        words, _, advice = str(error).partition("; ")
        yield Finding("engine", "warn", words, advice)
    else:
        yield Finding("engine", "good", f"native engine with {name} kernels")


def check_microphone(sound: Path = SOUND) -> Iterator[Finding]:
    """PortAudio, its devices, and whether the default one opens."""
    # Imported here: a check of the machine must run where a part of it is broken.
    from ..sources.devices import find_device, list_devices, open_input, portaudio, settings_for

    try:
        backend = portaudio()
        devices = list_devices(backend)
    except MissingExtraError:
        # Told by the packages.
        return
    except EdgeseqError as error:
        yield Finding("microphone", "warn", str(error))
        return
    blocked = [p for p in _nodes(sound) if not os.access(p, os.R_OK | os.W_OK)]
    if blocked:
        words = f"this user may not use {blocked[0]}"
        advice = "sudo usermod -aG audio $USER, then log in again"
        yield Finding("microphone", "warn", words, advice)
    if not devices:
        advice = "plug one in; in a container, pass /dev/snd or a PulseAudio socket"
        yield Finding("microphone", "warn", "no microphones at all", advice)
        return
    names = ", ".join(f"{d.index} {d.name!r}" for d in devices)
    yield Finding("microphone", "good", f"there are: {names}")
    try:
        info = find_device(backend, None)
        settings = settings_for(info, 16000, "mix", 0.02)
        stream, setting, _ = open_input(backend, info, settings, lambda *_: None)
        stream.close()
    except EdgeseqError as error:
        advice = "choose another with --device, or end the program that uses it"
        yield Finding("microphone", "warn", str(error), advice)
    else:
        words = f"{info['name']!r} opens at {setting.rate} Hz with {setting.channels} channel(s)"
        yield Finding("microphone", "good", words)


def check_models(models: dict[str, Path] | None = None, bits: int = BITS) -> Iterator[Finding]:
    """Whether every bundled model computes its golden here."""
    from ..runtime import Session

    if bits < 64 and importlib.util.find_spec("onnxruntime") is None:
        yield Finding("models", "warn", "no onnxruntime for the bundled models", NATIVE_ONLY)
        return
    models = bundled() if models is None else models
    if not models:
        words = "this installation has no bundled models"
        yield Finding("models", "warn", words, "pip install --force-reinstall edgeseq")
    for name, path in models.items():
        try:
            session = Session(path)
            error, limit = session.golden_error(), session.manifest.golden.tolerance
        except EdgeseqError as problem:
            yield Finding("models", "bad", str(problem), "pip install --force-reinstall edgeseq")
            continue
        if error <= limit:
            yield Finding("models", "good", f"{name} computes what it should (to {error:.1g})")
        else:
            words = f"{name} is off by {error:.3g}, {limit:.3g} is allowed"
            advice = "please report this, with the output of: edgeseq doctor --json"
            yield Finding("models", "bad", words, advice)


def check_processor(
    cpuinfo: Path = CPUINFO, cpu: Path = CPU, played_by: str | None = None
) -> Iterator[Finding]:
    """What makes int8 fast, and whether the clock may rise; nothing of an emulated processor."""
    if name := emulator() if played_by is None else played_by:
        words = f"{platform.machine()}, emulated by {name}"
        yield Finding("processor", "warn", words, "measure on a real one: times say nothing here")
        return
    flags = cpu_flags(cpuinfo)
    fast = [words for flag, words in FAST.items() if flag in flags]
    if fast:
        yield Finding("processor", "good", f"has {', '.join(fast)}")
    elif flags:
        advice = "compare int8 and float models here: edgeseq compare"
        words = "has no instructions for fast int8"
        yield Finding("processor", "warn", words, advice)
    governor, driver = (_read(cpu / f"scaling_{name}") for name in ("governor", "driver"))
    if not governor:
        yield Finding("governor", "good", "the system does not tell one")
    elif governor == "powersave" and driver not in DYNAMIC_DRIVERS:
        advice = "for the shortest steps: sudo cpupower frequency-set -g schedutil"
        yield Finding("governor", "warn", "powersave: the clock stays at its lowest", advice)
    else:
        yield Finding("governor", "good", governor)


def check_memory(available: int | None = None) -> Iterator[Finding]:
    """Whether a stream fits."""
    if available is None:
        import psutil  # type: ignore[import-untyped]

        available = int(psutil.virtual_memory().available)
    mib = available / 2**20
    if mib < LEAST_MEMORY_MIB:
        advice = f"end something else: a stream takes {LEAST_MEMORY_MIB} MiB at most"
        yield Finding("memory", "warn", f"{mib:.0f} MiB are free", advice)
    else:
        yield Finding("memory", "good", f"{mib:,.0f} MiB are free")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_python,
    check_packages,
    check_models,
    check_engine,
    check_microphone,
    check_processor,
    check_memory,
)


def check_up() -> Iterator[Finding]:
    """All findings, one by one; a check that itself fails is one of them."""
    for check in CHECKS:
        try:
            yield from check()
        except (ImportError, OSError) as error:
            yield Finding(check.__name__.removeprefix("check_"), "bad", _first_line(error))


def _nodes(folder: Path) -> list[Path]:
    return sorted(folder.glob("pcm*c")) if folder.is_dir() else []


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "of unknown version"
