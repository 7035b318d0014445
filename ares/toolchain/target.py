"""What a target is: a compiler, its flags and the machine that runs the result, and whether it can be used here.

The rows stand in `ares/toolchain/targets.py`. Which flags and why: docs/numerics.md (N9), and
`runtime/inc/float_probe.h` for what happens without them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from ares.toolchain.faults import ToolchainError
from ares.toolchain.process import run_process
from ares.toolchain.processors import NATIVE, host_digest, host_lacks, native_instruction_set

Family = Literal["gcc", "clang", "zig", "tcc"]
Order = Literal["little", "big"]
Char = Literal["signed", "unsigned"]
Unknown = Literal["unknown"]
"""Of a target of somebody's own whose compiler is not there to be asked; the width of its pointers is 0."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What must be installed: commands on the PATH and Python modules, and the packages that bring them."""

    commands: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    debian: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()

    def __add__(self, other: Needs) -> Needs:
        return Needs(
            _union(self.commands, other.commands),
            _union(self.modules, other.modules),
            _union(self.debian, other.debian),
            _union(self.pip, other.pip),
        )

    def absent(self) -> str | None:
        """The first thing that is not there."""
        for command in self.commands:
            if shutil.which(command) is None:
                return f"{command} is not on the PATH"
        for module in self.modules:
            if importlib.util.find_spec(module) is None:
                return f"the Python package {module} is not installed"
        return None

    @property
    def advice(self) -> str:
        """How to get everything."""
        parts = []
        if self.debian:
            parts.append(f"Debian: apt-get install {' '.join(self.debian)}")
        if self.pip:
            parts.append(f"pip install {' '.join(self.pip)}")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Machine:
    """The processor that a program runs on, and what runs it here.

    `runner` is a command prefix, empty where the host itself runs the program. `board` names the
    linker script (runtime/boards/<family>/<board>.ld, with start-up code beside it) where there is no operating system;
    such a program gets its words and its files by semihosting. `tells_version`: the runner knows `--version`,
    which a script of somebody's own need not.
    """

    name: str
    isa: str
    byte_order: Order | Unknown
    pointer_bits: Literal[0, 32, 64]
    char: Char | Unknown = "signed"
    runner: tuple[str, ...] = ()
    board: str | None = None
    needs: Needs = Needs()
    tells_version: bool = True

    def command(self, program: Path, words: Sequence[str]) -> tuple[str, ...]:
        """The command that runs a program with these words on its command line."""
        if self.board is not None:
            return (*self.runner, "-kernel", str(program), "-append", " ".join(words))
        return (*self.runner, str(program), *words)

    def identity(self) -> str:
        """What runs the program, to the version: results of another one are other results."""
        if not self.runner:
            return f"{self.name} {host_digest()}"
        packages = [f"{name} {importlib.metadata.version(name)}" for name in self.needs.pip]
        if packages:
            return f"{self.name} {' '.join(packages)}"
        if not self.tells_version:
            return f"{self.name} {' '.join(self.runner)}"
        version = _first_line((_resolved(self.runner[0]), "--version"))
        return f"{self.name} {' '.join(self.runner[1:])} {version}"


