"""Builds a project in which little differs from a right one: what is the same is kept, the rest compiled anew.

The commands are those of the product's own recipe. What the runtime's library holds of the right project is the
product's entry in the cache; sources that a change reaches, by themselves or by a header that they include, are
compiled again, if the subject's program has any use for them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath

from ares.ir import Binary, Project, Recipe
from ares.toolchain import Target, open_cache, prepare
from ares.toolchain.build import LIBRARY, PROGRAM, recipe_of, write_files
from ares.toolchain.process import run_process

_INCLUDE = re.compile(rb'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
_MEMBER = re.compile(rf"{re.escape(LIBRARY)}\)?\(?([\w.-]+\.o)")
TIMEOUT = 120.0


class Workbench:
    """For one right project on one target."""

    def __init__(self, right: Project, target: Target, folder: Path) -> None:
        self.target = target
        self.folder = folder
        self.right = recipe_of(right, target)
        self.project = right
        self._kept: set[str] = set()  # signatures whose files lie in their folder

    @property
    def _sources(self) -> Mapping[str, str]:
        """Source of the runtime -> its object."""
        return {command[-3]: command[-1] for command in self.right.library[:-1]}

    @cached_property
    def library(self) -> Path:
        """The runtime of the right project, as `ares.toolchain` has built it."""
        prepare(self.project, self.target)
        key = self.right.library_key
        found = open_cache().find(f"library-{self.target.name}", key, LIBRARY)
        assert found is not None
        return found

    @cached_property
    def needed(self) -> frozenset[str]:
        """The objects of the library that the right program is linked with."""
        said = self._link(self.project, self.right, {}, ("-Wl,-t,-t",))
        return frozenset(_MEMBER.findall(said))

    def build(
        self,
        project: Project,
        target: Target,
        *,
        progress: Callable[[str], None] | None = None,
        since: float = 0.0,
    ) -> Binary:
        """In place of `ares.toolchain.build`: the program of a project that differs from the right one."""
        del progress, since
        assert target == self.target
        recipe = recipe_of(project, target)
        program = self.folder / recipe.signature / PROGRAM
        if not program.exists():
            self._link(project, recipe, self._changed(recipe), ())
        return Binary(program, recipe)

    def _changed(self, recipe: Recipe) -> dict[str, Path]:
        """The objects that the right program needs and that a change reaches, compiled anew."""
        files = self.right.files
        different = {path for path, content in recipe.files.items() if files.get(path) != content}
        return {
            built: self._object(recipe, source, _library_command(recipe, source))
            for source, built in self._sources.items()
            if built in self.needed and not different.isdisjoint(self._reached[built])
        }

    @cached_property
    def _reached(self) -> Mapping[str, frozenset[str]]:
        """Object that is needed -> its source and all that this includes, in the right project."""
        return {
            built: frozenset(_closure(self.right.files, source))
            for source, built in self._sources.items()
            if built in self.needed
        }

    def _link(
        self, project: Project, recipe: Recipe, objects: Mapping[str, Path], more: tuple[str, ...]
    ) -> str:
        """Objects of the runtime come before the library, and so in place of those in it."""
        command = recipe.program
        first = command.index(project.sources[0])
        head, tail = command[:first], command[command.index(LIBRARY) + 1 :]
        unsigned = tuple(word for word in head if not word.startswith("-DARES_SIGNATURE="))
        own = [
            self._object(recipe, source, (*unsigned, "-w", "-c", source))
            for source in project.sources
        ]
        work = self._folder(recipe)
        words = (*head, "-w", project.main, *map(str, (*own, *objects.values(), self.library)))
        return self._run((*words, *more, *tail), work)

    def _object(self, recipe: Recipe, source: str, command: tuple[str, ...]) -> Path:
        made = self.folder / "objects" / f"{self._key(recipe.files, source)}.o"
        if not made.exists():
            work = self._folder(recipe)
            made.parent.mkdir(parents=True, exist_ok=True)
            self._run((*command, "-o", str(made)), work)
        return made

    def _run(self, command: tuple[str, ...], work: Path) -> str:
        finished = run_process(command, folder=work, timeout=TIMEOUT)
        if finished.code != 0:
            raise AssertionError(f"what is planted does not compile: {finished.stderr[:2000]}")
        return finished.stdout

    def _folder(self, recipe: Recipe) -> Path:
        """Where a project's files lie."""
        work = self.folder / recipe.signature
        if recipe.signature not in self._kept:
            write_files(recipe.files, work)
            self._kept.add(recipe.signature)
        return work

    def _key(self, files: Mapping[str, bytes], source: str) -> str:
        """A digest of a source and all that it includes."""
        digest = hashlib.sha256()
        for path in _closure(files, source):
            digest.update(path.encode() + b"\0" + files[path] + b"\0")
        return digest.hexdigest()[:32]


def _closure(files: Mapping[str, bytes], source: str) -> list[str]:
    """A source and all that it includes, whatever the conditions."""
    found = [source]
    for path in found:
        for name in _includes(files[path]):
            other = _included(files, path, name)
            if other is not None and other not in found:
                found.append(other)
    return found


@lru_cache(maxsize=1024)
def _includes(content: bytes) -> tuple[str, ...]:
    return tuple(name.decode() for name in _INCLUDE.findall(content))


def _included(files: Mapping[str, bytes], path: str, name: str) -> str | None:
    """The file of the project that is meant: names of headers are there once."""
    wanted = PurePosixPath(name).name
    folder = str(PurePosixPath(path).parent)
    near = wanted if folder == "." else f"{folder}/{wanted}"
    if near in files:
        return near
    found = [file for file in files if PurePosixPath(file).name == wanted]
    return found[0] if found else None


def _library_command(recipe: Recipe, source: str) -> tuple[str, ...]:
    (command,) = [c for c in recipe.library[:-1] if c[-3] == source]
    return (*command[:-2], "-w")
