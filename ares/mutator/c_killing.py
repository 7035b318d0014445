"""A mutant of the C is tried by what is quickest first, until something sees it.

1. Its file is compiled for each way it is tried in, the quickest first. Where every object is that of the unmutated
   file it is equivalent.
2. `suites`: the stored unit cases on those ways whose objects differ, by the product's own comparison.
3. `networks`: some small ones, likewise. 4. `sanitizers`: the suites once more, with sanitizers and a guarded arena.
5. `checks`: the programs of tests/runtime and tests/numerics that try kernels one by one.
6. `tests`: the pytest files of that part, in a copy of the checkout.

Steps 2 to 4 are the goldens and suites, which run on every target; the others run on few.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath

from ares.mutator.built import BuiltWay, Objects, Unbuilt
from ares.mutator.c_users import users
from ares.mutator.checks import CHECKS, Check, checks_for, run_check
from ares.mutator.mutant import Mutant
from ares.mutator.outcome import Outcome, first_line
from ares.mutator.subjects import NETWORKS, Judges
from ares.mutator.ways import CHECKED, Way, ways_of
from ares.pipeline.compiled import RunSettings, judge_program
from ares.pipeline.subject import Subject
from ares.toolchain import ToolchainError
from ares.toolchain.machines import PYTHON
from ares.toolchain.process import run_process
from ares.verdict import Outcome as Judged
from ares.verdict import Verdict

GOLDENS = ("suites", "networks", "sanitizers")
STEPS = (*GOLDENS, "checks", "tests")
# Seconds for a run of a program that takes a tenth of one here, and under an emulator ten of them.
_LIMIT = 8.0
_SLOW_LIMIT = 60.0
_TESTS_LIMIT = 120.0


@dataclass(frozen=True, slots=True, eq=False)
class CKiller:
    """What tries mutants of the C; threads share it. `steps`: those that are taken."""

    root: Path
    judges: Judges
    runtime: Mapping[str, bytes]
    ways: Mapping[str, Way]
    folder: Path
    steps: tuple[str, ...] = STEPS
    _built: dict[str, BuiltWay] = field(default_factory=dict)
    _right: set[tuple[str, str]] = field(default_factory=set)
    _usable: dict[str, tuple[Check, ...]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self) -> None:
        """Make a folder a way. Subjects are made when the first mutant comes to them."""
        for name, way in self.ways.items():
            folder = self.folder / name.replace(" ", "-")
            folder.mkdir(parents=True, exist_ok=True)
            self._built[name] = BuiltWay(way, folder, self.runtime)

    def kill(self, mutant: Mutant) -> Outcome:
        """What became of it."""
        began = time.monotonic()
        asked: list[str] = ["runtime/inc", *users(mutant, self.runtime)[-1]]
        with tempfile.TemporaryDirectory(prefix="mutant-", dir=self.folder) as name:
            found = self._tried(mutant, Path(name), asked)
        seconds = round(time.monotonic() - began, 2)
        return replace(found, seconds=seconds, rests_on=(*found.rests_on, *asked))

    def digests(self) -> Mapping[str, Callable[[str], str]]:
        """What outcomes rest on beside files."""
        return {"subject": self.judges.digest, "way": self._way_digest}

    def _way_digest(self, name: str) -> str:
        if name not in self.ways:
            return ""
        target = self.ways[name].target
        return f"{target.compiler} {target.flags} {target.link_flags}"

    def _tried(self, mutant: Mutant, work: Path, asked: list[str]) -> Outcome:
        names = [name for name in ways_of(mutant.file) if name in self._built]
        if not names:
            return Outcome("not run", words=f"none of {', '.join(ways_of(mutant.file))} is here")
        differing: dict[str, Objects] = {}
        for number, name in enumerate(names):
            for group, sources in enumerate(users(mutant, self.runtime)):
                folder = work / f"way{number}-{group}"
                folder.mkdir()
                try:
                    objects = self._objects(mutant, name, sources, folder)
                except Unbuilt as error:
                    return Outcome("invalid", by=name, words=first_line(str(error)))
                if not objects:
                    continue
                differing[name] = objects
                if "suites" in self.steps:
                    suites = self.judges.suites(mutant.file)
                    found = self._judged("suites", name, suites, objects, folder)
                    if found is not None:
                        return found
        asked += [f"way {name}" for name in names]
        if not differing:
            return Outcome("equivalent", words="the same objects")
        found = self._further(mutant, differing, work)
        if found is None:
            asked += [f"subject {name}" for name in (*self.judges.zoo.suites, *NETWORKS)]
            asked += [*(check.source for check in CHECKS), *files_of_tests(mutant.file, self.root)]
        return found or Outcome("survived")

    def _further(
        self, mutant: Mutant, differing: Mapping[str, Objects], work: Path
    ) -> Outcome | None:
        """The steps behind the suites."""
        further: dict[str, Callable[[Path], Outcome | None]] = {
            "networks": partial(self._networks, differing),
            "sanitizers": partial(self._sanitizers, mutant),
            "checks": partial(self._checks, differing),
            "tests": partial(self._tests, mutant),
        }
        for step, take in further.items():
            if step in self.steps:
                folder = work / step
                folder.mkdir()
                found = take(folder)
                if found is not None:
                    return found
        return None

    def _objects(self, mutant: Mutant, way: str, sources: Sequence[str], work: Path) -> Objects:
        return self._built[way].mutated(mutant.file, mutant.mutated, sources, work)

    def _networks(self, differing: Mapping[str, Objects], work: Path) -> Outcome | None:
        """On one way: their tables take long to compile, and the suites have asked all ways."""
        way = next(iter(differing))
        return self._judged("networks", way, self.judges.networks(), differing[way], work)

    def _sanitizers(self, mutant: Mutant, work: Path) -> Outcome | None:
        if CHECKED not in self._built:
            return None
        try:
            sources = users(mutant, self.runtime)[-1]
            objects = self._objects(mutant, CHECKED, sources, work)
        except Unbuilt:
            return None
        if not objects:  # of another processor
            return None
        suites = self.judges.suites(mutant.file)
        return self._judged("sanitizers", CHECKED, suites, objects, work)

    def _judged(
        self, step: str, way: str, subjects: Iterable[Subject], objects: Objects, work: Path
    ) -> Outcome | None:
        for subject in subjects:
            self._require_right(subject, way)
            try:
                verdict = self._verdict(subject, way, objects, work)
            except Unbuilt as error:
                return Outcome("invalid", by=way, words=first_line(str(error)))
            if verdict.outcome is Judged.FAIL:
                if verdict.compared_nothing:
                    raise ToolchainError(first_line(verdict.message, 400))
                words = first_line(verdict.message.removeprefix(f"{subject.name}: "))
                rests_on = (f"subject {subject.name}", f"way {way}")
                by = f"{subject.name} on {way}"
                return Outcome("killed", step, by, words, rests_on=rests_on)
        return None

    def _verdict(self, subject: Subject, way: str, objects: Objects, work: Path) -> Verdict:
        built = self._built[way]
        target = built.way.target
        limit = _SLOW_LIMIT if target.machine.runner else _LIMIT
        project = subject.project_for(target)
        numbers = range(len(subject.golden.cases))
        make = partial(built.binary, project, objects, work)
        return judge_program(subject, target, project, numbers, RunSettings(limit), make)

    def _require_right(self, subject: Subject, way: str) -> None:
        """What is wrong with no mutant would kill every one."""
        with self._lock:
            if (subject.name, way) in self._right:
                return
            with tempfile.TemporaryDirectory(dir=self.folder) as name:
                try:
                    verdict = self._verdict(subject, way, {}, Path(name))
                except Unbuilt as error:
                    raise ToolchainError(f"{way}, with no mutant: {error}") from error
            if verdict.outcome is Judged.FAIL:
                raise ToolchainError(f"with no mutant: {first_line(verdict.message, 400)}")
            self._right.add((subject.name, way))

    def _checks(self, differing: Mapping[str, Objects], work: Path) -> Outcome | None:
        for way, objects in differing.items():
            with self._lock:
                if way not in self._usable:
                    self._usable[way] = checks_for(self._built[way], self.root, work)
            for check in self._usable[way]:
                folder = Path(tempfile.mkdtemp(dir=work))
                fault = run_check(self._built[way], self.root, check, objects, folder)
                if fault is not None:
                    by, rests_on = f"{check.source} on {way}", (check.source, f"way {way}")
                    return Outcome("killed", "checks", by, fault, rests_on=rests_on)
        return None

    def _tests(self, mutant: Mutant, work: Path) -> Outcome | None:
        """The tests that are named after the file, on the host, in a copy that only the mutant differs in."""
        files = files_of_tests(mutant.file, self.root)
        if not files:
            return None
        copy = work / "copy"
        _copy_checkout(self.root, copy, mutant)
        words = [*PYTHON, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-n", "0"]
        done = run_process(
            [*words, *files],
            folder=copy,
            timeout=_TESTS_LIMIT,
            environment={"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        shutil.rmtree(copy, ignore_errors=True)
        if done.code in (0, 5, None):
            return None  # None: the time is up, which says nothing
        if done.code != 1:
            raise ToolchainError(f"pytest ended with {done.code}: {first_line(done.stderr)}")
        failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
        by = failed[0].split(" - ")[0].removeprefix("FAILED ") if failed else files[0]
        told = first_line(failed[0] if failed else done.stdout)
        return Outcome("killed", "tests", by, told, rests_on=tuple(files))


def files_of_tests(file: str, root: Path) -> list[str]:
    """The pytest files that are named after a file of the runtime."""
    stem = PurePosixPath(file).stem
    if stem == "float_probe":
        return ["tests/toolchain/test_run_faults.py"]
    if stem.startswith("micro"):
        return ["tests/runtime/test_micro_kernels.py", "tests/runtime/test_runs.py"]
    found = [f"tests/ops/test_{stem}.py", f"tests/numerics/test_{stem}.py"]
    return [path for path in found if (root / path).is_file()] or ["tests/numerics/test_vectors.py"]


def _copy_checkout(root: Path, copy: Path, mutant: Mutant) -> None:
    """The parts that tests read; goldens by a link, for they are large and nothing here writes them."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("ares", "runtime", "tests", "tools"):
        shutil.copytree(root / name, copy / name, ignore=ignore)
    for name in ("golden", "docs", "examples"):
        (copy / name).symlink_to(root / name)
    for path in (*root.glob("*.toml"), *root.glob("*.txt"), *root.glob("*.md"), root / "tox.ini"):
        shutil.copy(path, copy / path.name)
    (copy / mutant.file).write_bytes(mutant.mutated)
