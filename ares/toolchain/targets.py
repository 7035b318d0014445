"""Which compilers and machines a network is built for: one row of `TARGETS` each.

Adding a target is adding a row. Which flags and why: docs/numerics.md (N9), and `float_probe.h` for what
happens without them.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Literal

from ares.toolchain.faults import ToolchainError
from ares.toolchain.process import run_process

WARNINGS = (
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wshadow",
    "-Werror",
)
COMMON = (
    "-std=c11",
    "-ffp-contract=off",
    *WARNINGS,
    "-ffunction-sections",
    "-fdata-sections",
)
# Kernels that no table of the network names are dropped. libm is for sqrtf alone.
LINK = ("-Wl,--gc-sections", "-lm")


@dataclass(frozen=True, slots=True)
class Machine:
    """The processor that a program runs on, and what runs it here.

    `runner` is a command prefix, empty where the host itself runs the program. `board` names the folder of
    runtime/boards with start-up code and linker script where there is no operating system; such a program gets its
    words and its files by semihosting.
    """

    name: str
    isa: str
    byte_order: Literal["little", "big"]
    pointer_bits: Literal[32, 64]
    runner: tuple[str, ...] = ()
    board: str | None = None

    def command(self, program: Path, words: Sequence[str]) -> tuple[str, ...]:
        """The command that runs a program with these words on its command line."""
        if self.board is not None:
            return (*self.runner, "-kernel", str(program), "-append", " ".join(words))
        return (*self.runner, str(program), *words)


@dataclass(frozen=True, slots=True)
class Target:
    """A compiler, its flags and the machine that runs the result.

    `compiler` and `archiver` are command prefixes. `flags` go to every command of the compiler, `link_flags` behind
    the inputs of the one that links. `install` says how to get all of them. `trace`: "full" has every tensor of
    every layer handed over, "digests" asks only for the first that is wrong. `guarded`: the arena is planned with
    gaps between its buffers, which sanitizers watch.
    """

    name: str
    family: Literal["gcc", "clang", "zig", "tcc"]
    compiler: tuple[str, ...]
    archiver: tuple[str, ...]
    flags: tuple[str, ...]
    link_flags: tuple[str, ...]
    description: str
    install: str
    machine: Machine
    run_environment: tuple[tuple[str, str], ...] = ()
    trace: Literal["full", "digests"] = "digests"
    guarded: bool = False
    default: bool = False

    def missing(self) -> str | None:
        """Why this target cannot be used here, and how to change that; None when it can."""
        for command in (self.compiler, self.archiver, self.machine.runner):
            if command and _resolve(command) is None:
                return f"{_what_is_missing(command)} ({self.install})"
        if self.family == "zig":
            return None  # brings all its parts; a trial would build its C library, half a minute
        resolved = _resolve(self.compiler)
        assert resolved is not None
        fault = _link_fault((resolved, *self.compiler[1:]), self.flags, self.link_flags)
        return (
            f"{self.compiler[0]} cannot build a program: {fault} ({self.install})"
            if fault
            else None
        )

    def compiler_identity(self) -> str:
        """Version and place of the compiler: builds by another one are other builds."""
        resolved = _resolve(self.compiler)
        if resolved is None:
            raise ToolchainError(f"{self.name}: {self.missing()}")
        arguments = ("-m", "ziglang", "version") if self.family == "zig" else ("--version",)
        return f"{self.family} {_first_line((resolved, *arguments))} at {resolved}"


def _zig_triple(machine: str) -> str:
    """The host, named as zig does. Without a -target zig means this very processor (-march=native)."""
    names = {"amd64": "x86_64", "arm64": "aarch64", "i686": "x86", "ppc64le": "powerpc64le"}
    return f"{names.get(machine.lower(), machine.lower())}-linux-musl"


HOST = Machine("host", platform.machine(), sys.byteorder, 64 if sys.maxsize > 2**32 else 32)

_GCC = "Debian: apt-get install gcc libc6-dev"
_ZIG = (sys.executable, "-m", "ziglang")

TARGETS = (
    Target(
        name="gcc-O2",
        family="gcc",
        compiler=("gcc",),
        archiver=("ar",),
        flags=("-O2", *COMMON),
        link_flags=LINK,
        description="the host's gcc, optimised",
        install=_GCC,
        machine=HOST,
        trace="full",
        default=True,
    ),
    Target(
        name="gcc-asan",
        family="gcc",
        compiler=("gcc",),
        archiver=("ar",),
        flags=(
            "-O1",
            "-g",
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=all",
            *COMMON,
        ),
        link_flags=LINK,
        description="the host's gcc with address and undefined-behaviour sanitizers",
        install=f"{_GCC}; Fedora: dnf install libasan libubsan",
        machine=HOST,
        trace="full",
        guarded=True,
        default=True,
        # Nothing is allocated, and the search for leaks fails where ptrace is forbidden (containers).
        run_environment=(
            ("ASAN_OPTIONS", "detect_leaks=0"),
            ("UBSAN_OPTIONS", "print_stacktrace=1"),
        ),
    ),
    Target(
        name="zig-O2",
        family="zig",
        compiler=(*_ZIG, "cc"),
        archiver=(*_ZIG, "ar"),
        # -O2 is not for speed alone: without any -O zig adds traps for undefined behaviour.
        flags=("-target", _zig_triple(platform.machine()), "-O2", *COMMON),
        link_flags=(*LINK, "-s"),
        description="clang, as zig brings it: where there is no system compiler",
        install="pip install ziglang",
        machine=HOST,
        trace="full",
        default=True,
    ),
)


def default_targets() -> tuple[Target, ...]:
    """The targets of a run that names none, installed or not."""
    return tuple(target for target in TARGETS if target.default)


def select(globs: Sequence[str]) -> tuple[Target, ...]:
    """The targets whose names match any of the patterns, in the order of the table.

    Raises ToolchainError for a pattern that matches none.
    """
    for glob in globs:
        if not any(fnmatchcase(target.name, glob) for target in TARGETS):
            known = ", ".join(target.name for target in TARGETS)
            raise ToolchainError(f"unknown target {glob!r}; known: {known}")
    return tuple(t for t in TARGETS if any(fnmatchcase(t.name, glob) for glob in globs))


def _resolve(command: Sequence[str]) -> str | None:
    """The path of a command's program, if all that it needs is there."""
    module = _python_module(command)
    if module is not None and importlib.util.find_spec(module) is None:
        return None
    return shutil.which(command[0])


