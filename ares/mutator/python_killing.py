"""A mutant of the Python is tried in a child that has torch, but of `ares` only what it imports anew, mutated.

1. The same bytecode: equivalent. 2. `suites`: the stored unit cases, whose reference must give what the tests' oracles
said; where the C that is planned and emitted is another one, it is built and run. 3. `tests`: those that reach the
function, the quickest first, for some seconds. 4. `networks`: some small ones from model to reference, with the torch
witness, like the suites.

Which suites, tests and networks reach a function is found out once, unmutated (`reach`); others are not asked.
"""

from __future__ import annotations

import errno
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from types import CodeType, ModuleType
from typing import Any

from ares.mutator.mutant import Mutant
from ares.mutator.outcome import Outcome, first_line, outcome_from_json
from ares.mutator.python_operators import is_code, same_bytecode
from ares.mutator.python_tests import all_files, failing, files_of_tests
from ares.mutator.reach import Memory, Reach, Tracer, function_name, loaded, watch
from ares.toolchain import ToolchainError
from ares.toolchain.cache import VARIABLE, open_cache
from ares.toolchain.forks import Ended, in_children
from ares.verdict.verdict import OF_THE_EQUIPMENT

NETWORKS = (
    "test_37_zeropad2d",
    "test_12_gelu_basic",
    "test_9_padding",
    "test_4_resnet_basic",
    "test_18_mamba_block",
    "test_13_transformer_simple",
    "test_46_tcn",
)
STEPS = ("suites", "tests", "networks")
TARGET = "gcc-portable"
"""Where the C is run that a mutant makes otherwise."""
# Seconds: for all that one mutant is tried with, for a subject or a file of tests unmutated, and of networks as long as
# they take unmutated.
_LIMIT = 300.0
_UNMUTATED_LIMIT = 1200.0
_NETWORKS_LIMIT = 40.0
_RAN_OUT = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
_IMPORTED = ("torch", "brevitas.nn", "numpy", "pytest", "hypothesis", "jinja2", "zstandard")
ROOMS = ("numerics", "ops", "extract", "plan", "emit", "verdict", "golden", "witness")
"""The folders of tests that are asked."""


@dataclass(frozen=True, slots=True)
class PythonKiller:
    """What tries mutants of the Python, each in a child. `steps`: those that are taken; `subjects`: all where empty."""

    root: Path
    jobs: int
    steps: tuple[str, ...] = STEPS
    subjects: tuple[str, ...] = ()
    _facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    _reach: Reach = field(default_factory=Reach)

    def prepare(self, tell: Callable[[str], None]) -> None:
        """Import what is not mutated, and find out what every subject and test reaches unmutated."""
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        for name in _IMPORTED:
            importlib.import_module(name)
        importlib.import_module("torch").set_num_threads(1)
        for name, facts in self._found_out(self._subjects(), self._watch, tell):
            if facts["fault"]:
                raise ToolchainError(f"{name} with no mutant: {facts['fault']}")
            self._facts[name] = facts
        files = all_files(self.root, ROOMS) if "tests" in self.steps else []
        for _, facts in self._found_out(files, self._watch_tests, tell):
            self._reach.take(facts)

    def _found_out(
        self, names: Sequence[str], watch: Callable[[str], str], tell: Callable[[str], None]
    ) -> Iterator[tuple[str, Any]]:
        """What is kept, then what is found out now. Raises ToolchainError for what does not end with no mutant."""
        memory = Memory(self.root)
        missing = []
        for name in names:
            found = memory.find(name)
            if found is None:
                missing.append(name)
            else:
                yield name, found
        running = in_children(missing, watch, self.jobs, _UNMUTATED_LIMIT)
        for number, ended in enumerate(running):
            tell(f"unmutated: {number + 1} of {len(missing)}: {ended.task}")
            if ended.said is None:
                why = ended.wrong.rstrip().rpartition("\n")[2] or f"it ended with {ended.how}"
                raise ToolchainError(f"{ended.task} with no mutant: {why}")
            found = json.loads(ended.said)
            if not found.get("fault"):
                memory.keep(ended.task, found)
            yield ended.task, found

    def digests(self) -> Mapping[str, Callable[[str], str]]:
        """What outcomes rest on beside files: nothing."""
        return {}

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
        why = ended.wrong.rstrip().rpartition("\n")[2]
        raise ToolchainError(f"{ended.task.name}: the child ended with {ended.how}: {why}")

    def _subjects(self) -> list[str]:
        suites = sorted(path.name for path in (self.root / "golden").glob("ops_*"))
        wanted = [*(suites if "suites" in self.steps else ())]
        wanted += NETWORKS if "networks" in self.steps else ()
        return [name for name in wanted if not self.subjects or name in self.subjects]

    # In a child, from here on.

    def _watch_tests(self, file: str) -> str:
        _forget()
        return watch(self.root, file)

    def _watch(self, name: str) -> str:
        _forget()
        tracer = Tracer(self.root)
        began = time.monotonic()
        with _own_cache():
            tracer.start()
            fault, project = _judged(self.root, name, "")
            reached = sorted(tracer.stop())
        files = [*loaded(self.root), *_data(self.root, name)]
        seconds = time.monotonic() - began
        facts = {"fault": fault, "project": project, "reached": reached, "loaded": files}
        return json.dumps({**facts, "seconds": seconds})

    def _try(self, mutant: Mutant) -> str:
        asked: list[str] = []
        found = self._tried(mutant, asked)
        if found.state in ("killed", "survived"):
            asked = [name for name in (*asked, *loaded(self.root)) if name != mutant.file]
            found = replace(found, rests_on=(*found.rests_on, *asked))
        return found.to_json()

    def _tried(self, mutant: Mutant, asked: list[str]) -> Outcome:
        if not is_code(mutant.mutated):
            return Outcome("invalid", words="no Python")
        if same_bytecode(mutant.text, mutant.mutated):
            return Outcome("equivalent", words="the same bytecode")
        _forget()
        sys.dont_write_bytecode = True
        sys.meta_path.insert(0, _Mutated(self.root, mutant))
        subjects = self._asked(mutant)
        with _own_cache():
            found = self._by_subjects("suites", subjects, asked)
            if found is None and "tests" in self.steps:
                found = self._by_tests(mutant)
            return found or self._by_subjects("networks", subjects, asked) or Outcome("survived")

    def _by_subjects(self, step: str, names: Sequence[str], asked: list[str]) -> Outcome | None:
        for name in names:
            if name.startswith("ops_") == (step == "suites"):
                fault, _ = _judged(self.root, name, self._facts[name]["project"])
                data = _data(self.root, name)
                if fault:
                    words = first_line(fault)
                    return Outcome("killed", step, name, words, rests_on=tuple(data))
                asked += data
        return None

    def _by_tests(self, mutant: Mutant) -> Outcome | None:
        for names in self._reach.asked(mutant, files_of_tests(mutant.file, self.root)):
            failed = failing(self.root, names)
            if failed:
                return Outcome("killed", "tests", failed[0], first_line(failed[1]))
        return None

    def _asked(self, mutant: Mutant) -> list[str]:
        """The subjects that reach a mutant, the quickest first, of networks for some seconds.

        What runs when its module is read is everybody's who reaches a function of it.
        """
        where = function_name(mutant.file, mutant.place.function)
        if mutant.place.function == "module":
            where = ""
        found, total = [], 0.0
        for name in sorted(self._subjects(), key=lambda name: float(self._facts[name]["seconds"])):
            reached = self._facts[name]["reached"]
            named = [each for each in reached if each.startswith(f"{mutant.file}:")]
            if not (where in named if where else len(named) > 1):
                continue
            if not name.startswith("ops_"):
                total += self._facts[name]["seconds"]
            if total <= _NETWORKS_LIMIT:
                found.append(name)
        return found


