"""`run_batch`: many small networks in one shared library, run in one process; a crash costs its case and no other.

The kernels come from the target's own library of the runtime, by its compiler and flags, linked once into a program
that stays (`runtime/batch`). A batch compiles only the tables and tracing programs of its networks, one source each,
without optimisation: there is nothing in them to optimise, and the bytes of tables are the same whoever writes them.
Where the target's flags change no layout, the quickest compiler does that (tcc); with sanitizers it is the
target's own, so that tables are watched too. What a run prints is read as `run` reads it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy.typing as npt

from ares.ir import Project, Trace
from ares.resources import runtime_dir
from ares.toolchain.build import LIBRARY, build, execute, recipe_of, runtime_library, write_files
from ares.toolchain.cache import open_cache
from ares.toolchain.faults import BuildFailure, RunFailure, ToolchainError
from ares.toolchain.process import Finished, run_process
from ares.toolchain.run import Mode, case_bytes, due_lines, read_run, run, traces_of
from ares.toolchain.target import Target

HOST = "batch"
SHARED = "batch.so"
_SOURCE = "runtime/batch/batch.c"
_BEGIN, _END = "ares-batch begin\n", re.compile(r"^ares-batch end (-?\d+)\n", re.MULTILINE)
_NOT_LOADED = 90  # BATCH_LIBRARY
_ALARM = -14  # SIGALRM
# Flags that change neither the size nor the place of anything in a table.
_HARMLESS = re.compile(
    r"-O\w+|-std=c11|-std=gnu11|-W[\w-]*|-D\w+|-ffp-contract=\w+|-f(function|data)-sections"
    r"|-funsigned-char|-fwrapv|-flto|-march=[\w-]+|-mavx512vnni"
)
_PATIENCE = 30.0

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """A network and the cases that it is to run: one array for each input, in PyTorch's order."""

    project: Project
    cases: Sequence[Sequence[Array]]


@dataclass(frozen=True, slots=True, eq=False)
class Ran:
    """What became of a Work: of each case a Trace with every tensor, or the failure; the same without an observer.

    `unobserved` is empty where it was not asked for. Both are empty where a compiler refused the network: `refused`.
    """

    traces: tuple[Trace | RunFailure, ...] = ()
    unobserved: tuple[Trace | RunFailure, ...] = ()
    refused: BuildFailure | None = None


def run_batch(
    works: Sequence[Work], target: Target, *, timeout: float = 60.0, unobserved: bool = False
) -> tuple[Ran, ...]:
    """Build and run networks on a target, each on its cases, whatever becomes of the others.

    In one library where that can be done (`why_apart`), else one by one. `timeout`: seconds for all cases of one
    network. `unobserved`: a second run, which nobody observes. Raises ToolchainError for a target that cannot be used
    here, and for cases that do not fit.
    """
    missing = target.missing()
    if missing is not None:
        raise ToolchainError(f"{target.name}: {missing}")
    for work in works:
        if not work.cases:
            raise ToolchainError(f"{work.project.name}: nothing to run, there is no case")
    if why_apart(target) is not None:
        return tuple(_apart(work, target, timeout, unobserved) for work in works)
    found: dict[int, Ran] = {}
    for group in _of_one_runtime(works):
        found.update(_built([(k, works[k]) for k in group], target, timeout, unobserved))
    return tuple(found[number] for number in range(len(works)))


def why_apart(target: Target) -> str | None:
    """Why the networks of a batch must be programs of their own on this target; None where they need not."""
    if target.machine.runner or target.machine.board is not None:
        return f"{target.name} runs in {target.machine.name}, which loads no library of ours"
    if target.family == "zig":
        return f"{target.name} links its programs statically"
    return None


def tables_compiler(target: Target) -> tuple[str, ...]:
    """The command that compiles tables into a shared library for a target."""
    own = tuple(flag for flag in target.flags if not re.fullmatch(r"-O\w+|-g", flag))
    harmless = all(_HARMLESS.fullmatch(flag) for flag in target.flags)
    if target.family != "tcc" and (not harmless or target.guarded or shutil.which("tcc") is None):
        return (*target.compiler, *own, "-O0", "-fPIC", "-shared")
    defines = tuple(flag for flag in own if flag.startswith("-D"))
    return ("tcc", "-std=c11", "-Wall", "-Werror", *defines, "-shared")


def _apart(work: Work, target: Target, timeout: float, unobserved: bool) -> Ran:
    """The same by a program of its own."""
    try:
        binary = build(work.project, target)
    except BuildFailure as error:
        return Ran(refused=error)

    def traces(mode: Mode) -> tuple[Trace | RunFailure, ...]:
        def some(cases: Sequence[Sequence[Array]]) -> tuple[Trace, ...]:
            return run(binary, work.project, cases, mode=mode, timeout=timeout, target=target)

        try:
            return some(work.cases)
        except RunFailure as error:
            if len(work.cases) == 1:
                return (error,)
        found: list[Trace | RunFailure] = []
        for case in work.cases:
            try:
                found += some([case])
            except RunFailure as error:
                found.append(error)
        return tuple(found)

    return Ran(traces("full"), traces("outputs") if unobserved else ())


