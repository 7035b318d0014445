"""Models of recipes: what is promised of shapes, scales, weights and sameness."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ares.fuzzer.drawing import draw
from ares.fuzzer.inputs import CASES, cases_of
from ares.fuzzer.judging import DrawnSubject
from ares.fuzzer.models import KINDS, DrawnModel, build
from ares.fuzzer.recipe import InputSpec, Node, Recipe
from ares.fuzzer.shapes import shapes_of
from tests.slow import one_in

ROW = InputSpec((1, 6))


def _quant(name: str, operand: int, **options: object) -> Node:
    return Node(name, "quant", (operand,), {"bits": 8, "scale": 0.25, **options})  # type: ignore[dict-item]


def _linear(name: str, operand: int, **options: object) -> Node:
    known = {"out": 4, "unit": 0.125, "weights": "uniform", "bias": "float", "weight_bits": 8}
    return Node(name, "linear", (operand,), {**known, **options})  # type: ignore[dict-item]


@pytest.mark.parametrize("seed", one_in(8, range(100, 124)))
def test_every_value_has_its_shape(seed: int) -> None:
    recipe = draw(seed)
    model, inputs = build(recipe)
    assert isinstance(model, DrawnModel)
    shown = Recipe(seed, recipe.inputs, recipe.nodes, tuple(range(len(shapes_of(recipe)))))
    model, inputs = build(shown)
    with torch.no_grad():
        values = model(*inputs)
    assert [tuple(value.shape) for value in values] == list(shapes_of(recipe))


def test_equal_recipes_build_equal_models() -> None:
    first, second = (build(draw(11))[0].state_dict() for _ in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("scaling", ["const", "parameter", "runtime"])
@pytest.mark.parametrize("zero_point", [0, 77])
def test_a_quantiser_has_its_numbers(scaling: str, zero_point: int) -> None:
    options = {"scaling": scaling, "zero_point": zero_point, "signed": not zero_point, "bits": 7}
    recipe = Recipe(1, (ROW,), (_quant("q", 0, **options),), (1,))
    model, inputs = build(recipe)
    with torch.no_grad():
        found = model(*inputs)
    assert float(found.scale) == 0.25
    assert int(found.zero_point) == zero_point
    assert float(found.bit_width) == 7.0


def test_weights_follow_their_node_alone() -> None:
    """Neither what stands before a node nor its place decides its weights."""
    whole = Recipe(
        5, (ROW,), (_quant("q", 0), _linear("f", 1), _quant("r", 2), _linear("g", 3)), (4,)
    )
    less = Recipe(5, (ROW,), (_quant("r", 0), _linear("g", 1, out=4)), (2,))
    weights = [build(recipe)[0].get_submodule("g").weight for recipe in (whole, less)]
    assert weights[0].shape == (4, 4)
    assert weights[1].shape == (4, 6)
    assert torch.equal(weights[0].reshape(-1), weights[1].reshape(-1)[:16])
    simple = Recipe(5, (ROW,), less.nodes, (2,), weights="ones")
    assert set(build(simple)[0].get_submodule("g").weight.reshape(-1).tolist()) == {127 * 0.125}


def test_a_module_that_is_shared_is_one() -> None:
    nodes = (
        _quant("q", 0),
        _linear("f", 1, out=6),
        _quant("r", 2),
        Node("again", "linear", (3,), {"same_as": "f"}),
    )
    model, inputs = build(Recipe(5, (ROW,), nodes, (4,)))
    assert [name for name, _ in model.named_children()] == ["q", "f", "r"]
    with torch.no_grad():
        assert model(*inputs).shape == (1, 6)


def test_the_cases_reach_their_edges() -> None:
    recipe = Recipe(5, (InputSpec((1, 400)),), (_quant("q", 0),), (1,), cases=CASES)
    subject = DrawnSubject(recipe, str)
    cases = {case.name: case.inputs[0].reshape(-1) / np.float32(0.25) for case in subject.cases}
    assert [case.name for case in subject.cases] == list(CASES)
    halves = cases["ties"] - np.floor(cases["ties"])
    assert (halves == 0.5).sum() > 80
    assert ((halves != 0.5) & (abs(halves - 0.5) < 1e-3)).sum() > 80
    assert cases["beyond"].min() < -129
    assert cases["beyond"].max() > 128
    assert set(np.unique(cases["extremes"])) <= {-128.0, 127.0}
    assert np.count_nonzero(cases["one hot"]) == 1
    assert len(np.unique(cases["equal"])) == 1
    assert len(np.unique(np.round(cases["random"]))) > 150
    again = cases_of(subject.graph, 5, CASES)
    assert all(
        np.array_equal(a.inputs[0], b.inputs[0]) for a, b in zip(again, subject.cases, strict=True)
    )


def test_every_kind_says_what_it_is() -> None:
    assert [name for name, kind in KINDS.items() if kind.composite]
