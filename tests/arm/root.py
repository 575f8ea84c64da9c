"""ARM systems to run Python in, under qemu-user: Debian's packages in a folder, without chroot.

    python -m tests.arm.root arm64 edgeseq doctor

runs a command with this checkout installed there, as a Raspberry Pi would install it. Needs apt,
dpkg-deb, qemu-user, a cross compiler and the keyring of Debian (see PACKAGES in the Makefile), but
neither root nor binfmt_misc: `python3` in the folder is a script that starts the emulator, so that
a Python there starts others as it would on ARM. Downloads are kept in ~/.cache/edgeseq.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TREE = Path(__file__).parents[2]
CONSTRAINTS = Path(__file__).with_name("constraints.txt")

SUITE, PYTHON = "trixie", "python3.13"
"""Raspberry Pi OS of October 2025 and later is made from this Debian."""

MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

BASE = ("python3-venv", "libpython3-dev", "libstdc++6", "libgcc-s1")
"""What docs/raspberry-pi.md installs; gcc is that of this machine, which makes code for ARM."""

DEPENDENCIES = ("python3-numpy", "python3-soxr", "python3-psutil", "python3-click", "python3-rich")

SECONDS = 600
"""No command takes longer; a hang is a failure."""

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Arm:
    """A kind of system.

    Attributes:
        emulator: the program that plays the processor.
        cpu: which processor it plays.
        triplet: how Debian's folders and compilers are called.
        packages: what is installed from Debian.
        wheels: whether dependencies come from PyPI; else they are Debian's packages.
    """

    emulator: str
    cpu: str
    triplet: str
    packages: tuple[str, ...]
    wheels: bool


KINDS = {
    # Raspberry Pi 5; of 3 and Zero 2 in 32-bit mode, and of 2.
    "arm64": Arm("qemu-aarch64", "cortex-a76", "aarch64-linux-gnu", BASE, True),
    "armhf": Arm("qemu-arm", "cortex-a7", "arm-linux-gnueabihf", (*BASE, *DEPENDENCIES), False),
}


def prepared(name: str) -> Path:
    """The folder of system `name`, made on the first call; RuntimeError says what went wrong.

    It holds `root`, the packages of Debian, and `venv`, with what edgeseq depends on.
    """
    kind = KINDS[name]
    said = f"{kind} {SUITE} {TREE} {CONSTRAINTS.read_text()} {Path(__file__).read_text()}"
    key = hashlib.sha256(said.replace(str(TREE), "").encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgeseq" / "arm"
    folder = cache / f"{name}-{key}"
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache / f"{name}.lock"):
        if not (folder / "done").exists():
            for old in cache.glob(f"{name}-*"):
                shutil.rmtree(old)
            _fetch_root(folder, name, kind)
            _make_venv(folder, kind)
            (folder / "done").touch()
    return folder


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """No other process is within this block."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch_root(folder: Path, name: str, kind: Arm) -> None:
    root, apt = folder / "root", folder / "apt"
    for part in ("lists/partial", "cache/archives/partial", "state"):
        (apt / part).mkdir(parents=True)
    (apt / "status").touch()
    # Of the host's apt nothing is used but its proxies: another architecture, no package there yet.
    (apt / "sources.list").write_text(f"deb [signed-by={KEYRING}] {MIRROR} {SUITE} main\n")
    options = {
        "APT::Architecture": name,
        "APT::Architectures": name,
        "APT::Install-Recommends": "0",
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
        "Acquire::Retries": "3",
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt / "cache",
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "-",
    }
    words = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
    _must([*words, "update"])
    _must([*words, "install", "-y", "--download-only", *kind.packages])
    root.mkdir()
    # What base-files would bring: /lib is /usr/lib.
    for part in ("lib", "bin", "sbin"):
        (root / "usr" / part).mkdir(parents=True)
        (root / part).symlink_to(f"usr/{part}")
    for package in sorted((apt / "cache/archives").glob("*.deb")):
        _must(["dpkg-deb", "-x", str(package), str(root)])
    shutil.rmtree(apt)
    libraries = root / "usr/lib" / kind.triplet
    # What update-alternatives would choose.
    for name in ("blas", "lapack"):
        if (libraries / name).is_dir():
            (libraries / f"lib{name}.so.3").symlink_to(f"{name}/lib{name}.so.3")
    python = root / "usr/bin/python3"
    python.unlink()
    # $0 is how this script was called, from a venv too, and becomes sys.executable.
    python.write_text(
        f'#!/bin/sh\nexec {_found(kind.emulator)} -cpu {kind.cpu} -L "{root}" -0 "$0" '
        f'"{root}/usr/bin/{PYTHON}" "$@"\n'
    )
    python.chmod(0o755)