def _of_one_runtime(works: Sequence[Work]) -> list[list[int]]:
    """The numbers of works whose projects have the same runtime: the kernels of a batch are one program."""
    groups: list[tuple[dict[str, bytes], list[int]]] = []
    for number, work in enumerate(works):
        files = work.project.files
        runtime = {path: files[path] for path in files if path.startswith("runtime/")}
        for other, numbers in groups:
            if runtime == other:
                numbers.append(number)
                break
        else:
            groups.append((runtime, [number]))
    return [numbers for _, numbers in groups]


def _built(
    works: Sequence[tuple[int, Work]], target: Target, timeout: float, unobserved: bool
) -> dict[int, Ran]:
    """Works of one runtime. One that a compiler refuses is found by halves."""
    root = open_cache().root / "staging"
    root.mkdir(parents=True, exist_ok=True)
    host, key = _host(works[0][1].project, target)
    with tempfile.TemporaryDirectory(dir=root, ignore_cleanup_errors=True) as name:
        folder = Path(name, "work")
        folder.mkdir()
        batch = _Batch(host, folder, target, timeout)
        try:
            signatures = _compile(works, target, key, folder)
            modes: tuple[Mode, ...] = ("full", "outputs") if unobserved else ("full",)
            pieces = [
                _Piece(place, work, signatures[place], mode, range(len(work.cases)))
                for mode in modes
                for place, (_, work) in enumerate(works)
            ]
            batch.run(pieces)
        except BuildFailure as error:
            if len(works) == 1:
                return {works[0][0]: Ran(refused=error)}
            middle = len(works) // 2
            return {
                **_built(works[:middle], target, timeout, unobserved),
                **_built(works[middle:], target, timeout, unobserved),
            }
    return {
        number: Ran(
            batch.ends_of(place, work, "full"),
            batch.ends_of(place, work, "outputs") if unobserved else (),
        )
        for place, (number, work) in enumerate(works)
    }


def _host(project: Project, target: Target) -> tuple[Path, str]:
    """The program that holds the kernels of a target and runs libraries, kept by content; and its key."""
    recipe = recipe_of(project, target)
    source = (runtime_dir() / "batch" / "batch.c").read_bytes()
    whole = ("-Wl,--whole-archive", LIBRARY, "-Wl,--no-whole-archive")
    kept = tuple(flag for flag in target.link_flags if flag != "-Wl,--gc-sections")
    command = (
        *(*target.compiler, *target.flags, _SOURCE, *whole),
        *(*kept, "-rdynamic", "-ldl", "-o", HOST),
    )
    facts = [recipe.library_key, command, hashlib.sha256(source).hexdigest()]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]

    def make(work: Path) -> None:
        write_files({_SOURCE: source}, work)
        (work / LIBRARY).symlink_to(runtime_library(recipe, target))
        execute(target, key, (command,), work)

    return open_cache().obtain(f"batch-{target.name}", key, HOST, make), key


def _compile(
    works: Sequence[tuple[int, Work]], target: Target, host: str, folder: Path
) -> list[str]:
    """Make the shared library of a batch in a folder; the signature of each network."""
    compiler = tables_compiler(target)
    files = {
        path: content
        for path, content in works[0][1].project.files.items()
        if path.startswith("runtime/") and path.endswith(".h")
    }
    signatures, sources = [], []
    for place, (_, work) in enumerate(works):
        facts = json.dumps([host, compiler, work.project.digest])
        signatures.append(hashlib.sha256(facts.encode()).hexdigest()[:32])
        files.update(_unit(place, work.project, signatures[-1]))
        sources.append(f"unit{place}.c")
    write_files(files, folder)
    include = sorted({str(PurePosixPath(path).parent) for path in files if path.endswith(".h")})
    flags = [f"-I{path}" for path in (".", *include) if not path.startswith("unit")]
    command = (*compiler, *flags, *sources, "-o", SHARED)
    key = hashlib.sha256("".join(signatures).encode()).hexdigest()[:32]
    execute(target, key, (command,), folder)
    return signatures


