"""The C engine on this machine: equal to numpy bit for bit, and safe to call wrongly."""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path

import pytest

from edgeseq.models import GruConfig, LogMelConfig, ModelConfig
from edgeseq_export.firmware import arena_bytes, export_firmware, tables_source
from edgeseq_export.integer import build_program, calibration_input
from tests.export.integer_models import checkpoint
from tests.firmware.conftest import Exported, recording
from tests.firmware.engine import (
    ROOT,
    SANITIZED,
    SOURCES,
    Target,
    assert_replay_equals,
    engine_objects,
    expected,
    tool,
)

HOST = Target()
CHECKED = Target(flags=SANITIZED)
CPU = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
KERNELS = {
    "x86_64": {"sse4": "sse4_1", "avx2": "avx2", "vnni": "avx512_vnni"},
    "aarch64": {"neon": "asimd", "dotprod": "asimddp"},
}


def kernels_here() -> list[str]:
    """Names of the kernels that this processor must be able to run."""
    flags = set(re.findall(r"\w+", CPU))
    wanted = KERNELS.get(platform.machine(), {})
    return ["plain", *(name for name, flag in wanted.items() if flag in flags)]


@pytest.fixture(scope="session")
def replay(exported: Exported) -> Path:
    return HOST.build(exported.folder, "replay", exported.folder)


@pytest.mark.parametrize("kernels", kernels_here())
def test_every_logit_and_every_state_equals_numpy(
    exported: Exported, replay: Path, kernels: str
) -> None:
    text = assert_replay_equals(
        HOST, replay, exported.frames, exported.wanted, exported.outputs, [kernels]
    )
    assert text.split()[0] == kernels


def test_the_fastest_kernels_are_chosen(exported: Exported, replay: Path) -> None:
    text = assert_replay_equals(HOST, replay, exported.frames, exported.wanted, exported.outputs)
    assert text.split()[0] == kernels_here()[-1]


def test_wrong_calls_give_a_status(exported: Exported) -> None:
    """Null, sizes, one byte short, damaged models and states, under the sanitizers."""
    api = CHECKED.build(exported.folder, "api", exported.folder)
    assert CHECKED.run(api) == "0 broken\n"


def test_the_sanitizers_find_nothing(exported: Exported, tmp_path: Path) -> None:
    binary = CHECKED.build(tmp_path, "replay", exported.folder)
    for kernels in kernels_here():
        assert_replay_equals(
            CHECKED, binary, exported.frames, exported.wanted, exported.outputs, [kernels]
        )


def test_any_state_that_is_accepted_runs_clean_and_alike(exported: Exported) -> None:
    """Random and extreme states and inputs, under the sanitizers, with every kernel set."""
    program = CHECKED.build(exported.folder, "fuzz", exported.folder)
    accepted = int(CHECKED.run(program, 60, 1))
    ring = "encoder.next" in exported.program.state_spec.names
    assert 40 <= accepted < 60 if ring else accepted == 60


@pytest.mark.slow
def test_a_bounded_fuzzing_run_finds_nothing(exported: Exported) -> None:
    program = CHECKED.build(exported.folder, "fuzz", exported.folder)
    assert int(CHECKED.run(program, 4000, 2)) > 3000


def test_every_kernel_equals_the_plain_one_at_the_extremes(tmp_path: Path) -> None:
    text = CHECKED.run(CHECKED.build(tmp_path, "kernels", None))
    assert sorted(text.split()) == sorted(kernels_here())


