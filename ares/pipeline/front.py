"""What comes before the C, kept from one run to the next under a key of everything it was made from.

A `Front` holds the verdicts on a network's model and what its C must show; with the Graph beside it, a target can be
judged without torch (`KeptSubject`). Only what passed is kept. A cell's verdict is kept in the same way (`cell_key`):
it holds as long as the same C, built by the same compiler with the same flags, run by the same machine, is
compared with the same golden by the same code.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ares
from ares.golden import Golden, load_golden, required
from ares.ir import Graph, Project, content_digest, save_graph
from ares.ops import read_graph
from ares.pipeline.subject import GUARD, Shows, Subject
from ares.resources import runtime_dir
from ares.toolchain import Cache, Target, open_cache
from ares.toolchain.boards import with_board_files
from ares.toolchain.ingredients import build_ingredients, run_ingredients
from ares.verdict import Outcome, Verdict

_PACKAGES = ("torch", "brevitas", "numpy", "scikit-learn", "safetensors", "zstandard", "jinja2")
# What takes part in judging a built program.
_JUDGES = ("golden", "ir", "toolchain", "verdict", "pipeline/subject.py")


KEPT_OUTCOMES = (Outcome.PASS, Outcome.LEFT_OUT, Outcome.EXPECTED)
"""What is kept: a failure is computed again each time."""


@dataclass(frozen=True, slots=True)
class Front:
    """`project` and `guarded_project` are digests of the generated C."""

    verdicts: tuple[Verdict, ...]
    macs: int
    project: str
    guarded_project: str
    shows: tuple[Shows, ...]

    @classmethod
    def of(cls, subject: Subject, verdicts: tuple[Verdict, ...]) -> Front:
        return cls(
            verdicts,
            subject.macs,
            subject.project.digest,
            subject.guarded_project.digest,
            subject.shows,
        )

    @property
    def passed(self) -> bool:
        return all(verdict.outcome is Outcome.PASS for verdict in self.verdicts)

    def project_for(self, target: Target) -> str:
        """The digest of what is built for a target."""
        return self.guarded_project if target.guarded else self.project

    def having_built(self, project: Project, target: Target) -> Front:
        """The same, had `project` been planned for this target."""
        if target.guarded:
            return replace(self, guarded_project=project.digest)
        return replace(self, project=project.digest)


class KeptSubject(Subject):
    """A subject whose front passed in an earlier run, or in another process: no torch unless something is wrong."""

    def __init__(
        self, name: str, graph: Graph, golden: Path, front: Front, origin: Callable[[], Subject]
    ) -> None:
        self.name = name
        self._graph = graph
        self._folder = golden
        self._front = front
        self._origin = origin

    @property
    def graph(self) -> Graph:
        return self._graph

    @cached_property
    def golden(self) -> Golden:
        return load_golden(self._folder)

    @cached_property
    def shows(self) -> tuple[Shows, ...]:
        return self._front.shows

    def check_golden(self) -> None:
        required(self.golden, self.graph)

    def whose_fault(self, case: int, tensor: str, c_agrees: bool | None = None) -> str:
        return self._origin().whose_fault(case, tensor, c_agrees)

    def stages(self) -> Mapping[str, Callable[[], Verdict]]:
        return {}


class Store:
    """Fronts, Graphs and verdicts in the cache of built files."""

    def __init__(self, cache: Cache | None = None) -> None:
        self._cache = cache or open_cache()

    def front(self, key: str) -> Front | None:
        """None unless it is there whole, with its Graph."""
        facts = self._read("front", key) if self._graph_file(key) is not None else None
        try:
            return None if facts is None else _front_from_json(facts)
        except (LookupError, TypeError, ValueError):
            return None  # of an older format: made again

    def graph(self, key: str) -> Graph:
        """The Graph that `keep_front` put beside a front; raises LookupError when it is gone."""
        path = self._graph_file(key)
        if path is None:
            raise LookupError(key)
        return read_graph(path.read_bytes())

    def _graph_file(self, key: str) -> Path | None:
        return self._cache.find("graph", key, "graph.safetensors")

    def keep_front(self, key: str, front: Front, graph: Graph) -> None:
        self._cache.put("graph", key, "graph.safetensors", save_graph(graph))
        content = {
            "verdicts": [verdict.as_json() for verdict in front.verdicts],
            "macs": front.macs,
            "project": front.project,
            "guarded_project": front.guarded_project,
            "shows": [asdict(shows) for shows in front.shows],
        }
        self._cache.put("front", key, "front.json", json.dumps(content).encode())

    def verdict(self, key: str) -> Verdict | None:
        facts = self._read("verdict", key)
        try:
            return None if facts is None else Verdict.from_json({**facts, "kept": True})
        except (LookupError, TypeError, ValueError):
            return None

    def keep_verdict(self, key: str, verdict: Verdict) -> None:
        content = json.dumps(verdict.as_json()).encode()
        self._cache.put("verdict", key, "verdict.json", content)

    def forget_verdict(self, key: str) -> None:
        """What was found now is not what was found then."""
        self._cache.drop("verdict", key)

    def _read(self, kind: str, key: str) -> Any:
        path = self._cache.find(kind, key, f"{kind}.json")
        try:
            return None if path is None else json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None


def _front_from_json(facts: Any) -> Front:
    return Front(
        tuple(Verdict.from_json({**verdict, "kept": True}) for verdict in facts["verdicts"]),
        int(facts["macs"]),
        str(facts["project"]),
        str(facts["guarded_project"]),
        tuple(Shows(shows["tensors"], tuple(shows["outputs"])) for shows in facts["shows"]),
    )


def look_again() -> None:
    """Have the next keys made from ARES' files as they are now: an editor may be faster than a run."""
    _package_digest.cache_clear()
    _judges_digest.cache_clear()


def front_key(name: str, files: Iterable[Path]) -> str:
    """The key of a subject's front: all of ARES, the packages that compute, and the subject's own files."""
    return _digest([name, str(GUARD), _package_digest(), *_contents(files)])


def cell_key(
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
        _judges_digest(),
        json.dumps([asdict(shows) for shows in front.shows]),
    ]
    stored = _contents(path for path in files if path.parent.name != "test_networks")
    return _digest([*facts, *stored, *inputs])


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


@cache
def _package_digest() -> str:
    package, runtime = Path(ares.__file__).parent, runtime_dir()
    files = [*_sources(package), *sorted(runtime.rglob("*.[chS]")), *sorted(runtime.rglob("*.ld"))]
    versions = [f"{package} {_version(package)}" for package in _PACKAGES]
    return _digest([platform.python_version(), *versions, *_contents(files)])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is not installed"


@cache
def _judges_digest() -> str:
    package = Path(ares.__file__).parent
    parts = [package / part for part in _JUDGES]
    return _digest(_contents(path for part in parts for path in _sources(part)))


def _sources(part: Path) -> list[Path]:
    if not part.exists():
        # Nothing would be hashed, and verdicts would outlive a change of what judged them.
        raise FileNotFoundError(f"{part} makes or judges verdicts, and is not there")
    return [part] if part.is_file() else sorted([*part.rglob("*.py"), *part.rglob("*.j2")])
