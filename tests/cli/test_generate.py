"""`edgeseq generate`: text as it comes, speed on stderr, memory in files, errors in one line."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import graphs
from tests.cli.conftest import Kit
from tests.cli.process import SECONDS, call, command, environment, error_of, run, start


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = "aä€😀.\x1bz".encode()
    return graphs.chain_model(tmp_path_factory.mktemp("chain") / "c.onnx", data)


def document(*args: object, **more: Any) -> dict[str, Any]:
    done = call("generate", *args, "--json", **more)
    assert (done.returncode, done.stderr) == (0, ""), done
    values: dict[str, Any] = json.loads(done.stdout)
    return values


@pytest.mark.parametrize("model", ["bytes-gru", "bytes-transformer"])
def test_bundled_models_write(model: str) -> None:
    one, two, other = (
        document(model, "--prompt", "And the LORD said ", "--seed", seed, "--bytes", 60)
        for seed in (5, 5, 6)
    )
    assert one["text"] == two["text"] != other["text"]
    assert one["bytes"] == 60 == len(one["text"].encode()) + one["unfinished_bytes"]
    assert one["prompt_bytes"] == 18
    assert one["tokens_per_second"] > 0
    assert 0 < one["token_p50_ms"] <= one["token_p99_ms"]
    greedy = [
        document(model, "--prompt", "And the ", "--temperature", 0, "--seed", seed)["text"]
        for seed in (1, 2)
    ]
    assert greedy[0] == greedy[1]


def test_text_on_stdout_and_words_on_stderr(chain: Path) -> None:
    done = run("generate", chain, "--prompt", "a", "--bytes", 12, "--temperature", 0)
    # The last byte begins an ä, of which nothing is shown.
    assert (done.returncode, done.stdout) == (0, "ä€😀.\x1bz"[: len("ä€😀.\x1bz")])
    assert done.stderr.startswith("c (onnx): 12 tokens (bytes); ")
    for words in ("tokens/s, p50 ", "ms, p99 ", "prompt 1 bytes", "seed "):
        assert words in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("count", range(1, 16))
def test_a_character_is_never_shown_in_part(chain: Path, count: int) -> None:
    found = document(chain, "--prompt", "a", "--bytes", count, "--temperature", 0)
    data = ("ä€😀.\x1bz" + "aä€😀.").encode()[:count]
    assert found["text"] == data.decode(errors="ignore")
    assert found["unfinished_bytes"] == len(data) - len(found["text"].encode())


def test_in_a_terminal_nothing_steers_it_and_the_line_is_ended(chain: Path) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        command("generate", chain, "--prompt", "a", "--bytes", 12, "--temperature", 0),
        env=environment(), stdout=theirs, stderr=subprocess.PIPE, timeout=SECONDS,
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert done.returncode == 0
    assert shown == "ä€😀.\\x1bz\r\n"


def test_the_end_comes_before_the_stop_text(chain: Path) -> None:
    found = document(
        chain, "--prompt", "a", "--temperature", 0, "--stop", "zzz", "--stop", "€😀", "--stop", "."
    )
    assert (found["text"], found["stopped_by"]) == ("ä", "€😀")
    # Of a stop text that did not come whole nothing is lost.
    found = document(chain, "--prompt", "a", "--temperature", 0, "--stop", "€!", "--bytes", 5)
    assert (found["text"], found["stopped_by"]) == ("ä€", None)


def test_the_prompt_may_be_a_file_or_a_pipe(chain: Path, tmp_path: Path) -> None:
    file = tmp_path / "prompt"
    file.write_bytes("zaä".encode()[:-1])
    expected = document(chain, "--prompt-file", file, "--bytes", 4, "--temperature", 0)
    # The end of the ä, which the prompt began, and the €.
    assert (expected["text"], expected["prompt_bytes"]) == ("ä€", 3)
    done = run(
        "generate", chain, "--prompt-file", "-", "--bytes", 4, "--temperature", 0,
        input=file.read_bytes(),
    )  # fmt: skip
    assert done.stdout == "ä€"
    surrogate = run("generate", chain, "--prompt", "a\udcc3", "--bytes", 1, "--temperature", 0)
    assert surrogate.stdout == "ä"


def test_memory_goes_on_in_another_run(kit: Kit, tmp_path: Path) -> None:
    memory, common = tmp_path / "memory", ("--temperature", 0)
    whole = document(kit.bytes, "--prompt", "Once", "--bytes", 90, *common)
    document(kit.bytes, "--prompt", "Once", "--bytes", 40, "--save-state", memory, *common)
    rest = document(kit.bytes, "--state", memory, "--bytes", 50, *common)
    assert whole["text"].endswith(rest["text"])
    assert rest["prompt_bytes"] == 0
    # What is read in between is remembered as well.
    other = document(kit.bytes, "--state", memory, "--prompt", "x", "--bytes", 50, *common)
    assert other["text"] != rest["text"]


def test_a_repeated_prompt_is_read_once(kit: Kit, tmp_path: Path) -> None:
    cache, prompt = tmp_path / "cache", "All work and no play. " * 40
    plain = document(kit.bytes, "--prompt", prompt, "--seed", 3)
    known = [
        document(kit.bytes, "--prompt", text, "--seed", 3, "--prompt-cache", cache)
        for text in (prompt, prompt, prompt + "So", prompt[:600] + "Not so")
    ]
    assert [k["known_prompt_bytes"] for k in known] == [0, 880, 880, 512]
    assert known[0]["text"] == known[1]["text"] == plain["text"]


def test_what_cannot_be_done_is_one_line(kit: Kit, tmp_path: Path) -> None:
    other = tmp_path / "other"
    document("bytes-gru", "--bytes", 1, "--save-state", other)
    two = graphs.byte_model(tmp_path / "two.onnx", chunk=2)
    for args, words in (
        ((kit.tones,), "this is a keyword model, which writes no text; name a byte model"),
        ((two,), "takes 2 bytes in one step"),
        ((kit.bytes, "--state", tmp_path / "none"), "none: cannot be read: No such file"),
        ((kit.bytes, "--state", other), "other: belongs to another model"),
        ((kit.bytes, "--state", kit.text), "is no saved state of edgeseq"),
        ((kit.bytes, "--prompt-cache", other), "the state holds 'text', not 'prefixes'"),
        ((kit.bytes, "--save-state", tmp_path / "no" / "x"), "its folder does not exist"),
        ((kit.bytes, "--stop", ""), "a stop text is empty"),
        ((kit.bytes, "--temperature", "nan"), "temperature is nan"),
        ((kit.bytes, "--prompt-file", tmp_path / "none"), "none: cannot be opened"),
    ):
        assert words in error_of(call("generate", *args))


@pytest.mark.parametrize(
    "args",
    [
        ("--prompt", "a", "--prompt-file", "b"),
        ("--state", "a", "--prompt-cache", "b"),
        ("--bytes", "0"),
        ("--temperature", "-1"),
        ("--top-p", "0"),
        ("--top-k", "-1"),
        ("--seed", "-1"),
        ("--seed", "x"),
    ],
)
def test_wrong_usage_exits_with_2(args: tuple[str, ...]) -> None:
    assert call("generate", "bytes-gru", *args).returncode == 2


def test_ctrl_c_keeps_what_was_written(kit: Kit, tmp_path: Path) -> None:
    """F11: the memory is saved as well."""
    memory = tmp_path / "memory"
    process = start(
        "generate", kit.bytes, "--bytes", 10**9, "--save-state", memory, stdin=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "tokens/s" in err
    assert "Traceback" not in err
    assert memory.exists()


def test_ctrl_c_while_a_long_prompt_is_read(kit: Kit) -> None:
    """F11: nothing has been written, so there is nothing to tell."""
    with start("generate", kit.bytes, "--prompt-file", "-") as process:
        assert process.stdin is not None
        # When a pipe has taken this much, somebody reads it; the model then needs minutes.
        process.stdin.buffer.write(b"All work and no play. " * 1_000_000)
        process.stdin.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=SECONDS) == 130
        assert process.stdout is not None
        assert process.stderr is not None
        assert (process.stdout.read(), process.stderr.read()) == ("", "")
