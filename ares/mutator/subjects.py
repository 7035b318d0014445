"""What a mutant of the C is judged by: the stored suites of unit cases, then some small networks of the zoo."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ares.pipeline.catalogue import Zoo
from ares.pipeline.subject import Subject

NETWORKS = (
    "test_4_resnet_basic",
    "test_13_transformer_simple",
    "test_18_mamba_block",
    "test_54_mlperf_dscnn",
)
"""Convolutions, attention and norms, a scan, depthwise layers, with the shapes that people give them."""


@dataclass(frozen=True, slots=True)
class Judges:
    """The subjects of a checkout, made when the first mutant comes to them."""

    zoo: Zoo
    _made: dict[str, Subject] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def suites(self, file: str) -> Iterator[Subject]:
        """The suites, that with the cases of this kernel first: they are divided by the alphabet."""
        letter = PurePosixPath(file).name[0]
        names = sorted(self.zoo.suites, key=lambda name: (not _holds(name, letter), name))
        return map(self._subject, names)

    def networks(self) -> Iterator[Subject]:
        """The networks, from their models."""
        return map(self._subject, NETWORKS)

    def digest(self, name: str) -> str:
        """Changes with the C of a subject, and with what its golden says."""
        subject = self._subject(name)
        facts = f"{subject.project.digest} {subject.guarded_project.digest} {subject.shows}"
        return hashlib.sha256(facts.encode()).hexdigest()

    def _subject(self, name: str) -> Subject:
        with self._lock:
            if name not in self._made:
                made = _new(self.zoo, name)
                # What it computes when it is first asked, before several threads do.
                _ = made.project, made.guarded_project, made.shows, made.references
                self._made[name] = made
            return self._made[name]


def _new(zoo: Zoo, name: str) -> Subject:
    if zoo.is_suite(name):
        from ares.pipeline.suite import SuiteSubject

        return SuiteSubject(zoo.golden / name)
    from ares.pipeline.network import NetworkSubject

    return NetworkSubject(zoo.paths(name))


def _holds(suite: str, letter: str) -> bool:
    """Whether ops_fm has the cases of operations with this letter."""
    found = re.fullmatch(r"ops_(\w)(\w)", suite)
    return found is not None and found[1] <= letter <= found[2]
