"""The torture vectors: their files, that every case shows its fault, and that our own integers are right in all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import jsonschema
import numpy as np
import pytest

from ares.ir import DType, Graph, Operation, Tensor, frozen_array
from ares.numerics import (
    FUNCTIONS,
    lookup_table,
    plan_norm,
    plan_rescale,
    plan_weighted_sum,
)
from ares.numerics.softmax import exp_table, plan_reciprocal
from ares.ops import run_reference
from ares.ops.activation import Activation
from ares.ops.add import Add
from ares.ops.layer_norm import LayerNorm
from ares.ops.linear import Linear
from ares.ops.mean import Mean
from ares.ops.softmax import Softmax
from tests.checkout import ROOT

FOLDER = ROOT / "vectors"
OPERATIONS = ("requantise", "add", "average", "softmax", "layer_norm", "table")
Case = Mapping[str, Any]


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_files_are_what_the_schema_says(name: str) -> None:
    schema = json.loads((FOLDER / "schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(read(name))


def test_there_are_enough() -> None:
    cases = [(name, case) for name in OPERATIONS for case in read(name)["cases"]]
    assert len(cases) >= 1000
    assert len({case["class"] for _, case in cases}) >= 30
    assert len({(name, case["name"]) for name, case in cases}) == len(cases)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_case_shows_its_fault(name: str) -> None:
    for case in read(name)["cases"]:
        assert case["expected"] != case["faulty"], case["name"]
        assert len(case["expected"]) == len(case["faulty"])
        assert case["lo"] <= min(case["expected"]) <= max(case["expected"]) <= case["hi"]


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_oracle_writes_the_same_bytes(name: str) -> None:
    from vectors.make import content

    assert content(name) == (FOLDER / f"{name}.json").read_text()


def _codes(name: str, shape: tuple[int, ...], kind: DType, scale: float, zero: int) -> Tensor:
    return Tensor(name, shape, kind, scale, zero, kind.lo, kind.hi)


def _source(case: Case, name: str = "x") -> Tensor:
    kind = DType.S8 if case.get("input_signed", True) else DType.U8
    shape = (1, len(case["input"]))
    return _codes(name, shape, kind, case["input_scale"], case.get("input_zero_point", 0))


def _target(case: Case, shape: tuple[int, ...]) -> Tensor:
    kind = DType.S8 if case["lo"] < 0 else DType.U8
    return _codes("y", shape, kind, case["output_scale"], case["output_zero_point"])


def _requantise(case: Case) -> tuple[Operation, list[Tensor]]:
    source, target = _source(case), _target(case, (1, len(case["expected"])))
    unit = Fraction(case["input_scale"]) / Fraction(case["output_scale"])
    weight = np.array(case["weight"])
    bound = int(np.abs(weight).sum(axis=1).max()) * source.largest_magnitude
    rescale = plan_rescale(
        [Fraction(scale) * unit for scale in case["weight_scale"]],
        [Fraction(bias) / Fraction(case["output_scale"]) for bias in case["bias"]],
        *(target.zero_point, target.lo, target.hi, bound),
    )
    return Linear("y", ("x",), ("y",), frozen_array(weight, np.int8), rescale), [source, target]


def _add(case: Case) -> tuple[Operation, list[Tensor]]:
    shape = (1, len(case["expected"]))
    pairs = zip(case["input_scales"], case["input_zero_points"], strict=True)
    sources = [_codes(f"x{k}", shape, DType.S8, *pair) for k, pair in enumerate(pairs)]
    target = _target(case, shape)
    planned = plan_weighted_sum(
        [Fraction(s) / Fraction(case["output_scale"]) for s in case["input_scales"]],
        *(case["input_zero_points"], Fraction(target.zero_point), target.lo, target.hi),
    )
    return Add("y", ("x0", "x1"), ("y",), *planned), [*sources, target]


def _average(case: Case) -> tuple[Operation, list[Tensor]]:
    source, target = _source(case), _target(case, (1, 1))
    count = len(case["input"])
    ratio = Fraction(case["input_scale"]) / Fraction(case["output_scale"]) / count
    limits = (target.zero_point, target.lo, target.hi, count * source.largest_magnitude)
    rescale = plan_rescale([ratio], [Fraction(0)], *limits)
    return Mean("y", ("x",), ("y",), (1,), True, rescale), [source, target]


def _softmax(case: Case) -> tuple[Operation, list[Tensor]]:
    source = _source(case)
    target = _target(case, source.shape)
    tables = exp_table(case["input_scale"])
    planned = plan_reciprocal(case["output_scale"])
    return Softmax("y", ("x",), ("y",), False, *tables, *planned), [source, target]


def _layer_norm(case: Case) -> tuple[Operation, list[Tensor]]:
    source = _source(case)
    target = _target(case, source.shape)
    gammas, betas = ([Fraction(each) for each in case[name]] for name in ("gamma", "beta"))
    constants = plan_norm(
        *(FUNCTIONS["identity"], gammas, betas, Fraction(case["epsilon"]), source, target),
        *(len(case["input"]), True),
    )
    return LayerNorm("y", ("x",), ("y",), *constants, 1), [source, target]


def _table(case: Case) -> tuple[Operation, list[Tensor]]:
    source = _source(case)
    target = _target(case, source.shape)
    table = lookup_table(FUNCTIONS[case["function"]], source, target)
    return Activation("y", ("x",), ("y",), table), [source, target]


MAKERS: Mapping[str, Callable[[Case], tuple[Operation, list[Tensor]]]] = {
    "requantise": _requantise,
    "add": _add,
    "average": _average,
    "softmax": _softmax,
    "layer_norm": _layer_norm,
    "table": _table,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_our_integers_are_right_in_all(name: str) -> None:
    """The oracle shares no code with us; a fault of ours would be one of those classes, or none."""
    wrong = []
    for case in read(name)["cases"]:
        operation, tensors = MAKERS[name](case)
        *sources, target = tensors
        graph = Graph(name, (*tensors,), (operation,), tuple(t.name for t in sources), ("y",))
        given = case["inputs"] if "inputs" in case else [case["input"]]
        arrays = [
            np.array([codes], tensor.dtype.numpy)
            for codes, tensor in zip(given, sources, strict=True)
        ]
        found = run_reference(graph.validate(), arrays)[target.name].reshape(-1).tolist()
        if found != case["expected"]:
            wrong.append((case["name"], found, case["expected"]))
    assert wrong == []
