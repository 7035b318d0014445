"""A mutant of the Python is tried in a child that has torch, but of `ares` only what it imports anew, mutated.

1. The same bytecode: equivalent. 2. `suites`: the stored unit cases, whose reference must give what the tests' oracles
said; where the C that is planned and emitted is another one, it is built and run. 3. `networks`: some small ones from
model to reference, with the torch witness, likewise. 4. `tests`: the pytest files named after the module, then
those of its room, for a while.

Which suites and networks reach a function is found out once, unmutated; others are not asked.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from types import CodeType, FrameType, ModuleType
from typing import Any

from ares.mutator.mutant import Mutant
from ares.mutator.outcome import Outcome, first_line, outcome_from_json
from ares.mutator.python_operators import is_code, same_bytecode
from ares.mutator.python_tests import failing, files_of_tests
from ares.toolchain import ToolchainError
from ares.toolchain.cache import VARIABLE, open_cache
from ares.toolchain.forks import Ended, in_children

NETWORKS = (
    "test_37_zeropad2d",
    "test_12_gelu_basic",
    "test_9_padding",
    "test_4_resnet_basic",
    "test_18_mamba_block",
    "test_13_transformer_simple",
    "test_46_tcn",
)
STEPS = ("suites", "networks", "tests")
TARGET = "gcc-portable"
"""Where the C is run that a mutant makes otherwise."""
# Seconds: for all that one mutant is tried with, and for the tests of its room.
_LIMIT = 300.0
TESTS_LIMIT = 60.0
_IMPORTED = ("torch", "brevitas.nn", "numpy", "pytest", "hypothesis", "jinja2", "zstandard")
_ROOMS_OF_MODELS = ("extract", "witness")


@dataclass(frozen=True, slots=True)
class PythonKiller:
    """What tries mutants of the Python, each in a child. `steps`: those that are taken; `subjects`: all where empty."""

    root: Path
    jobs: int
    steps: tuple[str, ...] = STEPS
    subjects: tuple[str, ...] = ()
    _reached: dict[str, set[str]] = field(default_factory=dict)
    _projects: dict[str, str] = field(default_factory=dict)

    def prepare(self, tell: Callable[[str], None]) -> None:
        """Import what is not mutated, and run every subject unmutated: what it reaches, and what C is made of it."""
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        for name in _IMPORTED:
            importlib.import_module(name)
        importlib.import_module("torch").set_num_threads(1)
        tell("running the subjects unmutated")
        for ended in in_children(self._subjects(), self._watch, self.jobs, _LIMIT):
            if ended.said is None:
                raise ToolchainError(f"{ended.task} is not right with no mutant: {ended.how}")
            facts = json.loads(ended.said)
            if facts["fault"]:
                raise ToolchainError(f"{ended.task} with no mutant: {facts['fault']}")
            self._reached[ended.task] = set(facts["reached"])
            self._projects[ended.task] = facts["project"]

    def kill(self, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, Outcome]]:
        """What became of each, as they are done."""
        for ended in in_children(mutants, self._try, self.jobs, _LIMIT):
            yield ended.task, self._outcome(ended)

    def _outcome(self, ended: Ended[Mutant]) -> Outcome:
        seconds = round(ended.seconds, 2)
        if ended.said is not None:
            return replace(outcome_from_json(ended.said), seconds=seconds)
        if ended.how is None:
            return Outcome("killed", "time-out", words=f"after {_LIMIT:g} s", seconds=seconds)
        if ended.how < 0:
            return Outcome("killed", "crash", words=f"signal {-ended.how}", seconds=seconds)
        raise ToolchainError(f"{ended.task.name}: the child ended with {ended.how}")

    def _subjects(self) -> list[str]:
        suites = sorted(path.name for path in (self.root / "golden").glob("ops_*"))
        wanted = [*(suites if "suites" in self.steps else ())]
        wanted += NETWORKS if "networks" in self.steps else ()
        return [name for name in wanted if not self.subjects or name in self.subjects]

    # In a child, from here on.

    def _watch(self, name: str) -> str:
        _forget()
        reached: set[str] = set()
        codes: set[CodeType] = set()

        def called(frame: FrameType, event: str, _argument: Any) -> None:
            if event == "call":
                codes.add(frame.f_code)

        with _own_cache():
            sys.setprofile(called)
            fault, project = _judged(self.root, name, "")
            sys.setprofile(None)
        for code in codes:
            path = Path(code.co_filename)
            if path.is_relative_to(self.root):
                reached.add(_function(path.relative_to(self.root).as_posix(), code.co_qualname))
        return json.dumps({"fault": fault, "project": project, "reached": sorted(reached)})

    def _try(self, mutant: Mutant) -> str:
        return self._tried(mutant).to_json()

    def _tried(self, mutant: Mutant) -> Outcome:
        if not is_code(mutant.mutated):
            return Outcome("invalid", words="no Python")
        if same_bytecode(mutant.text, mutant.mutated):
            return Outcome("equivalent", words="the same bytecode")
        _forget()
        sys.meta_path.insert(0, _Mutated(self.root, mutant))
        with _own_cache():
            for name in self._asked(mutant):
                fault, _ = _judged(self.root, name, self._projects[name])
                if fault:
                    step = "suites" if name.startswith("ops_") else "networks"
                    return Outcome("killed", step, name, first_line(fault))
            if "tests" in self.steps:
                files = files_of_tests(mutant.file, self.root)
                failed = failing(self.root, files, time.monotonic() + TESTS_LIMIT)
                if failed:
                    return Outcome("killed", "tests", failed[0], first_line(failed[1]))
        return Outcome("survived")

    def _asked(self, mutant: Mutant) -> list[str]:
        """The subjects that reach a mutant; those without torch first, unless they do not read models."""
        where = _function(mutant.file, mutant.place.function)
        whole = mutant.place.function == "module"
        names = [name for name in self._subjects() if whole or where in self._reached[name]]
        if whole and PurePosixPath(mutant.file).parts[1].startswith(_ROOMS_OF_MODELS):
            names = [name for name in names if not name.startswith("ops_")]
        return names


def _function(file: str, name: str) -> str:
    """File and function, the innermost that has a name of its own."""
    parts = [part for part in name.replace(".<locals>", "").split(".") if not part.startswith("<")]
    return f"{file}:{'.'.join(parts)}"


def _judged(root: Path, name: str, project: str) -> tuple[str, str]:
    """What is wrong with a subject, "" where nothing is, and the digest of its C; run where it is not `project`."""
    try:
        return _verdicts(root, name, project)
    except Exception as error:  # noqa: BLE001 - whatever a mutant does on right input, it is seen
        return f"{type(error).__name__}: {error}", ""


def _verdicts(root: Path, name: str, project: str) -> tuple[str, str]:
    from ares.pipeline.catalogue import Zoo
    from ares.toolchain import select

    zoo = Zoo(root)
    if zoo.is_suite(name):
        from ares.pipeline.suite import SuiteSubject

        subject: Any = SuiteSubject(zoo.golden / name)
    else:
        from ares.pipeline.network import NetworkSubject

        subject = NetworkSubject(zoo.paths(name))
    for stage in subject.stages():
        verdict = subject.stage(stage)
        if verdict.outcome.name != "PASS":
            return f"{stage.name}: {verdict.message}", ""
    digest = f"{subject.project.digest} {subject.guarded_project.digest}"
    if project and digest != project:
        (target,) = select([TARGET])
        verdict = subject.target(target)
        if verdict.outcome.name not in ("PASS", "LEFT_OUT"):
            return verdict.message or verdict.stage, digest
    return "", digest


def _forget() -> None:
    """Let all of `ares` be imported anew. What runs here goes on with what it has."""
    for name in list(sys.modules):
        if name == "ares" or name.startswith(("ares.", "tests.", "tools.")):
            del sys.modules[name]
    sys.dont_write_bytecode = True


class _own_cache:
    """A cache of the child's own: what a mutant makes is found by nobody else. Built runtimes are shared."""

    def __enter__(self) -> None:
        shared = open_cache().root
        self._folder = tempfile.TemporaryDirectory(prefix="ares-mutant-")
        for folder in shared.glob("library-*"):
            (Path(self._folder.name) / folder.name).symlink_to(folder)
        os.environ[VARIABLE] = self._folder.name

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


class _Mutated(importlib.abc.MetaPathFinder):
    """Finds one module, with another text."""

    def __init__(self, root: Path, mutant: Mutant) -> None:
        parts = PurePosixPath(mutant.file).with_suffix("").parts
        self._name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        self._path = root / mutant.file
        self._text = mutant.mutated

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        loader = _Loader(fullname, str(self._path), self._text)
        return importlib.util.spec_from_file_location(fullname, self._path, loader=loader)


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, text: bytes) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self._text, self.path, "exec", dont_inherit=True)
        return code
