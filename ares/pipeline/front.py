"""What comes before the C, kept from one run to the next under a key of everything it was made from (`keys.py`).

A `Front` holds the verdicts on a network's model and what its C must show; with the Graph beside it, a target can be
judged without torch (`KeptSubject`). Only what passed is kept. A cell's verdict is kept in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ares.golden import Golden, load_golden, required
from ares.ir import Graph, Project, save_graph
from ares.ops import read_graph
from ares.pipeline.subject import Shows, Subject
from ares.toolchain import Cache, Target, open_cache
from ares.verdict import Outcome, Stage, Verdict


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

    def stages(self) -> Mapping[Stage, Callable[[], Verdict]]:
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