def test_a_wrong_weight_is_noticed(exported: Exported, tmp_path: Path) -> None:
    """The comparison can fail: one flipped weight of the head changes the output."""
    for name in ("model_data.c", "model_data.h"):
        text = (exported.folder / name).read_text()
        changed = re.sub(r"(head_bias\[\d+\] = \{\n)-?\d+", lambda m: f"{m.group(1)}123456", text)
        (tmp_path / name).write_text(changed)
    binary = HOST.build(tmp_path, "replay", tmp_path)
    with pytest.raises(AssertionError, match="step 0, logit 0"):
        assert_replay_equals(HOST, binary, exported.frames, exported.wanted, exported.outputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gru", "lstm", "transformer", "gru-bytes"])
def test_ten_thousand_steps_of_real_input(name: str, tmp_path: Path) -> None:
    program = export_firmware(checkpoint(name), tmp_path).program
    frames = recording(name, program, 10_000)
    wanted = expected(program, frames)
    binary = HOST.build(tmp_path, "replay", tmp_path)
    for kernels in kernels_here():
        assert_replay_equals(HOST, binary, frames, wanted, program.output_dim, [kernels])


def test_export_is_repeatable_and_says_what_made_it(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        export_firmware(checkpoint("gru"), folder)
    files = sorted(p.name for p in folders[0].iterdir())
    assert files == ["README.md", "golden.h", "manifest.json", "model_data.c", "model_data.h"]
    for name in files:
        first, second = ((folder / name).read_bytes() for folder in folders)
        assert first == second
        if name.startswith(("golden", "model")):
            assert re.match(
                rb"/\* GENERATED by edgeseq_export.firmware \S+ from gru weights "
                rb"sha256:[0-9a-f]{16}; do not edit. \*/\n", first,
            )  # fmt: skip


def test_the_readme_states_flash_arena_and_macs(exported: Exported) -> None:
    text = (exported.folder / "README.md").read_text()
    model = (exported.folder / "model_data.c").read_text()
    sizes = {"int8_t": 1, "int16_t": 2, "uint16_t": 2, "int32_t": 4}
    flash = sum(
        sizes[kind] * int(count)
        for kind, count in re.findall(r"static const (u?int\d+_t) \w+\[(\d+)\]", model)
    )
    assert f"| const data (flash) | {flash:,} bytes |" in text
    assert f"| arena (RAM) | {arena_bytes(exported.program):,} bytes |" in text
    assert f"| multiply-accumulates a step | {exported.program.macs_per_frame:,} |" in text


def test_the_tables_in_c_are_those_of_numpy() -> None:
    assert (ROOT / "src" / "tables.c").read_text() == tables_source()


def test_no_allocation_no_float_and_no_writable_global(exported: Exported, tmp_path: Path) -> None:
    """Words of the source, symbols and sections of the object files."""
    forbidden = re.compile(r"\b(malloc|calloc|realloc|free|alloca|printf|exit)\b")
    for source in SOURCES:
        text = source.read_text()
        assert not forbidden.search(text), source.name
        assert not re.search(r"\b(float|double)\b", text), source.name
    model = tmp_path / "model_data.o"
    HOST.compile("-c", exported.folder / "model_data.c", "-o", model)
    for unit in (*engine_objects(HOST), model):
        symbols = subprocess.run([tool("nm"), unit], capture_output=True, text=True, check=True)
        kinds = {line.split()[-2] for line in symbols.stdout.splitlines()}
        # d: const tables of pointers, which a position-independent build relocates once.
        assert kinds <= set("TtRrUdD"), (unit.name, symbols.stdout)
        writable = subprocess.run([tool("size"), "-A", unit], capture_output=True, text=True)
        for section in (".data ", ".bss "):
            line = next(row for row in writable.stdout.splitlines() if row.startswith(section))
            assert line.split()[1] == "0", (unit.name, line)


def test_gru_keyword_model_fits_its_arena(tmp_path: Path) -> None:
    """Two layers of 128 with the frontend: at most 12 KB."""
    model = ModelConfig(LogMelConfig(), GruConfig(hidden=128, layers=2), 22).build().eval()
    assert arena_bytes(build_program(model, calibration_input(model))) <= 12 * 1024


def test_a_missing_tool_fails_in_ci_and_skips_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-compiler is not installed"):
        tool("no-such-compiler")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="make test"):
        tool("no-such-compiler")
