"""A mutant of the Python is tried in children that have torch, but of `ares` only what they import anew, mutated.

1. The same bytecode: equivalent. 2. `suites`: the stored unit cases, whose reference must give what the tests' oracles
said; where the C that is planned and emitted is another one, it is built and run. `networks`: some small ones likewise,
from model to reference, with the torch witness. 3. `tests`: of the files named after the module those that reach the
function, the quickest first. 4. `others`: the same of all other files.

Steps go in rounds, for what no step before has seen. What subjects and tests reach is found out unmutated (`reach`),
when a round begins and no earlier: the first outcomes come while most files of tests have not been looked at.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ares.mutator.limits import at_most, busy_seconds
from ares.mutator.mutant import Mutant
from ares.mutator.outcome import Outcome, first_line, outcome_from_json
from ares.mutator.python_importing import forget, import_mutated, own_cache
from ares.mutator.python_operators import is_code, same_bytecode
from ares.mutator.python_subjects import data, is_suite, judged, subjects
from ares.mutator.python_tests import ROOMS, all_files, failing, files_of_tests
from ares.mutator.reach import Memory, Reach, Test, Tracer, function_name, loaded, watch
from ares.toolchain import ToolchainError
from ares.toolchain.forks import Ended, in_children

STEPS = ("suites", "networks", "tests", "others")
_ROUNDS = (("suites", "networks"), ("tests",), ("others",))
# Seconds by the clock: for a round of one mutant, which has limits of its own in processor time; for a subject or a
# file of tests unmutated.
_LIMIT = 600.0
_UNMUTATED_LIMIT = 1200.0
# Seconds of subjects, unmutated, that are asked about a mutant.
_SUBJECTS_LIMIT = 12.0
_IMPORTED = ("torch", "brevitas.nn", "numpy", "pytest", "hypothesis", "jinja2", "zstandard")
Tell = Callable[[str], None]
Task = tuple[Mutant, partial[Outcome]]
"""A mutant, and what of a round it is tried with."""


@dataclass(frozen=True, slots=True)
class PythonKiller:
    """What tries mutants of the Python. `steps`: those that are taken; `subjects`: all where empty."""

    root: Path
    jobs: int
    steps: tuple[str, ...] = STEPS
    subjects: tuple[str, ...] = ()
    tell: Tell = lambda _: None
    _facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    _reach: Reach = field(default_factory=Reach)
    _known: set[str] = field(default_factory=set)

    def kill(self, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, Outcome]]:
        """What became of each, as they are done."""
        left: list[tuple[Mutant, Outcome]] = []
        for mutant in mutants:
            found = _unlike(mutant)
            if found is None:
                left.append((mutant, Outcome("survived")))
            else:
                yield mutant, found
        for steps in _ROUNDS:
            if left and set(steps) & set(self.steps):
                self._prepare(steps, [mutant for mutant, _ in left])
                before, left = left, []
                for mutant, found in self._round(steps, before):
                    if found.state == "survived":
                        left.append((mutant, found))
                    else:
                        yield mutant, found
        yield from left

    def _round(
        self, steps: Sequence[str], mutants: Sequence[tuple[Mutant, Outcome]]
    ) -> Iterator[tuple[Mutant, Outcome]]:
        before = {mutant.name: outcome for mutant, outcome in mutants}
        tasks: list[Task] = []
        for mutant, outcome in mutants:
            do: partial[Outcome]
            if "suites" in steps:
                do = partial(self._by_subjects, self._subjects_of(mutant))
            else:
                do = partial(self._by_tests, steps[0], self._tests_of(steps[0], mutant))
            if do.args[-1]:
                tasks.append((mutant, do))
            else:
                yield mutant, outcome
        for ended in in_children(tasks, self._try, self.jobs, _LIMIT):
            mutant, _ = ended.task
            yield mutant, _joined(before[mutant.name], _outcome(mutant, ended))

    def digests(self) -> Mapping[str, Callable[[str], str]]:
        """What outcomes rest on beside files: nothing."""
        return {}

    def _prepare(self, steps: Sequence[str], mutants: Sequence[Mutant]) -> None:
        """Import what is not mutated, and find out what a round's subjects or tests reach unmutated."""
        self.tell(f"{len(mutants)} mutants for {' and '.join(steps)}")
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        for name in _IMPORTED:
            importlib.import_module(name)
        importlib.import_module("torch").set_num_threads(1)
        if "suites" in steps:
            for name, facts in self._found_out(self._subjects(), self._watch):
                if facts["fault"]:
                    raise ToolchainError(f"{name} with no mutant: {facts['fault']}")
                self._facts[name] = facts
            return
        files = all_files(self.root)
        if "others" not in steps:
            named = {name for each in mutants for name in files_of_tests(each.file, self.root)}
            files = [file for file in files if file in named]
        files = [file for file in files if file not in self._known]
        self._known.update(files)
        for _, facts in self._found_out(files, self._watch_tests):
            self._reach.take(facts)

    def _found_out(
        self, names: Sequence[str], watch: Callable[[str], str]
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
        if missing:
            self.tell(f"unmutated: {len(missing)} of {len(names)}, then kept until files change")
        running = in_children(missing, watch, self.jobs, _UNMUTATED_LIMIT)
        for number, ended in enumerate(running):
            self.tell(
                f"unmutated: {number + 1} of {len(missing)}: {ended.task}, {ended.seconds:.0f} s"
            )
            if ended.said is None:
                why = ended.wrong.rstrip().rpartition("\n")[2] or f"it ended with {ended.how}"
                raise ToolchainError(f"{ended.task} with no mutant: {why}")
            found = json.loads(ended.said)
            if not found.get("fault"):
                memory.keep(ended.task, found)
            yield ended.task, found

    def _subjects(self) -> list[str]:
        steps = {True: "suites", False: "networks"}
        named = [n for n in subjects(self.root) if steps[is_suite(n)] in self.steps]
        return [name for name in named if not self.subjects or name in self.subjects]

    def _subjects_of(self, mutant: Mutant) -> list[str]:
        """The subjects that reach a mutant, the quickest first, for some seconds.

        What runs when its module is read is everybody's who reaches a function of it.
        """
        where = function_name(mutant.file, mutant.place.function)
        if mutant.place.function == "module":
            where = ""
        found: list[str] = []
        total = 0.0
        for name in sorted(self._subjects(), key=lambda name: float(self._facts[name]["seconds"])):
            reached = self._facts[name]["reached"]
            named = [each for each in reached if each.startswith(f"{mutant.file}:")]
            if not (where in named if where else len(named) > 1):
                continue
            total += self._facts[name]["seconds"]
            if not found or total <= _SUBJECTS_LIMIT:
                found.append(name)
        return found

    def _tests_of(self, step: str, mutant: Mutant) -> list[Test]:
        named = files_of_tests(mutant.file, self.root)
        return self._reach.asked(mutant, named, others=step == "others")

    # In a child, from here on.

    def _watch_tests(self, file: str) -> str:
        forget()
        return watch(self.root, file)

    def _watch(self, name: str) -> str:
        forget()
        tracer = Tracer(self.root)
        began = busy_seconds()
        with own_cache():
            tracer.start()
            fault, project = judged(self.root, name, "")
            reached = sorted(tracer.stop())
        files = [*loaded(self.root), *data(self.root, name)]
        facts = {"fault": fault, "project": project, "reached": reached, "loaded": files}
        return json.dumps({**facts, "seconds": busy_seconds() - began})

    def _try(self, task: Task) -> str:
        mutant, do = task
        began = busy_seconds()
        import_mutated(self.root, mutant)
        with own_cache():
            found = do()
        rests_on = {*found.rests_on, *loaded(self.root)} - {mutant.file}
        seconds = round(busy_seconds() - began, 2)
        return replace(found, rests_on=tuple(sorted(rests_on)), seconds=seconds).to_json()

    def _by_subjects(self, names: Sequence[str]) -> Outcome:
        asked: list[str] = []
        for name in names:
            facts = self._facts[name]
            with at_most(5.0 * facts["seconds"] + 10.0):
                fault, _ = judged(self.root, name, facts["project"])
            files = data(self.root, name)
            if fault:
                step = "suites" if is_suite(name) else "networks"
                return Outcome("killed", step, name, first_line(fault), rests_on=tuple(files))
            asked += files
        return Outcome("survived", rests_on=tuple(asked))

    def _by_tests(self, step: str, tests: Sequence[Test]) -> Outcome:
        failed = failing(self.root, tests)
        if failed:
            return Outcome("killed", step, failed[0], first_line(failed[1]))
        return Outcome("survived", rests_on=tuple(f"tests/{room}" for room in ROOMS))


def _unlike(mutant: Mutant) -> Outcome | None:
    """The outcome of what need not be tried."""
    if not is_code(mutant.mutated):
        return Outcome("invalid", words="no Python")
    if same_bytecode(mutant.text, mutant.mutated):
        return Outcome("equivalent", words="the same bytecode")
    return None


def _joined(before: Outcome, found: Outcome) -> Outcome:
    """A round's outcome after those before it: a kill rests on its own, a survivor on all."""
    seconds = round(before.seconds + found.seconds, 2)
    rests_on = found.rests_on
    if found.state == "survived":
        rests_on = tuple(sorted({*before.rests_on, *rests_on}))
    return replace(found, seconds=seconds, rests_on=rests_on)


def _outcome(mutant: Mutant, ended: Ended[Task]) -> Outcome:
    if ended.said is not None:
        return outcome_from_json(ended.said)
    seconds = round(ended.seconds, 2)
    if ended.how is None:
        return Outcome("killed", "time-out", words=f"after {_LIMIT:g} s", seconds=seconds)
    if ended.how < 0:
        return Outcome("killed", "crash", words=f"signal {-ended.how}", seconds=seconds)
    why = ended.wrong.rstrip().rpartition("\n")[2]
    raise ToolchainError(f"{mutant.name}: the child ended with {ended.how}: {why}")
