"""The unit cases of the operations as a subject of the matrix: stages `extract` (the stored Graph) and `reference`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from ares.golden import Golden
from ares.golden.operations import OperationSuite, load_operation_suite
from ares.ir import Graph
from ares.pipeline.subject import Subject
from ares.verdict import EXTRACT, REFERENCE, Stage, Verdict


class SuiteSubject(Subject):
    """A stored suite; its golden is what the oracles of the tests said."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.folder = folder

    @cached_property
    def suite(self) -> OperationSuite:
        return load_operation_suite(self.folder)

    @property
    def graph(self) -> Graph:
        return self.suite.graph

    @property
    def golden(self) -> Golden:
        return self.suite.golden

    def check_golden(self) -> None:
        """`load_operation_suite` has compared the two."""
        _ = self.suite

    def stages(self) -> Mapping[Stage, Callable[[], Verdict]]:
        return {EXTRACT: self._extract, REFERENCE: self.judge_reference}

    def _extract(self) -> Verdict:
        return self.succeed(EXTRACT.name, f"{len(self.graph.operations)} operations")

    def whose_fault(self, case: int, tensor: str, c_agrees: bool | None = None) -> str:
        if self.reference_agrees(case, tensor):
            return "the C differs; the reference agrees with the test's oracle: fault in kernel, plan or compiler"
        return (
            "the reference differs from what the test's oracle said: fault in the reference, or the suite is out of "
            "date (python tools/regenerate_golden.py --check says what differs)"
        )
