"""Models on emulated boards hear what they hear here, and what they take is really measured."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgeseq import Event, Stream
from edgeseq.assets import clip
from edgeseq.boards import BOARDS, Simulation
from edgeseq.boards.board import board_target
from edgeseq.boards.emulator import SHIFT
from edgeseq.boards.folder import read_folder
from edgeseq.errors import ParityError, StateError, ToolError
from edgeseq.frontends import to_int16
from edgeseq.sources import open_audio
from edgeseq_export.firmware import export_firmware
from edgeseq_export.native import export_native
from edgeseq_export.read_back import load_weights
from tests.boards.conftest import FAMILIES, SIMULATED, built
from tests.export.integer_models import checkpoint
from tests.firmware.engine import ROOT, Target, tool
from tests.runtime.native_files import need_engine

pytestmark = pytest.mark.qemu


def events_of(stream: Stream) -> list[Event]:
    path = clip("words.wav")
    assert path is not None
    with closing(open_audio(str(path))) as source:
        return list(stream.events(source))


def noise(steps: int, hop: int) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(3)
    return (0.3 * rng.standard_normal(steps * hop)).astype(np.float32)


@pytest.fixture(scope="module", params=FAMILIES)
def native(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[Event]]:
    """A bundled model, and what the native backend hears with its integer program."""
    need_engine()
    name: str = request.param
    path = tmp_path_factory.mktemp("native") / f"{name}.esq"
    export_native(load_weights(Path(name)), path)
    return name, events_of(Stream(path))


@pytest.mark.parametrize("board", SIMULATED)
def test_the_board_hears_what_the_native_backend_hears(
    native: tuple[str, list[Event]], board: str, words: Callable[[str], Path], tmp_path: Path
) -> None:
    """Every event with its time and score; and the memory is that of the linked file."""
    name, wanted = native
    with built(words(name), board, tmp_path) as simulation:
        simulation.prove()
        stream = simulation.stream()
        assert events_of(stream) == wanted
        assert len(wanted) >= 6
        measured = simulation.measured()
    assert measured.kernels == BOARDS[board].kernels[0]
    assert measured.steps == stream.clock.steps
    assert measured.median <= measured.longest
    # MVE multiplies sixteen pairs at once.
    assert measured.median > measured.macs / (16 if board == "cortex-m55" else 2)
    sizes = measured.sizes
    done = subprocess.run(
        [tool("arm-none-eabi-size"), str(tmp_path / "simulate.elf")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    text, data, bss = map(int, done.stdout.splitlines()[1].split()[:3])
    assert sizes.flash == text + data
    assert sizes.arena + sizes.static == data + bss
    folder = read_folder(words(name))
    assert 0 <= sizes.arena - folder.arena_bytes < 8
    # The arrays, and the structs that point to them.
    arrays = folder.manifest.quantization.weight_bytes
    assert arrays <= sizes.model <= arrays + 4096
    assert sizes.engine <= 24 * 1024
    assert sizes.other <= 4 * 1024


@pytest.mark.parametrize("board", [*SIMULATED, "cortex-m3"])
def test_stack_and_timer_tell_what_is_so(board: str, tmp_path: Path) -> None:
    """A function with a large array shows in the stack; a loop of known length in the timer."""
    found = BOARDS[board]
    options = ("-icount", f"shift={SHIFT}")
    target = Target.strict(board_target(found.machine, found.flags, 1 << 16, options))
    got = {}
    for size, loops in ((5000, 100_000), (9000, 300_000)):
        folder = tmp_path / str(size)
        folder.mkdir()
        extra = (f"-DLOCAL_BYTES={size}", f"-DLOOPS={loops}")
        got[size] = [
            int(n) for n in target.run(target.build(folder, "board", None, *extra)).split()
        ]
        before, after, ticks, _ = got[size]
        assert before < size
        assert size <= after <= size + 512
        assert ticks * 1e9 / found.clock_hz / 2**SHIFT == pytest.approx(2 * loops, abs=20)
    assert got[9000][1] - got[5000][1] == 4000


WRAPPED = """
#include "edgeseq.h"
es_status __real_es_step_pcm(es_engine *, const int16_t *, size_t, int16_t *, size_t);
es_status __wrap_es_step_pcm(es_engine *e, const int16_t *x, size_t n, int16_t *y, size_t m) {
    volatile uint8_t big[BIG];
    unsigned i;
    for (i = 0; i < BIG; i++) big[i] = 1;
    es_status status = __real_es_step_pcm(e, x, n, y, m);
    return big[BIG - 1] == 1 ? status : ES_ERR_NULL;
}
"""


def test_what_a_step_puts_on_the_stack_is_in_the_figures(small: Path, tmp_path: Path) -> None:
    (tmp_path / "wrapped.c").write_text(WRAPPED)
    source, found = tmp_path / "wrapped.c", []
    for big in (0, 3000, 7000):
        extra = ["-Wl,--wrap=es_step_pcm", f"-DBIG={big}", f"-I{ROOT / 'include'}", source]
        with built(small, "cortex-m4", tmp_path / str(big), *(extra if big else [])) as simulation:
            simulation.stream().push(noise(4, 320))
            found.append(simulation.measured())
    without, some, more = found
    assert 0 <= some.stack - without.stack - 3000 <= 128
    assert more.stack - some.stack == 4000
    assert some.ram - without.ram == some.stack - without.stack
    # The loop that fills the array costs at least a store and a branch a byte.
    assert some.median >= without.median + 2 * 3000
    assert more.median - some.median == pytest.approx(
        4000 * (some.median - without.median) / 3000, rel=0.05
    )


SLOW = """
#include "edgeseq.h"
es_status __real_es_step_pcm(es_engine *, const int16_t *, size_t, int16_t *, size_t);
es_status __wrap_es_step_pcm(es_engine *e, const int16_t *x, size_t n, int16_t *y, size_t m) {
    uint32_t left = LOOPS;
    __asm volatile("1: subs %0, %0, #1\\n\\tbne 1b" : "+r"(left) : : "cc");
    return __real_es_step_pcm(e, x, n, y, m);
}
"""


def test_a_step_beyond_the_timer_is_an_error_not_a_small_number(
    small: Path, tmp_path: Path
) -> None:
    """The timer has 24 bits; 20 million instructions are just within them, 42 million wrap."""
    source = tmp_path / "slow.c"
    source.write_text(SLOW)

    def extra(loops: int) -> tuple[object, ...]:
        include = f"-I{ROOT / 'include'}"
        return ("-Wl,--wrap=es_step_pcm", f"-DLOOPS={loops}", include, source)

    with built(small, "cortex-m4", tmp_path / "within", *extra(10_000_000)) as simulation:
        simulation.stream().push(noise(2, 320))
        assert 20_000_000 < simulation.measured().longest < 20_500_000
    with built(small, "cortex-m4", tmp_path / "beyond", *extra(21_000_000)) as simulation:
        stream = simulation.stream()
        with pytest.raises(ToolError, match="more than the 20,971,520 instructions"):
            stream.push(noise(2, 320))


def test_every_logit_is_that_of_the_program(small: Path, tmp_path: Path) -> None:
    """Beyond the golden: noise through the pipes, with a reset in between."""
    program = export_firmware(checkpoint("gru"), tmp_path / "again").program
    x = noise(30, 320).reshape(30, 1, 1, 320)
    with built(small, "cortex-m55", tmp_path / "work") as simulation:
        stepper = simulation.session.stepper()
        for frames in (x[:20], x):
            y, _ = program.step(to_int16(frames[:, 0, 0])[None], program.state_spec.zeros(1))
            got = [stepper.step(frame).copy() for frame in frames]
            assert np.array_equal(np.concatenate(got, axis=1), program.logits(y))
            stepper.reset()
        with pytest.raises(StateError, match="cannot be saved"):
            stepper.state()
        with pytest.raises(StateError, match="cannot be restored"):
            stepper.restore({})
        with pytest.raises(StateError, match="use a stream"):
            simulation.session.step(x[0], simulation.session.initial_state())


def test_a_program_that_computes_something_else_is_refused(copied: Path, tmp_path: Path) -> None:
    source = copied / "model_data.c"
    text = source.read_text()
    changed = re.sub(r"(head_bias\[\d+\] = \{\n)-?\d+", r"\g<1>123456", text)
    assert changed != text
    source.write_text(changed)
    with (
        built(copied, "cortex-m4", tmp_path / "work") as simulation,
        pytest.raises(ParityError, match="computes other logits"),
    ):
        simulation.prove()


def test_code_that_does_not_compile_is_one_line(copied: Path, tmp_path: Path) -> None:
    (copied / "model_data.c").write_text("int nothing = ;\n")
    with pytest.raises(ToolError, match=r"arm-none-eabi-gcc failed: .*error: expected expression"):
        built(copied, "cortex-m4", tmp_path / "work")


def test_a_model_beyond_the_emulated_memory_is_refused(small: Path, tmp_path: Path) -> None:
    tool("arm-none-eabi-gcc")
    board = replace(BOARDS["cortex-m4"], flash_bytes=16 << 10)
    with pytest.raises(ValueError, match="has 16,384 bytes for code and constants"):
        Simulation(read_folder(small), board, tmp_path)


def test_an_emulator_that_dies_is_an_error_not_a_hang(small: Path, tmp_path: Path) -> None:
    with built(small, "cortex-m4", tmp_path) as simulation:
        stream = simulation.stream()
        stream.push(noise(2, 320))
        child = children(os.getpid())
        assert len(child) == 1
        os.kill(child[0], signal.SIGKILL)
        with pytest.raises(ToolError, match=r"on the emulated board failed: exit code -9"):
            stream.push(noise(50, 320))
    assert not children(os.getpid())


def children(process: int) -> list[int]:
    """Emulators that a process has started and that still run."""
    listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    running = (Path(f"/proc/{pid}/cmdline") for pid in listed)
    return [int(p.parent.name) for p in running if b"qemu-system-arm" in p.read_bytes()]
