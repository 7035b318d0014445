"""Which conditions of the runtime and of emitted C the stored suites and networks meet, over all builds that count.

A subject goes the product's own way: built, run and compared with its golden by `Subject.target`. A run that is not
exact is an error here, for what it met says nothing. Processes are started by `ares.toolchain`, as in tests/runtime.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ares.pipeline.subject import Subject
from ares.toolchain import Target, build
from ares.toolchain.build import LIBRARY
from ares.toolchain.cache import open_cache
from ares.toolchain.process import run_process
from ares.verdict import Outcome
from tests.coverage.outcomes import Condition, Conditions, conditions_of, join
from tests.coverage.variants import label

MEASURED = ("runtime/src/", "runtime/inc/")
"""Where conditions count. What is emitted for a network counts too; the tracing program is no part of a product."""
_TIMEOUT = 600.0
_COV, _PROFDATA = "llvm-cov-19", "llvm-profdata-19"


class CoverageError(Exception):
    """Nothing could be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Conditions of the runtime, joined over builds, and those of the C that was emitted for the subjects."""

    runtime: Conditions
    emitted: Conditions
    subjects: tuple[str, ...]
    variants: tuple[str, ...]


def measure(
    subjects: Sequence[Subject],
    targets: Sequence[Target],
    tell: Callable[[str], None] = lambda words: None,
) -> Measured:
    """Run every subject in every build. Raises CoverageError where one is not exact or cannot be run."""
    runtime: list[Condition] = []
    emitted: list[Condition] = []
    for target in targets:
        with tempfile.TemporaryDirectory(prefix="ares-coverage-") as name:
            folder = Path(name)
            for subject in subjects:
                tell(f"{label(target)}: {subject.name}")
                program = _run(subject, target, folder)
                emitted += _emitted(subject.name, program, folder)
            objects = _objects(_library(subjects[0], target), folder)
            profiles = sorted(folder.glob("*.profraw"))
            runtime += _conditions(objects, profiles, folder).values()
    return Measured(
        join(one for one in runtime if one.file.startswith(MEASURED)),
        join(emitted),
        tuple(subject.name for subject in subjects),
        tuple(label(target) for target in targets),
    )


def _run(subject: Subject, target: Target, folder: Path) -> Path:
    """The program, once it was exact; its counts are in the folder."""
    profile = ("LLVM_PROFILE_FILE", str(folder / f"{subject.name}.profraw"))
    counting = replace(target, run_environment=(*target.run_environment, profile))
    verdict = subject.target(counting)
    if verdict.outcome is not Outcome.PASS:
        raise CoverageError(f"{subject.name} on {target.name}: {verdict.message}")
    return build(subject.project_for(target), counting).path


def _library(subject: Subject, target: Target) -> Path:
    """All of the runtime, called or not."""
    recipe = build(subject.project_for(target), target).recipe
    found = open_cache().find(f"library-{target.name}", recipe.library_key, LIBRARY)
    if found is None:
        raise CoverageError(f"{target.name}: its library is gone from the cache; run it again")
    return found


def _objects(library: Path, folder: Path) -> Sequence[Path]:
    """The library's members as files of their own: in an archive they lie where llvm-cov 19 misreads some."""
    _tool(("ar", "x", str(library)), folder)
    return sorted(folder.glob("runtime-src-*.o"))


def _emitted(subject: str, program: Path, folder: Path) -> Iterable[Condition]:
    """Conditions of a program that are not the runtime's, under the subject's name."""
    found = _conditions((program,), [folder / f"{subject}.profraw"], folder).values()
    own = (one for one in found if not one.file.startswith(("runtime/", "/")))
    return [replace(one, file=f"{subject}/{one.file}") for one in own]


def _conditions(objects: Sequence[Path], profiles: Sequence[Path], folder: Path) -> Conditions:
    merged = folder / "merged.profdata"
    _tool((_PROFDATA, "merge", "-o", str(merged), *map(str, profiles)), folder)
    first, *rest = map(str, objects)
    more = [f"--object={path}" for path in rest]
    export = (_COV, "export", first, *more, f"--instr-profile={merged}")
    return conditions_of(_tool(export, folder))


def _tool(command: Sequence[str], folder: Path) -> str:
    finished = run_process(command, folder=folder, timeout=_TIMEOUT)
    if finished.code != 0:
        raise CoverageError(f"{' '.join(command)}: {finished.stderr.strip() or finished.code}")
    return finished.stdout
