"""`ares` imported anew in a child, one module of it with another text, and with a cache that is the child's own."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from types import CodeType, ModuleType

from ares.mutator.mutant import Mutant
from ares.toolchain.cache import VARIABLE, open_cache


def forget() -> None:
    """Let all of `ares` be imported anew. What runs here goes on with what it has."""
    for name in list(sys.modules):
        if name == "ares" or name.startswith(("ares.", "tests.", "tools.")):
            del sys.modules[name]


def import_mutated(root: Path, mutant: Mutant) -> None:
    """From here on, whoever imports the mutant's module gets its text."""
    forget()
    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, _Mutated(root, mutant))


class own_cache:
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
