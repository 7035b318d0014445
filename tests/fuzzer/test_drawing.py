"""Recipes: drawn from their seed alone, whole, and of every kind."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from ares.fuzzer.drawing import draw
from ares.fuzzer.layers import KINDS as LAYERS
from ares.fuzzer.models import KINDS
from ares.fuzzer.recipe import Node, Recipe, RecipeError
from ares.fuzzer.shapes import RULES, shapes_of

SEEDS = range(900)


@pytest.fixture(scope="module")
def recipes() -> list[Recipe]:
    return [draw(seed) for seed in SEEDS]


def test_a_seed_draws_the_same_again(recipes: list[Recipe]) -> None:
    for seed in (0, 7, 599):
        assert draw(seed) == recipes[seed]
    assert len({json.dumps(recipe.as_json()) for recipe in recipes}) == len(SEEDS)


def test_json_gives_the_recipe_back(recipes: list[Recipe]) -> None:
    for recipe in recipes:
        assert Recipe.from_json(json.loads(json.dumps(recipe.as_json()))) == recipe


def test_every_recipe_has_shapes(recipes: list[Recipe]) -> None:
    for recipe in recipes:
        recipe.require_valid()
        shapes = shapes_of(recipe)
        assert len(shapes) == len(recipe.inputs) + len(recipe.nodes)
        assert all(shape[0] == 1 and min(shape) >= 1 for shape in shapes)


def test_every_kind_is_drawn(recipes: list[Recipe]) -> None:
    drawn = Counter(node.kind for recipe in recipes for node in recipe.nodes)
    assert set(KINDS) == set(RULES)
    assert not set(KINDS) - set(drawn)
    assert drawn["conv2d"] > 60
    assert drawn["linear"] > 60
    assert drawn["add"] > 30


def test_parameters_spread_as_promised(recipes: list[Recipe]) -> None:
    """Odd sizes and 1, kernels 1 to 7, strides, groups, one-sided padding, 1 to 8 bits, zero points, scales."""
    nodes = [node for recipe in recipes for node in recipe.nodes]
    found: dict[str, set[object]] = {}
    for node in nodes:
        for word, value in node.options.items():
            values = value if isinstance(value, tuple) else (value,)
            found.setdefault(f"{node.kind} {word}", set()).update(values)
    assert found["conv2d kernel"] >= {1, 2, 3, 4, 5, 7}
    assert found["conv2d stride"] >= {1, 2, 3}
    assert found["conv2d dilation"] >= {1, 2, 3}
    assert found["quant bits"] >= {2, 3, 4, 5, 6, 7, 8}
    assert found["quant scaling"] == {"const", "parameter", "runtime"}
    assert any(node.options.get("zero_point") for node in nodes)
    assert any(node.options.get("weight_kind") == "binary" for node in nodes)
    scales = [float(str(node.options["scale"])) for node in nodes if "scale" in node.options]
    assert min(scales) < 2.0**-18
    assert max(scales) > 2.0**3
    powers = sum(scale.hex().startswith(("0x1.0000000000000p",)) for scale in scales)
    assert 0.2 < powers / len(scales) < 0.7
    pads = [node.options["amounts"] for node in nodes if node.kind == "pad"]
    assert any(pad[0] != pad[1] for pad in pads if isinstance(pad, tuple))
    assert any("same_as" in node.options for node in nodes)
    assert any(len(recipe.inputs) > 1 for recipe in recipes)
    assert any(len(recipe.outputs) > 1 for recipe in recipes)


BAD = {
    "an operand that is not there": lambda r: {**r, "outputs": [99]},
    "another format": lambda r: {**r, "format": "ares-recipe-0"},
    "no nodes": lambda r: {k: v for k, v in r.items() if k != "nodes"},
    "a style that is none": lambda r: {**r, "weights": "pretty"},
    "a node twice": lambda r: {**r, "nodes": [*r["nodes"], r["nodes"][0]]},
}


@pytest.mark.parametrize("what", BAD)
def test_json_that_is_no_recipe(what: str) -> None:
    with pytest.raises(RecipeError):
        Recipe.from_json(BAD[what](draw(3).as_json()))


@pytest.mark.parametrize(("size", "groups", "is_one"), [(1, 2, True), (2, 2, False), (1, 1, False)])
def test_a_group_of_one_value_is_no_recipe(size: int, groups: int, is_one: bool) -> None:
    options = {"groups": groups}
    if is_one:
        with pytest.raises(RecipeError, match="a group of one value"):
            RULES["group_norm"](options, [(1, 2, size)])
    else:
        assert RULES["group_norm"](options, [(1, 2, size)]) == (1, 2, size)


def test_a_shared_module_needs_its_node() -> None:
    recipe = draw(3)
    lonely = Node("alone", "quant", (0,), {"same_as": "nobody"})
    with pytest.raises(RecipeError, match="no quant 'nobody'"):
        Recipe(3, recipe.inputs, (lonely,), (1,)).require_valid()


def test_layers_and_composites_are_apart() -> None:
    assert not [name for name, kind in LAYERS.items() if kind.composite]
