"""`build`: compile a generated project for a target, once.

The runtime (everything under `runtime/` in the project) becomes a static library, made once per target
for all networks; a network adds its own sources and the tracing program. All of that is said once, in a `Recipe`. Both
are cached by content: a key is made of the files, of the very command lines, of the compiler's version and place, and
of its tools, libraries and variables. A program's key is also its signature, which it prints first, so that a stale
binary cannot pass for another.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ares.ir import Binary, Project, Recipe, content_digest
from ares.toolchain.boards import link_flags, overflow, with_board_files
from ares.toolchain.cache import Cache, open_cache
from ares.toolchain.faults import BuildFailure, BuildFault, TooLarge, ToolchainError
from ares.toolchain.ingredients import build_ingredients
from ares.toolchain.process import run_process
from ares.toolchain.target import Target

LIBRARY = "libares.a"
PROGRAM = "program"
COMPILE_TIMEOUT = 1800.0

# How compilers speak of themselves when it is they that failed.
_CRASH = re.compile(
    r"internal compiler error|signal terminated program|PLEASE submit a bug report"
    r"|clang frontend command failed|Segmentation fault|core dumped"
)
_FULL = "No space left on device"
_ONE_LIBC = threading.Lock()
LIBC_WORDS = "zig builds a C library for it, once on this machine: about a minute"
"""What `progress` is told before the one step that takes long."""

_Command = tuple[str, ...]


def build(
    project: Project,
    target: Target,
    *,
    progress: Callable[[str], None] | None = None,
    since: float = 0.0,
) -> Binary:
    """The tracing program of a project, from the cache or newly compiled.

    What was compiled before `since` (seconds of the epoch) is compiled again. `progress` is told in a sentence about
    every step that takes time. Raises BuildFailure when a compiler refuses the project, ToolchainError when the target
    cannot be used here.
    """
    missing = target.missing()
    if missing is not None:
        raise ToolchainError(f"{target.name}: {missing}")
    workshop = _Workshop(open_cache(), target, progress, since)
    recipe = recipe_of(project, target)
    library = workshop.library(recipe)
    return Binary(workshop.program(project.name, recipe, library), recipe)


def prepare(
    project: Project,
    target: Target,
    progress: Callable[[str], None] | None = None,
    since: float = 0.0,
) -> None:
    """Make what all programs of a target share: the library of the runtime and, with zig, the C library.

    Raises as `build` does. Doing it first keeps several processes from waiting for one another.
    """
    workshop = _Workshop(open_cache(), target, progress, since)
    workshop.library(recipe_of(project, target))
    workshop.libc()


def runtime_library(recipe: Recipe, target: Target) -> Path:
    """The library of a recipe's runtime, from the cache or newly compiled; raises as `build` does."""
    return _Workshop(open_cache(), target, None, 0.0).library(recipe)


def execute(target: Target, key: str, commands: Sequence[_Command], work: Path) -> None:
    """Run commands of a target's compiler in a folder below the cache's.

    Raises BuildFailure, and moves the folder to where it is kept under the key.
    """
    _Workshop(open_cache(), target, None, 0.0)._execute(key, tuple(commands), work)


def recipe_of(project: Project, target: Target) -> Recipe:
    """How this project is built for this target, by the compiler that is here; raises ToolchainError if none is."""
    board = target.machine.board
    files = project.files if board is None else with_board_files(project.files, board)
    runtime = _runtime(files)
    include = _include_flags(files)
    library = _library_commands(runtime, target)
    compiler = target.compiler_identity()
    made_with = [target.name, compiler, build_ingredients(target)]
    unsigned = _program_command(project, target, include, signature="")
    signature = _key([*made_with, (*library, unsigned), content_digest(files)])
    return Recipe(
        target=target.name,
        compiler=compiler,
        files=files,
        library=library,
        library_key=_key([*made_with, library, content_digest(runtime)]),
        program=_program_command(project, target, include, signature),
        signature=signature,
    )


def failed_part(recipe: Recipe, failure: BuildFailure) -> Recipe:
    """The one command that failed, and in the files the library if it takes that."""
    library = failure.folder / LIBRARY
    needed = LIBRARY in failure.command and library.is_file()
    made = {LIBRARY: library.read_bytes()} if needed else {}
    files = {**recipe.files, **made}
    return replace(recipe, files=files, library=(), program=failure.command, whole=False)


