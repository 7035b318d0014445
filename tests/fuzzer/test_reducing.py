"""A failing recipe becomes small, keeps its symptom, and becomes the same one every time."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from ares import resources
from ares.fuzzer.batch import judge_batch
from ares.fuzzer.drawing import draw
from ares.fuzzer.recipe import Node, Recipe, RecipeError
from ares.fuzzer.reducing import cost, live, reduce, without
from ares.fuzzer.shapes import resolved, shapes_of
from tests.toolchain.tiny_network import usable

Predicate = Callable[[Recipe], bool]


def first_with(predicate: Predicate, least: int = 8) -> Recipe:
    """The first drawn recipe of at least so many nodes that has a property."""
    for seed in range(3000):
        recipe = draw(seed)
        if len(recipe.nodes) >= least and predicate(recipe):
            return recipe
    raise AssertionError("nothing like it is ever drawn")


def nodes_of(recipe: Recipe) -> Iterator[tuple[Node, Node]]:
    """Every node that an output is made of, with the one that holds its module."""
    alive = live(recipe)
    for node in alive.nodes:
        yield node, resolved(alive, node)


def makers(recipe: Recipe, node: Node) -> list[str]:
    """The kinds of what a node reads."""
    made = [recipe.node_of(value) for value in node.inputs]
    return [maker.kind for maker in made if maker is not None]


def strided(recipe: Recipe) -> bool:
    """A convolution with a stride of two or more and a kernel of two or more along an axis."""
    for _, node in nodes_of(recipe):
        stride, kernel = node.options.get("stride", ()), node.options.get("kernel", ())
        if node.kind == "conv2d" and isinstance(stride, tuple) and isinstance(kernel, tuple):
            pairs = zip(stride, kernel, strict=False)
            if any(s > 1 and k > 1 for s, k in pairs):  # type: ignore[operator]
                return True
    return False


def joined(recipe: Recipe) -> bool:
    """A concatenation of three channels or more behind a quantiser that is not signed."""
    alive, shapes = live(recipe), shapes_of(live(recipe))
    for place, node in enumerate(alive.nodes):
        readers = [
            n for n in alive.nodes if n.kind == "concat" and place + len(alive.inputs) in n.inputs
        ]
        plain = node.kind == "quant" and not node.options.get("signed", True)
        wide = shapes[place + len(alive.inputs)]
        if plain and readers and wide[1] > 2:
            return True
    return False


def behind_a_pool(recipe: Recipe) -> bool:
    """A layer that reads what a pooling made, and the inputs at ties among the cases."""
    alive = live(recipe)
    layers = [node for node in alive.nodes if node.kind in ("conv2d", "unary", "add", "linear")]
    return "ties" in alive.cases and any("max_pool" in makers(alive, node) for node in layers)


def symptom_of(predicate: Predicate) -> Callable[[Recipe], str | None]:
    return lambda recipe: "planted" if predicate(recipe) else None


@pytest.mark.parametrize(
    ("predicate", "most"),
    [(strided, 1), (joined, 2), (behind_a_pool, 2)],
    ids=lambda v: str(v)[:16],
)
def test_what_is_left_is_what_it_takes(predicate: Predicate, most: int) -> None:
    """Of eight nodes or more: no node, output, input, case, option or element that could go."""
    large = first_with(predicate)
    found = reduce(large, symptom_of(predicate), seconds=60.0)
    assert predicate(found.recipe)
    assert len(found.recipe.nodes) <= most < len(large.nodes)
    assert len(found.recipe.outputs) == 1
    assert len(found.recipe.cases) == 1
    assert cost(found.recipe) < cost(large)
    assert not found.is_out_of_time
    again = reduce(large, symptom_of(predicate), seconds=60.0)
    assert again.recipe == found.recipe
    assert again.tried == found.tried


def test_options_and_shapes_are_the_least_that_fail() -> None:
    found = reduce(first_with(strided), symptom_of(strided), seconds=60.0).recipe
    (node,) = found.nodes
    assert set(node.options) <= {"kernel", "stride", "out"}
    assert node.options["kernel"] in ((1, 2), (2, 1))
    assert node.options["stride"] == node.options["kernel"]
    assert sum(found.inputs[0].shape) <= 1 + 1 + 1 + 2
    assert found.weights == "ones"
    assert found.inputs[0].amplitude == 1.0


def test_another_symptom_is_not_followed() -> None:
    """What fails otherwise when it is smaller is another fault."""
    large = first_with(strided)

    def fails(recipe: Recipe) -> str:
        return "one" if len(recipe.nodes) >= 5 else "another"

    found = reduce(large, fails, seconds=60.0)
    assert found.symptom == "one"
    assert len(found.recipe.nodes) == 5


def test_nodes_that_share_a_module_go_with_or_without_each_other() -> None:
    def shares(recipe: Recipe) -> bool:
        return any("same_as" in node.options for node in live(recipe).nodes)

    found = reduce(first_with(shares), symptom_of(shares), seconds=60.0).recipe
    shared = [node for node in found.nodes if "same_as" in node.options]
    assert len(found.nodes) == 2
    assert shared[0].options == {"same_as": found.nodes[0].name}


def test_who_loses_the_holder_of_its_module_has_one_of_its_own() -> None:
    first = Node("a", "linear", (0,), {"out": 3})
    recipe = Recipe(
        0,
        draw(0).inputs[:1],
        (
            first,
            Node("b", "linear", (1,), {"same_as": "a"}),
            Node("c", "linear", (2,), {"same_as": "a"}),
        ),
        (3,),
    )
    left = without(recipe, {0})
    left.require_valid()
    assert [node.options for node in left.nodes] == [{"out": 3}, {"same_as": "b"}]
    assert [node.inputs for node in left.nodes] == [(0,), (1,)]


def test_the_seconds_are_kept() -> None:
    ticks = count()
    found = reduce(
        first_with(strided), symptom_of(strided), seconds=10.0, clock=lambda: float(next(ticks))
    )
    assert found.is_out_of_time
    assert strided(found.recipe)
    assert found.tried <= 10


def test_what_does_not_fail_twice_alike_is_not_reduced() -> None:
    words = iter(["one", "two"])
    with pytest.raises(ValueError, match="'one', then with 'two'"):
        reduce(draw(0), lambda _recipe: next(words), seconds=1.0)
    with pytest.raises(ValueError, match="None"):
        reduce(draw(0), lambda _recipe: None, seconds=1.0)


def test_a_recipe_that_cannot_be_built_is_not_tried() -> None:
    """Nor does one that is refused while it is judged count as a failure."""
    large = first_with(strided)

    def fails(recipe: Recipe) -> str | None:
        shapes_of(recipe)  # would raise
        if len(recipe.nodes) < 3:
            raise RecipeError("not today")
        return "planted"

    assert len(reduce(large, fails, seconds=60.0).recipe.nodes) == 3


# --- a fault in the C


@pytest.fixture
def broken_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ARES with a copy of its runtime in which a max pooling takes one row less than its window has."""
    folder = tmp_path / "runtime"
    shutil.copytree(resources.runtime_dir(), folder)
    source = folder / "src" / "max_pool2d.c"
    text = source.read_text(encoding="utf-8")
    head, end, rest = text.rpartition("return ARES_OK;")
    assert end
    wrong = f"((uint8_t *)outputs[0])[0] ^= 1u;\n    return ARES_OK;{rest}"
    source.write_text(head + wrong, encoding="utf-8")
    monkeypatch.setattr("ares.emit.project.runtime_dir", lambda: folder)


@pytest.mark.slow
@pytest.mark.usefixtures("broken_runtime")
def test_a_fault_in_a_kernel_is_reduced_to_its_layer() -> None:
    target = usable("gcc-O2")

    def fails(recipe: Recipe) -> str | None:
        (judged,) = judge_batch([replace(recipe, cases=recipe.cases[:1])], [target])
        return None if judged.finding is None else judged.finding.symptom

    def pools(recipe: Recipe) -> bool:
        return any(node.kind == "max_pool" for node in recipe.nodes)

    large = first_with(lambda recipe: pools(recipe) and fails(recipe) is not None, least=5)
    found = reduce(large, fails, seconds=40.0)
    assert found.symptom == "c: difference: OP_MAXPOOL"
    kinds = [node.kind for node in found.recipe.nodes]
    assert kinds == ["quant", "max_pool"]
