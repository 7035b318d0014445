"""What a mutant of the C is judged by: the stored suites of unit cases, then some small networks of the zoo."""

from __future__ import annotations

import re
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

    def suites(self, file: str) -> Iterator[Subject]:
        """The suites, that with the cases of this kernel first: they are divided by the alphabet."""
        letter = PurePosixPath(file).name[0]
        names = sorted(self.zoo.suites, key=lambda name: (not _holds(name, letter), name))
        return map(self._subject, names)

    def networks(self) -> Iterator[Subject]:
        """The networks, from their models."""
        return map(self._subject, NETWORKS)

    def prepare(self, *, networks: bool) -> None:
        """Make subjects, and what a right run shows of them, before several threads ask."""
        for subject in (*self.suites("a.c"), *(self.networks() if networks else ())):
            _ = subject.project, subject.shows, subject.references

    def _subject(self, name: str) -> Subject:
        if name not in self._made:
            self._made[name] = _new(self.zoo, name)
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
