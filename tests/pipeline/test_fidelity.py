"""Fidelity without teacher forcing: what the table says of equal codes, of planted differences, of ends in float."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ares.golden import GoldenCase
from ares.pipeline.fidelity import fidelity
from ares.pipeline.network import NetworkSubject
from ares.witness_float32 import free_running
from tests.witness.planting import (
    PROBE,
    copy_network,
    one_code_changed,
    prepared,
    with_golden,
    write_network,
)


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> NetworkSubject:
    """Powers of two for all scales: nothing is rounded on the way, so nothing can differ."""
    return prepared(with_golden(write_network(tmp_path_factory.mktemp("probe"), PROBE)))


@pytest.fixture(scope="module")
def simple(tmp_path_factory: pytest.TempPathFactory) -> NetworkSubject:
    return prepared(copy_network("test_1_simplecnn", tmp_path_factory.mktemp("simple")))


def facts(session: NetworkSubject, cases: tuple[GoldenCase, ...] | None = None) -> dict[str, Any]:
    """Of all cases, with every array in them that a golden may leave out."""
    full = tuple(
        replace(case, arrays={**case.arrays, **session.expected(number)})
        for number, case in enumerate(session.golden.cases)
    )
    return fidelity(session.model, session.graph, cases or full)


def changed(
    session: NetworkSubject, name: str, edit: Callable[[np.ndarray], np.ndarray]
) -> tuple[GoldenCase, ...]:
    """The cases with another array for one tensor of the first."""
    cases = [
        replace(case, arrays={**case.arrays, **session.expected(number)})
        for number, case in enumerate(session.golden.cases)
    ]
    arrays = {**cases[0].arrays, name: edit(cases[0].arrays[name])}
    return (replace(cases[0], arrays=arrays), *cases[1:])


def test_powers_of_two_leave_no_difference(probe: NetworkSubject) -> None:
    """But for the edge case, whose inputs lie where binary32 and float64 round differently."""
    found = facts(probe)
    by_case = dict(found["equal_by_case"])
    assert 0.9 < by_case.pop("edge") < 1.0
    assert by_case == {"realistic": 1.0, "random": 1.0}
    assert found["same_class"] == 1.0
    # Without the edge case the outputs are those of the model, up to binary32.
    assert facts(probe, changed(probe, "average", np.copy)[:2])["outputs"] < 2.0**-20
    # 144 codes a case: what the last quantiser made, before the binary32 output.
    assert found["codes"] == 144 * len(probe.golden.cases)


@pytest.mark.parametrize("by", [1, -1, 7])
def test_a_planted_code_is_shown(probe: NetworkSubject, by: int) -> None:
    name = "average"
    before, without = probe.expected(0)[name], facts(probe)
    index = tuple(int(i) for i in np.argwhere((before > -100) & (before < 100))[0])
    found = facts(probe, changed(probe, name, lambda array: one_code_changed(array, index, by)))
    shares = {**without["equal_by_case"], probe.golden.cases[0].name: round(143 / 144, 4)}
    assert found["equal_by_case"] == shares
    assert found["equal"] < without["equal"]
    assert found["largest"] == max(abs(by), without["largest"])
    # The output was not touched.
    assert (found["outputs"], found["same_class"]) == (without["outputs"], 1.0)


def test_another_class_and_another_output_are_shown(probe: NetworkSubject) -> None:
    def swapped(array: np.ndarray) -> np.ndarray:
        other = array.copy()
        low, high = int(array[0].argmin()), int(array[0].argmax())
        other[0, [low, high]] = array[0, [high, low]]
        return other

    found = facts(probe, changed(probe, probe.graph.outputs[0], swapped))
    count = len(probe.golden.cases)
    assert found["same_class"] == round((count - 1) / count, 4)
    assert found["outputs"] > 1e-3
    assert found["equal_by_case"] == facts(probe)["equal_by_case"]


def test_a_network_whose_scales_are_any_number(simple: NetworkSubject) -> None:
    found = facts(simple)
    by_case = found["equal_by_case"]
    assert min(by_case["realistic"], by_case["random"]) > 0.99
    assert found["same_class"] == 1.0


def test_what_is_compared_is_what_the_model_computes_alone(probe: NetworkSubject) -> None:
    """No golden code is handed to the model: a first layer that is off makes the last codes differ."""
    model, graph = probe.model, probe.graph
    inputs = probe.golden.cases[0].inputs
    free = free_running(model, graph, inputs, ["conv", "average"])
    assert np.array_equal(free["average"], probe.expected(0)["average"])
    other = free_running(model, graph, [inputs[0] * 0.5], ["conv", "average"])
    assert not np.array_equal(other["average"], free["average"])
