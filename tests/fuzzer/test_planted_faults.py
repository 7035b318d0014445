"""Drawn graphs see faults that are planted on purpose: in kernels, references, extraction and the planner."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from ares.toolchain import Target
from tests.fuzzer.planting import (
    IN_C,
    IN_EXTRACTION,
    IN_REFERENCE,
    Graphs,
    Seen,
    any_node,
    overlapping,
    seen_by_torch,
    seen_in_c,
    seen_in_plan,
)
from tests.fuzzer.targets import quickest
from tests.slow import slow_but


@pytest.fixture(scope="module")
def graphs() -> Graphs:
    return Graphs()


@pytest.fixture(scope="module")
def target() -> Target:
    return quickest()


def _told(seen: Seen | None, fault: str) -> Seen:
    assert seen is not None, f"{fault}: no graph of all sees it"
    print(f"{fault}: seed {seen[0]}: {seen[1]}", file=sys.stderr)
    return seen


@pytest.mark.parametrize("fault", slow_but([0, 1], IN_C))
def test_in_c(fault: str, graphs: Graphs, target: Target) -> None:
    assert _told(seen_in_c(graphs, target, *IN_C[fault]), fault)[1].startswith("c: ")


@pytest.mark.parametrize("fault", slow_but([0], IN_REFERENCE))
def test_in_a_reference(fault: str, graphs: Graphs, monkeypatch: Any) -> None:
    plant, wanted = IN_REFERENCE[fault]
    graphs.make(wanted)  # without the fault
    plant(monkeypatch)
    seen = seen_by_torch(graphs, wanted, "analysis", "graph", "cases", "_witness")
    assert _told(seen, fault)[1].startswith("torch: ")


@pytest.mark.parametrize("fault", slow_but([0], IN_EXTRACTION))
def test_in_extraction(fault: str, graphs: Graphs, monkeypatch: Any) -> None:
    plant, wanted = IN_EXTRACTION[fault]
    graphs.make(wanted)
    plant(monkeypatch)
    assert _told(seen_by_torch(graphs, wanted), fault)[1].startswith(("torch: ", "check: "))


def test_in_the_plan(graphs: Graphs, target: Target, monkeypatch: Any) -> None:
    graphs.make(any_node)
    overlapping(monkeypatch)
    assert _told(seen_in_plan(graphs, target), "buffers overlap")[1] == "c: difference"