def _data(root: Path, name: str) -> list[str]:
    """What a subject is made from beside modules, and what its C is made with."""
    found = ["runtime", f"golden/{name}"]
    network = f"tests/test_networks/{name}.py"
    return [*found, network] if (root / network).is_file() else found


class _OfTheMachine(Exception):
    """Nothing was compared, for want of something here: no mutant is killed by that."""


def _judged(root: Path, name: str, project: str) -> tuple[str, str]:
    """What is wrong with a subject, "" where nothing is, and the digest of its C; run where it is not `project`."""
    try:
        return _verdicts(root, name, project)
    except _OfTheMachine:
        raise
    except (Exception, SystemExit) as error:
        # Broad: whatever a mutant does on right input, it is seen.
        if isinstance(error, OSError) and error.errno in _RAN_OUT:
            raise _OfTheMachine(str(error)) from error
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
            _require_compared(verdict)
            return f"{stage.name}: {verdict.message}", ""
    digest = f"{subject.project.digest} {subject.guarded_project.digest}"
    if project and digest != project:
        (target,) = select([TARGET])
        verdict = subject.target(target)
        if verdict.outcome.name not in ("PASS", "LEFT_OUT"):
            _require_compared(verdict)
            return verdict.message or verdict.stage, digest
    return "", digest


def _require_compared(verdict: Any) -> None:
    """`verdict` is of modules that were imported anew, one of them mutated: what it says of itself is not asked."""
    if verdict.fault in OF_THE_EQUIPMENT:
        raise _OfTheMachine(first_line(verdict.message, 400))


def _forget() -> None:
    """Let all of `ares` be imported anew. What runs here goes on with what it has."""
    for name in list(sys.modules):
        if name == "ares" or name.startswith(("ares.", "tests.", "tools.")):
            del sys.modules[name]


class _own_cache:
    """A cache of the child's own: what a mutant makes is found by nobody else. What was built is shared, by content."""

    def __enter__(self) -> None:
        shared = open_cache().root
        self._folder = tempfile.TemporaryDirectory(prefix="ares-mutant-")
        for kind in ("library", "program"):
            for entry in shared.glob(f"{kind}-*/*"):
                place = Path(self._folder.name, entry.parent.name, entry.name)
                place.parent.mkdir(exist_ok=True)
                place.symlink_to(entry)
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
