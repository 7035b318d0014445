"""Keys of what is kept: digests of everything that it was made from.

A front holds as long as nothing changes of all ARES, of the packages that compute, and of the subject's own files. The
verdict of a cell holds as long as the same C, built by the same compiler with the same flags, run by the same
machine, is compared with the same golden by the same code.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import ares
from ares.ir import content_digest
from ares.pipeline.front import Front
from ares.pipeline.subject import GUARD
from ares.resources import runtime_dir
from ares.toolchain import Target
from ares.toolchain.boards import with_board_files
from ares.toolchain.ingredients import build_ingredients, run_ingredients

_PACKAGES = ("torch", "brevitas", "numpy", "scikit-learn", "safetensors", "zstandard", "jinja2")
# What takes part in judging a built program.
_JUDGES = ("golden", "ir", "toolchain", "verdict", "pipeline/subject.py", "pipeline/compiled.py")


class Keys:
    """Keys that take ARES' own files as they are when the first key is asked for.

    An editor may be faster than a run: who has compiled or judged since then makes new ones.
    """

    def front(self, name: str, files: Iterable[Path]) -> str:
        """The key of a subject's front; `files` are the subject's own."""
        return _digest([name, str(GUARD), self.package, *_contents(files)])

    def cell(
        self,
        front: Front,
        files: Iterable[Path],
        target: Target,
        only_case: int | None = None,
        inputs: Iterable[str] = (),
    ) -> str:
        """The key of a verdict on a target; `files` are the subject's own, `only_case` as for `Subject.target`.

        `inputs`: digests of those that are in none of the files.
        """
        case = "all cases" if only_case is None else f"case {only_case % len(front.shows)}"
        facts = [
            case,
            target.name,
            target.compiler_identity(),
            target.machine.identity(),
            *build_ingredients(target),
            *run_ingredients(target),
            repr(target),
            front.project_for(target),
            _board_digest(target.machine.board),
            self._judges,
            json.dumps([asdict(shows) for shows in front.shows]),
        ]
        stored = _contents(path for path in files if path.parent.name != "test_networks")
        return _digest([*facts, *stored, *inputs])

    @cached_property
    def package(self) -> str:
        """A digest of ARES' own files and of the packages that compute."""
        package, runtime = Path(ares.__file__).parent, runtime_dir()
        files = [
            *_sources(package),
            *sorted(runtime.rglob("*.[chS]")),
            *sorted(runtime.rglob("*.ld")),
        ]
        versions = [f"{package} {_version(package)}" for package in _PACKAGES]
        return _digest([platform.python_version(), *versions, *_contents(files)])

    @cached_property
    def _judges(self) -> str:
        package = Path(ares.__file__).parent
        parts = [package / part for part in _JUDGES]
        return _digest(_contents(path for part in parts for path in _sources(part)))


def _digest(facts: Iterable[str]) -> str:
    return hashlib.sha256(json.dumps(list(facts)).encode()).hexdigest()[:32]


def _contents(files: Iterable[Path]) -> list[str]:
    return [f"{path.parent.name}/{path.name} {_content(path)}" for path in files]


def _content(path: Path) -> str:
    facts = path.stat()
    return _content_then(path, facts.st_mtime_ns, facts.st_size)


@cache
def _content_then(path: Path, _changed: int, _size: int) -> str:
    """Read once, and again when it was written to."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _board_digest(board: str | None) -> str:
    """What `build` adds to a project where there is no operating system."""
    return "" if board is None else content_digest(with_board_files({}, board))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is not installed"


def _sources(part: Path) -> list[Path]:
    if not part.exists():
        # Nothing would be hashed, and verdicts would outlive a change of what judged them.
        raise FileNotFoundError(f"{part} makes or judges verdicts, and is not there")
    return [part] if part.is_file() else sorted([*part.rglob("*.py"), *part.rglob("*.j2")])
