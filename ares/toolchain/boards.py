"""Boards without an operating system: the files that a program for one needs, and whether it fits.

`runtime/boards` has `common/` (C library functions, semihosting, the order of memory) and a folder for each family
of processors with its start-up code and one `<board>.ld` a board. A generated project holds none of this: `build`
adds it, in place of the C library's input and output.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ares.resources import runtime_dir
from ares.toolchain.faults import ToolchainError

_FOLDER = "runtime/boards"
# What the board's own input and output, and its start-up code, take the place of.
_HOSTED = ("runtime/trace/stack_unknown.c", "runtime/trace/trace_stdio.c")
_REGION = re.compile(
    r"^\s*(\w+)\s*\([^)]*\)\s*:\s*ORIGIN\s*=\s*\w+\s*,\s*LENGTH\s*=\s*(\d+)([KM])\s*$",
    re.MULTILINE,
)
_OVERFLOW = re.compile(r"region [`'](\w+)' overflowed by (\d+) bytes")
_UNITS = {"K": 2**10, "M": 2**20}


@dataclass(frozen=True, slots=True)
class Overflow:
    """A region of a board's memory that is too small, in bytes."""

    region: str
    needed: int
    available: int


def with_board_files(files: Mapping[str, bytes], board: str) -> dict[str, bytes]:
    """The files of a project, made for a board: `runtime/...` -> content."""
    kept = {path: content for path, content in files.items() if path not in _HOSTED}
    return {**kept, **_files(board)}


def link_flags(board: str) -> tuple[str, ...]:
    """What the linker must be told, behind all inputs; paths are relative to the project.

    The compiler's own library holds the arithmetic that the processor has no instructions for.
    """
    folders = (f"{_FOLDER}/common", f"{_FOLDER}/{_script(board).parent.name}")
    return (
        "-nostdlib",
        *(f"-Wl,-L{folder}" for folder in folders),
        f"-Wl,-T,{board}.ld",
        "-Wl,-T,sections.ld",
        "-lgcc",
    )


def regions(board: str) -> dict[str, int]:
    """Bytes of every region of memory that a board's linker script names."""
    text = _script(board).read_text(encoding="utf-8")
    return {name: int(count) * _UNITS[unit] for name, count, unit in _REGION.findall(text)}


def overflow(board: str, message: str) -> Overflow | None:
    """The region that the linker says is too small; None when it says something else."""
    found = _OVERFLOW.search(message)
    if found is None:
        return None
    available = regions(board)[found[1]]
    return Overflow(found[1], available + int(found[2]), available)


def family(board: str) -> str:
    """The folder of a board's start-up code: the processors that it serves."""
    return _script(board).parent.name


def board_names() -> tuple[str, ...]:
    """The boards that there is start-up code for."""
    return tuple(sorted(_scripts()))


def _scripts() -> dict[str, Path]:
    folder = runtime_dir() / "boards"
    return {path.stem: path for path in folder.glob("*/*.ld") if path.parent.name != "common"}


def _script(board: str) -> Path:
    scripts = _scripts()
    if board not in scripts:
        raise ToolchainError(f"unknown board {board!r}; known: {', '.join(sorted(scripts))}")
    return scripts[board]


@lru_cache
def _files(board: str) -> Mapping[str, bytes]:
    """Read once: what a process compiles for a board and what it says that it compiled are the same."""
    script = _script(board)
    common, family = script.parent.parent / "common", script.parent
    paths = [*common.iterdir(), *family.glob("*.[ch]"), script]
    return {f"{_FOLDER}/{path.parent.name}/{path.name}": path.read_bytes() for path in paths}
