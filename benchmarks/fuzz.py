"""Feeds readers with damaged input and counts: python -m benchmarks.fuzz TARGET --seconds N

Targets, seeds and mutations are those of tests/hostile. Every case has a number, from which it can
be made again (--case N). Cases of `step`, `coded` and `native` run in a child, because C code may
crash; one may take 2 GiB of address space and 20 s. Exit code 1 when there was a finding.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sys
import time
import traceback
import warnings

from tests.hostile.targets import TARGETS, Target, one_line

NATIVE = ("step", "coded", "native")
SPACE, SECONDS = 2 * 2**30, 20


def make(target: Target, seeds: list[bytes], number: int) -> bytes:
    """Case `number`."""
    draw = random.Random(number)
    return target.mutate(draw, draw.choice(seeds))


def in_child(target: Target, data: bytes) -> str:
    """What went wrong in a child process; "" for nothing."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        code = 1
        # Decoders complain on stderr; only what this harness finds is of interest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
            signal.alarm(SECONDS)
            one_line(target.run, data)
            code = 0
        except BaseException:
            os.write(write, traceback.format_exc()[-4000:].encode())
        os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as words:
        said = words.read().decode("utf-8", "replace")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return said if os.waitstatus_to_exitcode(status) else ""


def here(target: Target, data: bytes) -> str:
    """What went wrong in this process; "" for nothing."""
    try:
        one_line(target.run, data)
    except Exception:
        return traceback.format_exc()[-4000:]
    return ""


def main() -> int:
    """Run cases until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--cases", type=int, default=10**12)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--case", type=int)
    args = parser.parse_args()
    warnings.simplefilter("error")
    target = TARGETS[args.target]
    seeds = target.seeds()
    run = in_child if args.target in NATIVE else here
    if args.case is not None:
        print(run(target, make(target, seeds, args.case)) or "good")
        return 0
    end, number, findings, slowest = time.monotonic() + args.seconds, args.first, 0, 0.0
    seen: set[str] = set()
    while time.monotonic() < end and number - args.first < args.cases:
        began = time.monotonic()
        wrong = run(target, make(target, seeds, number))
        slowest = max(slowest, time.monotonic() - began)
        if wrong:
            findings += 1
            last = wrong.strip().splitlines()[-1][:200]
            if last not in seen:
                seen.add(last)
                print(f"case {number}: {wrong}", flush=True)
        number += 1
    print(
        f"{args.target}: {number - args.first:,} cases, {findings} findings, "
        f"slowest {1000 * slowest:.0f} ms"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