@dataclass(frozen=True, slots=True)
class _Workshop:
    """Makes libraries and programs for one target."""

    cache: Cache
    target: Target
    progress: Callable[[str], None] | None
    since: float

    def library(self, recipe: Recipe) -> Path:
        name, key = f"library-{self.target.name}", recipe.library_key

        def make(work: Path) -> None:
            self._tell("compiling the runtime")
            write_files(_runtime(recipe.files), work)
            self._execute(key, recipe.library, work)

        return self.cache.obtain(name, key, LIBRARY, make, self.since)

    def program(self, network: str, recipe: Recipe, library: Path) -> Path:
        self.libc()
        name, key = f"program-{self.target.name}", recipe.signature

        def make(work: Path) -> None:
            self._tell(f"compiling {network}")
            write_files(recipe.files, work)
            (work / LIBRARY).symlink_to(library)
            self._execute(key, (recipe.program,), work)

        return self.cache.obtain(name, key, PROGRAM, make, self.since)

    def libc(self) -> None:
        """Have zig build the C library of the target, once; one at a time, for each of them takes all cores."""
        marker = self._libc_marker()
        if marker is None or marker.exists():
            return
        with _ONE_LIBC:
            if not marker.exists():
                self._build_libc(marker)

    def _build_libc(self, marker: Path) -> None:
        self._tell(LIBC_WORDS)
        command = (*self.target.compiler, *self.target.flags, "trial.c", *self.target.link_flags)

        def make(work: Path) -> None:
            write_files({"trial.c": b"int main(void)\n{\n    return 0;\n}\n"}, work)
            self._execute(key, ((*command, "-o", PROGRAM),), work)

        key = hashlib.sha256(marker.name.encode()).hexdigest()[:32]
        self.cache.obtain(f"trial-{self.target.name}", key, PROGRAM, make)
        marker.touch()

    def _execute(self, key: str, commands: tuple[_Command, ...], work: Path) -> None:
        environment: dict[str, str] = {}
        if self.target.family == "zig":
            # Its C libraries are kept; its own cache of our objects would only grow.
            environment["ZIG_GLOBAL_CACHE_DIR"] = str(self._zig_folder())
            environment["ZIG_LOCAL_CACHE_DIR"] = str(work / ".zig-cache")
        for command in commands:
            fault = _run_compiler(command, work, environment)
            if fault is not None:
                kept = self.cache.keep_failed(key, work)
                raise _failure(self.target, command, kept, *fault)

    def _tell(self, what: str) -> None:
        if self.progress is not None:
            self.progress(f"{self.target.name}: {what}")

    def _zig_folder(self) -> Path:
        own = os.environ.get("ZIG_GLOBAL_CACHE_DIR")
        return Path(own).absolute() if own else self.cache.root / "zig"

    def _libc_marker(self) -> Path | None:
        """A file that is there once zig has built the C library of the target; None for other compilers."""
        if self.target.family != "zig":
            return None
        target = self.target
        parts = (target.flags, target.link_flags, build_ingredients(target))
        facts = [target.compiler_identity(), *parts]
        name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
        return self._zig_folder() / f"ares-libc-{name}"


def _run_compiler(
    command: _Command, work: Path, environment: Mapping[str, str]
) -> tuple[str, BuildFault] | None:
    """What went wrong, in the compiler's own words where it has any, and the kind of fault."""
    try:
        finished = run_process(
            command, folder=work, timeout=COMPILE_TIMEOUT, environment=environment
        )
    except OSError as error:
        kind: BuildFault = "disk full" if error.errno == errno.ENOSPC else "missing tool"
        return f"cannot start {command[0]}: {error.strerror}", kind
    if finished.code == 0:
        missing = [name for name in _products(command) if not (work / name).exists()]
        return (f"it ended well and wrote no {missing[0]}", "compiler crash") if missing else None
    if finished.code is None:
        return f"stopped after {COMPILE_TIMEOUT:g} s\n{finished.stderr}", "timeout"
    words = finished.stderr.strip() or f"no message, exit code {finished.code}"
    if _FULL in words:
        return words, "disk full"
    if finished.code < 0 or _CRASH.search(words):
        return words, "compiler crash"
    return words, "build"


def _failure(
    target: Target, command: _Command, folder: Path, words: str, kind: BuildFault
) -> BuildFailure:
    """The failure by its name: a linker says in its own words that a board's memory is too small."""
    board = target.machine.board
    over = overflow(board, words) if board is not None else None
    if board is None or over is None:
        return BuildFailure(target.name, command, folder, words, kind)
    return TooLarge(
        target.name, command, folder, words, over.region, over.needed, over.available, board
    )


def _products(command: _Command) -> Iterator[str]:
    """What a command must leave behind: the word after -o, or an archive."""
    for position, word in enumerate(command[:-1]):
        if word in ("-o", "rcs"):
            yield command[position + 1]


def _key(facts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _runtime(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {path: content for path, content in files.items() if path.startswith("runtime/")}


def _library_commands(runtime: Mapping[str, bytes], target: Target) -> tuple[_Command, ...]:
    """One command per source: `zig cc -c a.c b.c` compiles the first file only, and says nothing."""
    sources = sorted(path for path in runtime if path.endswith(".c"))
    objects = [path.removesuffix(".c").replace("/", "-") + ".o" for path in sources]
    include = _include_flags(runtime)
    return (
        *(
            (*target.compiler, *target.flags, *include, "-c", source, "-o", built)
            for source, built in zip(sources, objects, strict=True)
        ),
        (*target.archiver, "rcs", LIBRARY, *objects),
    )


def _program_command(
    project: Project, target: Target, include: tuple[str, ...], signature: str
) -> _Command:
    """Compile and link in one command: starting a compiler costs more than compiling a small network."""
    board = target.machine.board
    return (
        *target.compiler,
        *target.flags,
        f'-DARES_SIGNATURE="{signature}"',
        *include,
        *project.sources,
        project.main,
        LIBRARY,
        *target.link_flags,
        *(link_flags(board) if board is not None else ()),
        "-o",
        PROGRAM,
    )


def _include_flags(files: Mapping[str, bytes]) -> tuple[str, ...]:
    folders = {str(PurePosixPath(path).parent) for path in files if path.endswith(".h")}
    return tuple(f"-I{folder}" for folder in sorted(folders))


def write_files(files: Mapping[str, bytes], work: Path) -> None:
    """Lay a project's files into a folder; raises ToolchainError for one that would lie outside."""
    for name, content in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ToolchainError(f"a project's file may not lie outside the project: {name}")
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_bytes(content)