@dataclass(frozen=True, slots=True)
class Target:
    """A compiler, its flags and the machine that runs the result.

    `compiler` and `archiver` are command prefixes. `flags` go to every command of the compiler, `link_flags` behind
    the inputs of the one that links. `trace`: "full" has every tensor of every layer handed over, "digests" asks
    only for the first that is wrong. `guarded`: the arena is planned with gaps between its buffers, which
    sanitizers watch. `instruction_set`: whose micro-kernels its programs run (ares_instruction_set), NATIVE for the
    best of this machine's, None where nobody says (targets of somebody's own). `features`: what this machine's
    processor must have, as the system names it. `unusable`: why a target of somebody's own was found not to work here.
    """

    name: str
    family: Family
    compiler: tuple[str, ...]
    archiver: tuple[str, ...]
    flags: tuple[str, ...]
    link_flags: tuple[str, ...]
    description: str
    machine: Machine
    needs: Needs
    run_environment: tuple[tuple[str, str], ...] = ()
    trace: Literal["full", "digests"] = "digests"
    guarded: bool = False
    default: bool = False
    instruction_set: str | None = None
    features: tuple[str, ...] = ()
    unusable: str = ""

    @property
    def stage(self) -> str:
        """The stage of the C that is built for it, as verdicts name it."""
        return f"c[{self.name}]"

    @property
    def install(self) -> str:
        """How to get compiler and runner."""
        return (self.needs + self.machine.needs).advice

    @property
    def facets(self) -> Mapping[str, str]:
        """What a fault may depend on, in words: kind of fact -> this target's."""
        levels = [flag for flag in self.flags if flag.startswith("-O")]
        char = "unsigned" if "-funsigned-char" in self.flags else self.machine.char
        return {
            "byte order": f"{self.machine.byte_order}-endian",
            "pointers": f"{32 if '-m32' in self.flags else self.machine.pointer_bits}-bit pointers",
            "char": f"{char} char",
            "compiler": f"built by {self.family}",
            "processor": self.machine.isa,
            "micro-kernels": f"{self.must_run or 'any'} micro-kernels",
            "optimisation": levels[-1] if levels else "-O0",
            "libraries": "no operating system" if self.machine.board else "hosted",
        }

    @property
    def must_run(self) -> str | None:
        """The instruction set whose micro-kernels a program must say that it runs; None: any."""
        if self.instruction_set == NATIVE:
            return native_instruction_set()
        return self.instruction_set

    def lacking(self) -> str | None:
        """Why this machine's processor cannot run its programs, which nothing that could be installed changes."""
        absent = host_lacks(self.features)
        return f"this machine's processor has no {absent}" if absent else None

    def missing(self) -> str | None:
        """Why this target cannot be used here, and how to change that; None when it can."""
        lacking = self.lacking()
        if lacking is not None:
            return lacking
        fault = self._fault()
        return f"{fault} ({self.install})" if fault and self.install else fault

    def _fault(self) -> str | None:
        if self.unusable:
            return self.unusable
        absent = (self.needs + self.machine.needs).absent() or self._mute()
        if absent is not None:
            return absent
        if self.family == "zig" or self.machine.board is not None:
            # zig brings all its parts, and a trial would build its C library, half a minute; on a board the
            # only library is the compiler's own.
            return None
        try:
            fault = _link_fault(
                (_resolved(self.compiler[0]), *self.compiler[1:]), self.flags, self.link_flags
            )
        except OSError as error:
            return f"cannot start {self.compiler[0]}: {error.strerror}"
        return f"{self.compiler[0]} cannot build a program: {fault}" if fault else None

    def _mute(self) -> str | None:
        """Why compiler or runner cannot be told from another version of it: they do not run."""
        try:
            self.compiler_identity()
            self.machine.identity()
        except ToolchainError as error:
            return str(error)
        return None

    def compiler_identity(self) -> str:
        """Version and place of the compiler: builds by another one are other builds."""
        absent = (self.needs + self.machine.needs).absent()
        if absent is not None:
            raise ToolchainError(f"{self.name}: {absent} ({self.install})")
        resolved = _resolved(self.compiler[0])
        command = (resolved, *self.compiler[1:])
        # Of zig the last word is `cc`.
        asked = {"zig": (*command[:-1], "version"), "tcc": (*command, "-v")}
        version = _first_line(asked.get(self.family, (*command, "--version")))
        native = f" for {host_digest()}" if "-march=native" in self.flags else ""
        return f"{self.family} {version} at {resolved}{native}"


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _resolved(command: str) -> str:
    """The path of a command that is known to be there."""
    path = shutil.which(command)
    if path is None:
        raise ToolchainError(f"{command} is not on the PATH")
    return path


@lru_cache
def _first_line(command: tuple[str, ...]) -> str:
    try:
        # An empty folder: tools may take what lies in the current one for theirs.
        with tempfile.TemporaryDirectory(prefix="ares-") as name:
            finished = run_process(command, folder=Path(name), timeout=60)
    except OSError as error:
        raise ToolchainError(f"cannot start {command[0]}: {error.strerror}") from error
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
