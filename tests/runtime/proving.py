"""Builds and runs `micro_check.c` for a target, with the micro-kernels of this checkout or with altered ones.

    python -m tests.runtime.proving TARGET... [--seed N] [--first N] [--count N]

shows for each target the first case that is wrong, or what ran. `--flags` and `--runner` try what no row has.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ares.ir import Project
from ares.resources import runtime_dir
from ares.toolchain import BuildFailure, Target, ToolchainError, build, select
from ares.toolchain.process import run_process

CHECK = Path(__file__).with_name("micro_check.c")
COUNT = 3072
"""Cases of a run: every width, number of rows and sign of a tile four times."""
SEED = 1
TIMEOUT = 300.0
# Where memory ends in QEMU. On ARMv7-M something else begins there, which the check takes away.
MEMORY_END = {
    "mps2-an386": 0x20400000,
    "mps2-an500": 0x20400000,
    "mps3-an547": 0x11200000,
    "virt-rv32": 0x84000000,
}
_NEEDED = ("trace_io.h", "trace_line.c", "trace_line.h", "trace_stdio.c", "stack_unknown.c")


@dataclass(frozen=True, slots=True)
class Proof:
    """What a run of the check showed.

    `fault`: None where every case was right, else what was wrong in the words of the program, with the case and its
    shape. `instruction_set` ran; `reached` counts what the cases met; `guarded`: reading past an array is a fault.
    """

    fault: str | None
    instruction_set: str
    guarded: bool
    reached: Mapping[str, int]


def sources() -> dict[str, bytes]:
    """The micro-kernels, and what the check needs beside them: path in the project -> content."""
    root = runtime_dir()
    paths = [
        *(root / "inc").glob("*.h"),
        *(root / "src").glob("micro*.c"),
        *(root / "trace" / name for name in _NEEDED),
    ]
    files = {f"runtime/{path.relative_to(root).as_posix()}": path.read_bytes() for path in paths}
    return {**files, "check.c": CHECK.read_bytes()}


def prove(
    target: Target,
    *,
    seed: int = SEED,
    first: int = 0,
    count: int = COUNT,
    files: Mapping[str, bytes] | None = None,
) -> Proof:
    """Run cases first to first + count of a seed; `files` in place of `sources()`."""
    content = sources() if files is None else files
    project = Project("micro_check", content, (), "check.c", (), (), ())
    board = target.machine.board
    if board is not None:
        end = f"-DARES_GUARDED_END={MEMORY_END[board]:#x}u"
        target = replace(target, flags=(*target.flags, end))
    program = build(project, target).path
    words = [str(word) for word in (seed, first, count)]
    with tempfile.TemporaryDirectory(prefix="ares-proof-") as name:
        finished = run_process(
            target.machine.command(program, words),
            folder=Path(name),
            timeout=TIMEOUT,
            environment=dict(target.run_environment),
        )
    return _read(target.name, seed, finished.code, finished.stdout.splitlines(), finished.stderr)


def _read(target: str, seed: int, code: int | None, lines: Sequence[str], errors: str) -> Proof:
    words = [line.split() for line in lines]
    cases = [line for line, word in zip(lines, words, strict=True) if word[:1] == ["case"]]
    ended = [" ".join(word[2:]) for word in words if word[:1] == ["end"]]
    reached = {word[1]: int(word[2]) for word in words if word[:1] == ["reached"]}
    guarded = "memory guarded" in lines
    if code == 0 and ended:
        return Proof(None, ended[0], guarded, reached)
    said = next((line for line in lines if line.startswith("wrong")), None)
    told = errors.strip().splitlines()
    how = "did not end" if code is None else f"ended with {code}{f': {told[0]}' if told else ''}"
    where = cases[-1] if cases else "before the first case"
    again = f"python -m tests.runtime.proving {target} --seed {seed}"
    number = where.split()[1] if cases else "0"
    fault = f"{target}: {said or how}\n  in {where}\n  again: {again} --first {number} --count 1"
    return Proof(fault, "", guarded, reached)


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="names or patterns")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--flags", type=shlex.split, default=[], help="more flags of the compiler")
    parser.add_argument("--runner", type=shlex.split, help="another command prefix to run it with")
    asked = parser.parse_args()
    wrong = 0
    for target in select(asked.targets):
        runner = target.machine.runner if asked.runner is None else tuple(asked.runner)
        chosen = replace(
            target,
            flags=(*target.flags, *asked.flags),
            machine=replace(target.machine, runner=runner),
        )
        try:
            proof = prove(chosen, seed=asked.seed, first=asked.first, count=asked.count)
        except (ToolchainError, BuildFailure) as error:
            sys.stdout.write(f"{error}\n")
            wrong += 1
            continue
        memory = "guarded" if proof.guarded else "NOT guarded"
        right = f"{target.name}: right, by {proof.instruction_set}, memory {memory}"
        sys.stdout.write(f"{proof.fault or right}\n")
        wrong += proof.fault is not None
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(_main())
