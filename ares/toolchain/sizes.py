"""How many bytes of a program a network takes, by the linker's own map: its functions and kernels, its constants.

Counted are the network's generated files, the kernels that the linker kept, and what the compiler's own library adds.
Not counted: the main program, its bench or tracing, a board's start-up code, a C library.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ares.ir import Binary, Project
from ares.toolchain.build import LIBRARY, PROGRAM, write_files
from ares.toolchain.cache import open_cache
from ares.toolchain.process import run_process
from ares.toolchain.target import Target

_MAP = "program.map"
_TIMEOUT = 600.0
_START = "Linker script and memory map"
_LOADED = re.compile(r"^LOAD (.+)$", re.MULTILINE)
# An input section: a long name has a line of its own.
_SECTION = re.compile(r"^ (\.[^\s]+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+) ([^\s].*)$", re.MULTILINE)
_CODE = (".text",)
_CONSTANTS = (".rodata", ".srodata", ".data.rel.ro")
_KERNEL = f"{LIBRARY}(runtime-src-"
_COMPILERS = "libgcc.a("


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of machine code, and of constants: weights, tables of layers, parameters."""

    code: int
    constants: int


def sizes(binary: Binary, project: Project, target: Target) -> Sizes | str:
    """The sizes of a built program, or why they are not known."""
    if target.family not in ("gcc", "clang"):
        return f"the linker of {target.family} writes no map that is read here"
    if "-flto" in target.flags:
        return "link-time optimisation leaves no files to tell apart"
    recipe = binary.recipe
    library = open_cache().find(f"library-{target.name}", recipe.library_key, LIBRARY)
    if library is None:
        return "the library of kernels is gone from the cache"
    command = (*recipe.program[:-2], f"-Wl,-Map={_MAP}", "-o", PROGRAM)
    with tempfile.TemporaryDirectory(prefix="ares-sizes-") as name:
        folder = Path(name)
        write_files(recipe.files, folder)
        (folder / LIBRARY).symlink_to(library)
        finished = run_process(command, folder=folder, timeout=_TIMEOUT)
        if finished.code != 0 or not (folder / _MAP).is_file():
            return "the linker writes no map"
        text = (folder / _MAP).read_text(encoding="utf-8", errors="replace")
    return read_map(text, len(project.sources))


def read_map(text: str, sources: int) -> Sizes | str:
    """The sizes that a map of GNU ld tells; the network's `sources` are linked first, then its main program."""
    _, found, memory = text.partition(_START)
    loaded = _LOADED.findall(memory)
    if not found or LIBRARY not in loaded:
        return "the linker's map is of another kind"
    last = loaded.index(LIBRARY) - 1
    own = loaded[last - sources : last]
    code = constants = 0
    for section, size, file in _sections(memory):
        if file in own or file.startswith(_KERNEL) or _COMPILERS in file:
            code += size if section.startswith(_CODE) else 0
            constants += size if section.startswith(_CONSTANTS) else 0
    return Sizes(code, constants)


def _sections(memory: str) -> Iterator[tuple[str, int, str]]:
    joined = re.sub(r"^( \.[^\s]+)\n\s+0x", r"\1 0x", memory, flags=re.MULTILINE)
    for section, size, file in _SECTION.findall(joined):
        yield section, int(size, 16), file
