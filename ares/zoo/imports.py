"""A Python file as a module: alone, as a script is, or as a member of its package where it imports relatively.

Modules get names of their own, so that files with equal stems and packages of equal names do not meet, nor shadow what
is installed. The package of a file with relative imports is its folder, and every folder above it up to the last that
holds an `__init__.py`; folders without one count as far as the imports reach.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

_PREFIX = "ares_network_"


def import_file(path: Path) -> ModuleType:
    """Run the file and return its module; raises whatever that raises, and forgets what was imported by then."""
    path = path.resolve()
    name = f"{_PREFIX}{_digest(path)}_{path.stem}"
    with surroundings(path):
        level = _relative_level(path)
        if not level:
            return _run(name, path)
        top = _top(path.parent, level)
        package = f"{_PREFIX}{_digest(top)}_{top.name.replace('.', '_')}"
        _forget(package)
        try:
            return _member(package, top, path)
        except BaseException:
            _forget(package)
            raise


@contextmanager
def surroundings(path: Path) -> Iterator[None]:
    """While code of the file runs, its folder comes first on sys.path, as for a script, then that of its package.

    Modules that came from that folder are forgotten again, so that a `layers.py` beside the next network is not
    mistaken for this one's.
    """
    folder = path.resolve().parent
    above = _top(folder, 1).parent if _is_package(folder) else folder
    before = set(sys.modules)
    added = [str(folder)] if above == folder else [str(folder), str(above)]
    sys.path[:0] = added
    try:
        yield
    finally:
        for entry in added:
            with suppress(ValueError):  # the file may have removed it
                sys.path.remove(entry)
        for name in set(sys.modules) - before:
            if not name.startswith(_PREFIX) and _lies_in(name, (folder, above)):
                del sys.modules[name]


def _lies_in(name: str, folders: tuple[Path, ...]) -> bool:
    """Whether a module, or the package that it is in, was found in one of the folders."""
    top = sys.modules.get(name.partition(".")[0], sys.modules[name])
    places = [*getattr(top, "__path__", ())] or [getattr(top, "__file__", None)]
    return any(isinstance(place, str) and Path(place).parent in folders for place in places)


def _relative_level(path: Path) -> int:
    """How far up the relative imports of a file reach: 0 for none, 1 for `from .x import y`."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return 0  # running it says more
    return max((n.level for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)), default=0)


def _top(folder: Path, level: int) -> Path:
    """The outermost folder of the package that a file in `folder` belongs to."""
    top = folder
    for _ in range(level - 1):
        top = top.parent
    while _is_package(top.parent):
        top = top.parent
    return top


def _is_package(folder: Path) -> bool:
    return (folder / "__init__.py").is_file()


def _member(package: str, top: Path, path: Path) -> ModuleType:
    """The file as a module of its package, whose `__init__.py` files run before it, from `top` on."""
    folder = top
    _package(package, folder)
    for part in path.parent.relative_to(top).parts:
        folder, package = folder / part, f"{package}.{part.replace('.', '_')}"
        if package not in sys.modules:  # the package above may have imported it
            _package(package, folder)
    name = f"{package}.{path.stem.replace('.', '_')}"
    if path.stem == "__init__":
        return sys.modules[package]
    # The same holds for the file: running it twice would make every class twice.
    return sys.modules[name] if name in sys.modules else _run(name, path)


def _package(name: str, folder: Path) -> None:
    initial = folder / "__init__.py"
    if initial.is_file():
        _run(name, initial, [str(folder)])
        return
    module = ModuleType(name)
    module.__path__ = [str(folder)]
    module.__package__ = name
    sys.modules[name] = module


def _run(name: str, path: Path, search: list[str] | None = None) -> ModuleType:
    # Any file name will do, with or without .py.
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_loader(name, loader, is_package=search is not None)
    assert spec is not None
    if search is not None:
        spec.submodule_search_locations = search
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as `import` does: classes look their module up by name
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _forget(package: str) -> None:
    """Drop a package and what is in it: its files may have changed since."""
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]:
        del sys.modules[name]


def _digest(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:12]
