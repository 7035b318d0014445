"""A campaign: which mutants there are and which are drawn, what became of each, and what is kept of it.

Results are kept by content (`kept`): a campaign that was interrupted goes on where it was.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from pathlib import Path

from ares.emit import runtime_files
from ares.mutator import c_killing, python_killing
from ares.mutator.c_killing import CKiller
from ares.mutator.c_operators import c_mutants
from ares.mutator.kept import Kept
from ares.mutator.mutant import Language, Mutant, drawn, matching
from ares.mutator.outcome import Outcome
from ares.mutator.python_killing import PythonKiller
from ares.mutator.python_operators import python_mutants
from ares.mutator.subjects import Judges
from ares.mutator.ways import CHECKED, usable_ways, ways_of, weight
from ares.pipeline.catalogue import Zoo
from ares.resources import runtime_dir
from ares.toolchain.process import side_by_side

# What is written by a tool, and what only the tests' programs are made of.
_NOT_MUTATED = ("runtime/inc/symbols.h",)
_RUNTIME = ("runtime/src/", "runtime/inc/")
_PYTHON = (
    *(f"ares/{room}/*.py" for room in ("numerics", "ops", "extract", "plan", "emit", "verdict")),
    *("ares/golden/*.py", "ares/witness*.py"),
)
_MAKERS = tuple(
    f"ares/{room}/**/*.py" for room in ("ir", "ops", "numerics", "plan", "emit", "toolchain")
)
C_SOURCES = (
    *("runtime/**/*.[chS]", "golden/*/*", "tests/runtime/*.c", "tests/numerics/vector*"),
    *("tests/numerics/vectors/*", "ares/verdict/*.py", "ares/pipeline/*.py", "ares/mutator/*"),
    *_MAKERS,
)
"""What a record of the C rests on."""
PYTHON_SOURCES = ("ares/**/*.py", "golden/*/*", "tests/**/*.py", "runtime/**/*.[ch]")
"""What a record of the Python rests on."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The mutants of a language that a campaign tries, of how many there are, in how many files."""

    language: Language
    mutants: Sequence[Mutant]
    names: frozenset[str]
    files: Sequence[str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a campaign is asked for. `steps` and `ways`: all where empty; `fresh`: what is kept is not asked."""

    root: Path
    patterns: Sequence[str] = ()
    sample: int | None = None
    seed: int = 1
    mutant: str = ""
    jobs: int = 1
    fresh: bool = False
    steps: Sequence[str] = ()
    ways: Sequence[str] = ()
    claimed: frozenset[str] = field(default_factory=frozenset)


def draw(language: Language, wanted: Wanted) -> Drawn:
    """The mutants of a campaign, in the order of their files."""
    texts = c_texts() if language == "c" else _python_texts(wanted.root)
    patterns = wanted.patterns
    if wanted.mutant:
        patterns = (wanted.mutant.partition(":")[0],)
    files = matching(texts, patterns)
    make = c_mutants if language == "c" else python_mutants
    mutants = [mutant for file in files for mutant in make(file, texts[file])]
    names = frozenset(mutant.name for mutant in mutants)
    if wanted.mutant:
        chosen = [mutant for mutant in mutants if mutant.name == wanted.mutant]
    elif wanted.sample is not None:
        share = weight if language == "c" else _alike
        chosen = drawn(mutants, wanted.sample, wanted.seed, share)
    else:
        chosen = mutants
    return Drawn(language, chosen, names, files)


def c_texts() -> dict[str, bytes]:
    """The files of the runtime that are mutated."""
    return {
        path: text
        for path, text in runtime_files().items()
        if path.startswith(_RUNTIME) and path not in _NOT_MUTATED
    }


def tried(
    found: Drawn, wanted: Wanted, tell: Callable[[str], None]
) -> Iterator[tuple[Mutant, Outcome]]:
    """What became of each mutant, those that are kept first. Claimed ones are not tried."""
    asked = [m for m in found.mutants if wanted.mutant or m.name not in wanted.claimed]
    if not asked:
        return
    with tempfile.TemporaryDirectory(prefix="ares-mutate-") as folder:
        killer = _killer(found.language, asked, wanted, tell, Path(folder))
        kept = Kept(wanted.root, killer.steps, wanted.ways, killer.digests())
        left: list[Mutant] = []
        for mutant in asked:
            outcome = None if wanted.fresh or wanted.mutant else kept.find(mutant)
            if outcome is None:
                left.append(mutant)
            else:
                yield mutant, outcome
        for mutant, outcome in _run(killer, left, wanted) if left else ():
            kept.put(mutant, outcome)
            yield mutant, outcome


def _killer(
    language: Language,
    mutants: Sequence[Mutant],
    wanted: Wanted,
    tell: Callable[[str], None],
    folder: Path,
) -> CKiller | PythonKiller:
    if language == "python":
        steps = tuple(wanted.steps) or python_killing.STEPS
        return PythonKiller(wanted.root, wanted.jobs, steps, tell=tell)
    names = {name for mutant in mutants for name in ways_of(mutant.file)} | {CHECKED}
    names &= set(wanted.ways) or names
    ways, missing = usable_ways(tuple(names))
    for name, why in missing.items():
        tell(f"not tried: {name}: {why}")
    judges = Judges(Zoo(wanted.root))
    steps = tuple(wanted.steps) or c_killing.STEPS
    return CKiller(wanted.root, judges, runtime_files(), ways, folder, steps)


def _run(
    killer: CKiller | PythonKiller, mutants: Sequence[Mutant], wanted: Wanted
) -> Iterator[tuple[Mutant, Outcome]]:
    if isinstance(killer, PythonKiller):
        yield from killer.kill(mutants)
        return
    killer.prepare()
    with side_by_side(wanted.jobs) as pool:
        running = {pool.submit(killer.kill, mutant): mutant for mutant in mutants}
        for future in as_completed(running):
            yield running[future], future.result()


def _python_texts(root: Path) -> dict[str, bytes]:
    paths = sorted(path for pattern in _PYTHON for path in root.glob(pattern))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def is_checkout(root: Path) -> bool:
    """Whether the runtime that is emitted is that of the checkout."""
    return runtime_dir() == root / "runtime"


def _alike(_file: str) -> float:
    return 1.0