def _make_venv(folder: Path, kind: Arm) -> None:
    """A venv with pip and what edgeseq needs to be built and to run, but not edgeseq."""
    venv = _new_venv(folder / "venv", folder, kind)
    (wheel,) = (folder / "root/usr/share/python-wheels").glob("pip-*.whl")
    # As ensurepip does, which would take half a minute here.
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(_site(venv))
    project = tomllib.loads((TREE / "pyproject.toml").read_text())
    wanted = project["build-system"]["requires"]
    wanted += project["project"]["dependencies"] if kind.wheels else []
    _must([*_pip(venv), "-c", str(CONSTRAINTS), *wanted])


def _new_venv(venv: Path, folder: Path, kind: Arm) -> Path:
    options = ["--without-pip"] + ([] if kind.wheels else ["--system-site-packages"])
    _must([str(folder / "root/usr/bin/python3"), "-m", "venv", *options, str(venv)])
    return venv


def _site(venv: Path) -> Path:
    return venv / "lib" / PYTHON / "site-packages"


def _pip(venv: Path) -> list[str]:
    # Compiling all modules would take as long as all tests.
    options = ("--disable-pip-version-check", "--no-compile", "--prefer-binary")
    return [str(venv / "bin/python"), "-m", "pip", "install", "-q", *options]


class System:
    """An emulated system in which this checkout is installed, in a venv of its own.

    Attributes:
        name: arm64 or armhf.
        kind: what it is.
        venv: where its programs lie, in `bin`.
    """

    def __init__(self, name: str, venv: Path) -> None:
        """Install this checkout, its engine included, into the new folder `venv`."""
        self.name, self.kind = name, KINDS[name]
        folder = prepared(name)
        self.venv = _new_venv(venv, folder, self.kind)
        (_site(venv) / "dependencies.pth").write_text(f"{_site(folder / 'venv')}\n")
        headers = folder / "root/usr/include"
        # Python.h is that of the root, libc's headers are those of the compiler.
        after = (headers, headers / self.kind.triplet)
        compiler = [f"{self.kind.triplet}-gcc", *(f"-idirafter {path}" for path in after)]
        env = {"CC": " ".join(compiler), "EDGESEQ_REQUIRE_ENGINE": "1"}
        _must([*_pip(venv), "--no-build-isolation", str(TREE)], **env)

    def run(self, program: str, *args: object, cwd: Path | None = None) -> Done:
        """Run a program of the venv to its end."""
        words = [str(self.venv / "bin" / program), *map(str, args)]
        return subprocess.run(
            words, capture_output=True, text=True, cwd=cwd, env=_environment(), timeout=SECONDS
        )


def _environment(**more: str) -> dict[str, str]:
    # This checkout must not be found instead of what is installed.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return kept | more


def _must(words: Sequence[str], **env: str) -> None:
    """Run a command; RuntimeError, with what it said, when it fails."""
    done = subprocess.run(
        words, capture_output=True, text=True, cwd="/", env=_environment(**env), timeout=SECONDS
    )
    if done.returncode:
        said = f"{done.stdout}\n{done.stderr}".strip()[-3000:]
        raise RuntimeError(f"{' '.join(words)}: exit code {done.returncode}\n{said}")


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise RuntimeError(f"{program} is not installed; the Makefile names its package")
    return path


def main(name: str, *command: str) -> int:
    """Install this checkout into a new venv of system `name`, and run a command there."""
    with tempfile.TemporaryDirectory(prefix=f"edgeseq-{name}-") as folder:
        system = System(name, Path(folder) / "venv")
        words = [str(system.venv / "bin" / command[0]), *command[1:]]
        return subprocess.run(words, env=_environment()).returncode


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in KINDS:
        sys.exit(f"python -m tests.arm.root {'|'.join(KINDS)} PROGRAM [ARGUMENT]...")
    sys.exit(main(*sys.argv[1:]))
