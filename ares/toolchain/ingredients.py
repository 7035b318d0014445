"""What goes into a build and into a run besides the project's files and the commands.

A compiler's version says nothing of its assembler, its linker, its libraries, or of the variables that add folders to
its search. Each is named here by what changes when it does: a file's place, size and time, a variable's value. They
are part of the key of everything that is kept (docs/soundness.md).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ares.toolchain.process import run_process

if TYPE_CHECKING:
    from ares.toolchain.target import Target

# Folders that compilers, their assemblers and linkers search, by the manuals of gcc, clang and ld.
_SEARCHED = (
    *("CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX"),
    *("LD_RUN_PATH", "SDKROOT", "ZIG_LIB_DIR"),
)
# What changes the output, or what runs, by its value.
_VALUES = (
    *("CCC_OVERRIDE_OPTIONS", "GCC_COMPARE_DEBUG", "GNUTARGET", "LDEMULATION", "SOURCE_DATE_EPOCH"),
    *("MACOSX_DEPLOYMENT_TARGET", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH"),
)
_PREFIXES = ("NIX_", "QEMU_")
# What gcc and clang start, and what they link with.
_TOOLS = ("cc1", "as", "collect2", "ld")
# Seconds for an answer that takes milliseconds.
_PATIENCE = 20.0
_LIBRARIES = ("libc.a", "libc.so", "libm.a", "libgcc.a", "crt1.o", "crt0.o")


def variables() -> tuple[str, ...]:
    """Every variable that is set and may change what is built or how it runs, and what its folders hold."""
    named = {*_SEARCHED, *_VALUES}
    chosen = sorted(n for n in os.environ if n in named or n.startswith(_PREFIXES))
    return tuple(
        fact
        for name in chosen
        for fact in (f"{name}={os.environ[name]}", *(_held(name) if name in _SEARCHED else ()))
    )


def build_ingredients(target: Target) -> tuple[str, ...]:
    """The tools, libraries and variables that a target's builds are made with."""
    compiler, archiver = _found(target.compiler[0]), _found(target.archiver[0])
    parts = _parts(target.family, compiler, (*target.compiler[1:], *target.flags))
    return (*variables(), file_fact(compiler), file_fact(archiver), *parts)


def run_ingredients(target: Target) -> tuple[str, ...]:
    """What a target's programs are run with."""
    runner = target.machine.runner
    return (*variables(), file_fact(_found(runner[0]) if runner else "no runner"))


def file_fact(path: str | Path) -> str:
    """A file by its place, size and time of change, as `make` knows it; links are followed."""
    try:
        facts = os.stat(path)
    except OSError:
        return f"{path} absent"
    return f"{os.path.realpath(path)} {facts.st_size} {facts.st_mtime_ns}"


def _parts(family: str, compiler: str, flags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(file_fact, _part_paths(family, compiler, flags)))


@lru_cache
def _part_paths(family: str, compiler: str, flags: tuple[str, ...]) -> tuple[str, ...]:
    if family == "zig":
        package = importlib.util.find_spec("ziglang")
        place = Path(package.origin).parent if package and package.origin else Path(compiler)
        return tuple(sorted(map(str, place.glob("zig*"))))
    if family == "tcc":
        return tuple(_tcc_paths(_answer((compiler, "-print-search-dirs")) or ""))
    asked = [
        *(f"-print-prog-name={name}" for name in _TOOLS),
        *(f"-print-file-name={name}" for name in _LIBRARIES),
    ]
    paths: list[str] = []
    for question in asked:
        answer = _answer((compiler, *flags, question))
        if answer is None:
            break  # nor does it build: that says what is wrong
        # A tool without folder is looked for on the PATH; a library without is not there.
        paths.append(_found(answer))
    return tuple(paths)


def _found(command: str) -> str:
    return shutil.which(command) or command


def _tcc_paths(answer: str) -> Iterator[str]:
    for line in answer.splitlines():
        path = Path(line.strip())
        if path.suffix in (".a", ".o"):
            yield str(path)
        elif line.startswith(" "):
            yield from (str(path / name) for name in ("libc.a", "libc.so", "crt1.o"))


def _answer(command: tuple[str, ...]) -> str | None:
    """What a compiler says of itself; None when it does not come to an end."""
    with tempfile.TemporaryDirectory(prefix="ares-") as folder:
        try:
            finished = run_process(command, folder=Path(folder), timeout=_PATIENCE)
        except OSError:
            return None
    return None if finished.code is None else finished.stdout.strip()


def _held(name: str) -> Iterable[str]:
    """The files in the folders of a variable."""
    for folder in filter(None, os.environ[name].split(os.pathsep)):
        yield from _files_below(folder)


@lru_cache
def _files_below(folder: str) -> tuple[str, ...]:
    facts: list[str] = []
    for place, folders, files in os.walk(folder):
        folders.sort()
        facts += [file_fact(os.path.join(place, file)) for file in sorted(files)]
    return tuple(facts)