def _what_is_missing(command: Sequence[str]) -> str:
    module = _python_module(command)
    if module is not None:
        return f"the Python package {module} is not installed"
    return f"{command[0]} is not on the PATH"


def _python_module(command: Sequence[str]) -> str | None:
    return command[2] if command[1:2] == ("-m",) else None


@lru_cache
def _first_line(command: tuple[str, ...]) -> str:
    finished = run_process(command, folder=Path(tempfile.gettempdir()), timeout=60)
    if finished.code != 0 or not finished.stdout.strip():
        raise ToolchainError(f"{' '.join(command)} does not tell its version")
    return finished.stdout.splitlines()[0].strip()


@lru_cache
def _link_fault(
    compiler: tuple[str, ...], flags: tuple[str, ...], link_flags: tuple[str, ...]
) -> str | None:
    """What keeps a compiler from linking the smallest program: no C library, no sanitizer library."""
    with tempfile.TemporaryDirectory(prefix="ares-") as name:
        folder = Path(name)
        (folder / "trial.c").write_text(
            '#include <stdio.h>\nint main(void)\n{\n    return puts("ok") < 0;\n}\n',
            encoding="utf-8",
        )
        command = (*compiler, *flags, "trial.c", *link_flags, "-o", "trial")
        finished = run_process(command, folder=folder, timeout=60)
        if finished.code == 0:
            return None
        lines = finished.stderr.splitlines() or ["no message"]
        return next((line for line in lines if "error" in line or "cannot" in line), lines[0])
