"""The same engine on emulated processors: ARM64 with and without dot product, and Cortex-M boards.

The emulators show correctness and count instructions; they say nothing about time.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgeseq import boards
from edgeseq.boards.board import board_target
from edgeseq.models import GruConfig, LogMelConfig, ModelConfig
from edgeseq.training.checkpoint import Checkpoint
from edgeseq_export.firmware import export_firmware
from tests.export.integer_models import checkpoint
from tests.firmware.conftest import Exported, recording
from tests.firmware.engine import (
    Target,
    assert_replay_equals,
    engine_objects,
    expected,
    tool,
)

pytestmark = pytest.mark.qemu

ARM64 = {
    "neon": ("cortex-a53", ["neon", "plain"]),
    "dotprod": ("cortex-a76", ["dotprod", "neon", "plain"]),
}


def arm64(cpu: str) -> Target:
    return Target("aarch64-linux-gnu-gcc", ("-O2", "-static"), ("qemu-aarch64", "-cpu", cpu))


def board(machine: str, ram: int, *flags: str) -> Target:
    """A Cortex-M board whose files are those of the folder it is started in."""
    return Target.strict(board_target(machine, flags, ram))


BOARDS = {
    name: (board(found.machine, 512 << 10, *found.flags), list(found.kernels))
    for name, found in boards.BOARDS.items()
}
# 16 KB of RAM, so only a small model fits.
MICROBIT = board("microbit", 16 << 10, "-mcpu=cortex-m0")


@pytest.mark.parametrize("name", ARM64)
def test_arm64_equals_numpy_with_every_kernel(exported: Exported, name: str) -> None:
    cpu, kernels = ARM64[name]
    target = arm64(cpu)
    binary = target.build(exported.folder, "replay", exported.folder)
    for kernel in kernels:
        text = assert_replay_equals(
            target, binary, exported.frames, exported.wanted, exported.outputs, [kernel]
        )
        assert text.split()[0] == kernel


@pytest.mark.parametrize("name", ARM64)
def test_arm64_kernels_equal_the_plain_ones_at_the_extremes(name: str, tmp_path: Path) -> None:
    cpu, kernels = ARM64[name]
    target = arm64(cpu)
    assert target.run(target.build(tmp_path, "kernels", None)).split() == kernels


@pytest.mark.parametrize("name", BOARDS)
def test_cortex_m_equals_numpy(exported: Exported, name: str) -> None:
    target, kernels = BOARDS[name]
    binary = target.build(exported.folder, "replay", exported.folder)
    text = assert_replay_equals(target, binary, exported.frames, exported.wanted, exported.outputs)
    assert text.split()[0] == kernels[0]


@pytest.mark.parametrize("name", BOARDS)
def test_cortex_m_kernels_equal_the_plain_ones_at_the_extremes(name: str, tmp_path: Path) -> None:
    target, kernels = BOARDS[name]
    assert target.run(target.build(tmp_path, "kernels", None)).split() == kernels


@pytest.mark.parametrize("name", BOARDS)
def test_wrong_calls_give_a_status_on_a_32_bit_processor(exported: Exported, name: str) -> None:
    """The arena is as large as on a 64-bit one."""
    target, _ = BOARDS[name]
    assert target.run(target.build(exported.folder, "api", exported.folder)) == "0 broken\n"


def test_cortex_m0_with_16_kilobytes_equals_numpy(tmp_path: Path) -> None:
    program = export_firmware(checkpoint("gru-odd"), tmp_path).program
    frames = recording("gru-odd", program, 60)
    binary = MICROBIT.build(tmp_path, "replay", tmp_path)
    wanted = expected(program, frames)
    text = assert_replay_equals(MICROBIT, binary, frames, wanted, program.output_dim)
    assert text.split()[0] == "plain"


@pytest.mark.parametrize("name", ["cortex-m4", "cortex-m55"])
def test_the_example_prints_the_labels_that_numpy_finds(name: str, tmp_path: Path) -> None:
    program = export_firmware(checkpoint("gru"), tmp_path).program
    frames = recording("gru", program, 300)
    (tmp_path / "input.bin").write_bytes(frames.astype("<i2").tobytes())
    y, _ = program.step(frames[None], program.state_spec.zeros(1))
    best = y[0].argmax(axis=1)
    labels = checkpoint("gru").facts["labels"]
    wanted = [
        f"{20 * n} ms {labels[best[n]]}"
        for n in range(len(best))
        if n == 0 or best[n] != best[n - 1]
    ]
    target, _ = BOARDS[name]
    printed = target.run(target.build(tmp_path, "keyword", tmp_path)).splitlines()
    assert printed == wanted
    assert len(wanted) > 10


# ARMv7E-M and MVE: instructions for one product of int8, and of a step, of GRU 2x128.
LIMITS = {
    "cortex-m4": (1.5, 400_000, 40.0),
    "cortex-m7": (1.5, 400_000, 40.0),
    "cortex-m55": (0.25, 200_000, 31.25),
}
PRODUCT = 384 * 128


@pytest.mark.parametrize("name", LIMITS)
def test_instructions_and_flash_of_a_keyword_model(name: str, tmp_path: Path) -> None:
    """Counted by -icount, where each instruction takes 2^6 ns of the board's time: no cycles."""
    config = ModelConfig(LogMelConfig(), GruConfig(hidden=128, layers=2), 22)
    torch.manual_seed(0)
    labels = ["_silence_", "_unknown_", *(f"word{n}" for n in range(20))]
    facts = checkpoint("gru").facts | {"labels": labels}
    export_firmware(Checkpoint(config.build().eval(), config, facts), tmp_path)
    plain, _ = BOARDS[name]
    target = replace(plain, runner=(*plain.runner[:-1], "-icount", "shift=6", "-kernel"))
    kernels, *ticks = target.run(target.build(tmp_path, "count", tmp_path)).split()
    most_a_product, most_a_step, tick_ns = LIMITS[name]
    product, step = (int(count) * tick_ns / 2**6 for count in ticks)
    assert kernels != "plain"
    assert product / PRODUCT <= most_a_product
    assert step <= most_a_step
    sizes = subprocess.run(
        [tool("arm-none-eabi-size"), "-t", *engine_objects(target)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(sizes.stdout.splitlines()[-1].split()[0]) <= 24 * 1024


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gru", "lstm", "transformer"])
def test_ten_thousand_steps_of_real_input(name: str, tmp_path: Path) -> None:
    program = export_firmware(checkpoint(name), tmp_path).program
    frames = recording(name, program, 10_000)
    wanted = expected(program, frames)
    for target in (arm64("cortex-a76"), arm64("cortex-a53"), *(t for t, _ in BOARDS.values())):
        binary = target.build(tmp_path, "replay", tmp_path)
        assert_replay_equals(target, binary, frames, wanted, program.output_dim)
