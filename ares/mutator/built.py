"""A way made ready: its runtime, and its subjects' tables as objects: of a mutant only its own file is compiled.

A program of a mutant is linked from the subject's objects, the mutated ones and, behind them, the library of the
unmutated runtime, of which the linker then takes everything else. Commands are those of the product's `Recipe`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ares.ir import Binary, Project, Recipe
from ares.mutator.ways import Way
from ares.toolchain import BuildFailure, ToolchainError, build, open_cache, recipe_of
from ares.toolchain.build import LIBRARY, PROGRAM, runtime_library, write_files
from ares.toolchain.process import run_process

# Seconds for one file; none takes more than a few.
_PATIENCE = 120.0
# Mutants may earn warnings.
_QUIET = "-w"
Objects = Mapping[str, bytes]
"""Source of the runtime -> its object."""


class Unbuilt(Exception):
    """A mutant that no compiler takes; the message is the compiler's."""


@dataclass(frozen=True, slots=True, eq=False)
class BuiltWay:
    """The work of a way in a folder of its own. Several threads may use it."""

    way: Way
    folder: Path
    runtime: Mapping[str, bytes]
    _recipe: list[Recipe] = field(default_factory=list)
    _plain: dict[str, bytes] = field(default_factory=dict)
    _programs: dict[str, tuple[Recipe, Path]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def plain(self, source: str) -> bytes:
        """The object of a source as it stands."""
        with self._lock:
            if source not in self._plain:
                self._plain[source] = self._compiled(self._tree(), source, self.folder / "plain.o")
            return self._plain[source]

    def mutated(self, file: str, text: bytes, sources: Iterable[str], work: Path) -> Objects:
        """The objects of these sources that another text of a file changes. Raises Unbuilt."""
        tree = self._mirrored(file, text, work)
        found: dict[str, bytes] = {}
        for source in sources:
            made = self._compiled(tree, source, work / "mutated.o")
            if made != self.plain(source):
                found[source] = made
        return found

    def binary(self, project: Project, objects: Objects, work: Path) -> Binary:
        """The program of a project with mutated objects. Raises Unbuilt."""
        recipe, made = self._program(project)
        written = {source: _object(source) for source in _sources(project)}
        written[PROGRAM] = str(work / PROGRAM)
        words: list[str] = []
        for word in recipe.program:
            mutated = _laid(objects, work) if word == LIBRARY else []
            words += [*mutated, written.get(word, word)]
        self._run(words, made, made)  # where the linker scripts of boards are
        return Binary(work / PROGRAM, recipe)

    def check(self, source: Path, objects: Objects, work: Path) -> Path:
        """A program of one file of its own, with mutated objects. Raises Unbuilt."""
        recipe = self._runtime_recipe()
        target = self.way.target
        made = self.folder / f"check-{source.stem}.o"
        with self._lock:
            if not made.exists():
                tree = self._tree() / "runtime"
                words = [*target.compiler, *target.flags, _QUIET]
                words += [f"-I{tree / 'inc'}", f"-I{tree / 'trace'}", "-c", str(source)]
                self._run([*words, "-o", str(made)], self.folder, self.folder)
        words = [*target.compiler, *target.flags, str(made), *_laid(objects, work)]
        words += [str(runtime_library(recipe, target)), *target.link_flags, "-o", PROGRAM]
        self._run(words, work, work)
        return work / PROGRAM

    def _runtime_recipe(self) -> Recipe:
        with self._lock:
            if not self._recipe:
                shared = Project("runtime", self.runtime, (), "", (), (), ())
                self._recipe.append(recipe_of(shared, self.way.target))
            return self._recipe[0]

    def _tree(self) -> Path:
        """The runtime as it stands, laid out once."""
        tree = self.folder / "tree"
        with self._lock:
            if not tree.exists():
                write_files(self._runtime_recipe().files, tree)
        return tree

    def _mirrored(self, file: str, text: bytes, work: Path) -> Path:
        """A folder that is the tree in all but one file: links to it."""
        tree, mirror = self._tree(), work / "tree"
        place = Path(file)
        for folder in sorted(tree.glob("runtime/*")):
            beside = mirror / folder.relative_to(tree)
            if folder.name in ("inc", "src"):
                beside.mkdir(parents=True)
                for path in folder.iterdir():
                    if path.name != place.name or folder.name != place.parent.name:
                        (beside / path.name).symlink_to(path)
            else:
                beside.parent.mkdir(parents=True, exist_ok=True)
                beside.symlink_to(folder)
        (mirror / file).write_bytes(text)
        return mirror

    def _compiled(self, tree: Path, source: str, out: Path) -> bytes:
        (command,) = [c for c in self._runtime_recipe().library if source in c]
        words = [*command[:-1], str(out)]
        self._run([*words, _QUIET], tree, self.folder)
        return out.read_bytes()

    def _program(self, project: Project) -> tuple[Recipe, Path]:
        """What the programs of a project share: built once, as the product builds it, then in objects."""
        with self._lock:
            if project.name not in self._programs:
                try:
                    recipe = build(project, self.way.target).recipe
                except BuildFailure as error:
                    raise ToolchainError(f"{self.way.name}: {error}") from error
                made = self.folder / f"program-{project.name}"
                write_files(recipe.files, made)
                (made / LIBRARY).symlink_to(runtime_library(recipe, self.way.target))
                sources = _sources(project)
                flags = recipe.program[: recipe.program.index(sources[0])]
                for source in sources:
                    words = [*flags, _QUIET, "-c", source, "-o", _object(source)]
                    self._run(words, made, made)
                self._programs[project.name] = (recipe, made)
            return self._programs[project.name]

    def _run(self, words: Sequence[str], folder: Path, local: Path) -> None:
        environment = {}
        if self.way.target.family == "zig":
            own = os.environ.get("ZIG_GLOBAL_CACHE_DIR")
            shared = Path(own).absolute() if own else open_cache().root / "zig"
            environment["ZIG_GLOBAL_CACHE_DIR"] = str(shared)
            environment["ZIG_LOCAL_CACHE_DIR"] = str(local / ".zig-cache")
        done = run_process(words, folder=folder, timeout=_PATIENCE, environment=environment)
        if done.code != 0:
            told = [line for line in done.stderr.splitlines() if "error" in line]
            raise Unbuilt(told[0] if told else f"{words[0]} ended with {done.code}")


def _laid(objects: Objects, work: Path) -> list[str]:
    """Write objects into a folder; their paths."""
    paths = []
    for source, content in objects.items():
        path = work / f"mutated-{Path(source).stem}.o"
        path.write_bytes(content)
        paths.append(str(path))
    return paths


def _sources(project: Project) -> tuple[str, ...]:
    return (*project.sources, project.main)


def _object(source: str) -> str:
    return f"object-{source.replace('/', '-')}.o"