def _unit(place: int, project: Project, signature: str) -> Iterator[tuple[str, bytes]]:
    """The files of one network: its own in a folder, and a source that makes them one, with names of its own."""
    named = [*project.sources, project.main]
    headers = [path for path in project.files if path.endswith(".h") and "/" not in path]
    if any("/" in path for path in named):
        raise ToolchainError(f"{project.name}: its sources lie in folders: {', '.join(named)}")
    stem = project.sources[0].removesuffix(".c")
    ours = re.compile(rf"\b{re.escape(stem)}_\w+\b(?!\.h)")
    names = {word for path in headers for word in ours.findall(project.files[path].decode())}
    lines = [
        *(f"#define {name} unit{place}_{name}" for name in sorted(names)),
        f'#define ARES_SIGNATURE "{signature}"',
        f"#define main ares_batch_main_{place}",
        *(f'#include "unit{place}/{path}"' for path in named),
    ]
    yield f"unit{place}.c", ("\n".join(lines) + "\n").encode()
    for path in (*named, *headers):
        yield f"unit{place}/{path}", project.files[path]


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """Cases of one network that are to run in one go."""

    place: int
    work: Work
    signature: str
    mode: Mode
    numbers: Sequence[int]

    @property
    def cases(self) -> list[Sequence[Array]]:
        return [self.work.cases[number] for number in self.numbers]


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """A library that was built, and what its networks have shown so far: by place, mode and number of the case."""

    host: Path
    folder: Path
    target: Target
    timeout: float
    ends: dict[tuple[int, Mode, int], Trace | RunFailure] = field(default_factory=dict)

    def ends_of(self, place: int, work: Work, mode: Mode) -> tuple[Trace | RunFailure, ...]:
        return tuple(self.ends[place, mode, number] for number in range(len(work.cases)))

    def run(self, pieces: Sequence[_Piece]) -> None:
        """Run pieces until each of their cases has its end; the process that a case ends is started again."""
        waiting = list(pieces)
        while waiting:
            waiting = self._go(waiting)

    def _go(self, pieces: list[_Piece]) -> list[_Piece]:
        """One process; what is still to be run after it."""
        words = [f"./{SHARED}", str(max(1, math.ceil(self.timeout)))]
        for number, piece in enumerate(pieces):
            cases = [case_bytes(piece.work.project, case) for case in piece.cases]
            (self.folder / f"{number}.input").write_bytes(b"".join(cases))
            words += [str(piece.place), f"{number}.input", f"{number}.output", piece.mode]
        finished = run_process(
            (str(self.host), *words),
            folder=self.folder,
            timeout=self.timeout * len(pieces) + _PATIENCE,
            environment=dict(self.target.run_environment),
        )
        if finished.code == _NOT_LOADED:
            key = hashlib.sha256(pieces[0].signature.encode()).hexdigest()[:32]
            kept = open_cache().keep_failed(key, self.folder)
            command = (str(self.host), *words)
            raise BuildFailure(self.target.name, command, kept, finished.stderr)
        shown = finished.stdout.split(_BEGIN)[1:]
        said = finished.stderr.split(_BEGIN)[1:]
        left: list[_Piece] = []
        for number, (out, err) in enumerate(zip(shown, said, strict=True)):
            end = _END.search(out)
            code = int(end[1]) if end is not None else finished.code
            text = out[: end.start()] if end is not None else out
            left += self._end(pieces[number], number, Finished(_ended(code), text, err))
        if len(shown) < len(pieces):
            return [*left, *pieces[len(shown) :]]
        if finished.code != 0 and _END.search(shown[-1]) is not None:
            return self._after_all(pieces, finished)
        return left

    def _end(self, piece: _Piece, number: int, finished: Finished) -> list[_Piece]:
        """Keep what a piece has shown. Where it failed: at which case, and what is left to be run."""
        target, project, count = self.target, piece.work.project, len(piece.numbers)
        lines = due_lines(project, target, piece.signature, count, piece.mode)
        try:
            reading = read_run(finished, target, lines, self.timeout)
            output = (self.folder / f"{number}.output").read_bytes()
            traces = traces_of(target.name, project, count, piece.mode, reading, output)
            for case, trace in zip(piece.numbers, traces, strict=True):
                self.ends[piece.place, piece.mode, case] = trace
        except RunFailure as error:
            begun = re.findall(r"^case (\d+)$", finished.stdout, re.MULTILINE)
            at = int(begun[-1]) if begun else None
            if at is None or at >= count or count == 1:
                self._fail(piece, piece.numbers, error)
                return []
            case = piece.numbers[at]
            self._fail(piece, [case], _renumbered(error, at, case))
            rest = [other for other in piece.numbers if other != case]
            return [_Piece(piece.place, piece.work, piece.signature, piece.mode, rest)]
        return []

    def _after_all(self, pieces: list[_Piece], finished: Finished) -> list[_Piece]:
        """The process failed when all were through: each is run alone, and who does it again was it."""
        if len(pieces) > 1:
            for piece in pieces:
                self.run([piece])
            return []
        words = "the process failed behind its last case"
        error = RunFailure("crash", self.target.name, words, finished.stderr)
        self._fail(pieces[0], pieces[0].numbers, error)
        return []

    def _fail(self, piece: _Piece, cases: Sequence[int], error: RunFailure) -> None:
        for case in cases:
            self.ends[piece.place, piece.mode, case] = error


def _ended(code: int | None) -> int | None:
    """How a program of its own would have ended: an alarm is its timeout."""
    return None if code == _ALARM else code


def _renumbered(error: RunFailure, shown: int, case: int) -> RunFailure:
    """The failure with the number that the case has for the caller."""
    message = re.sub(rf"\bcase {shown}\b", f"case {case}", error.message)
    return RunFailure(error.kind, error.target, message, error.report)
