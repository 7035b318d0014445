"""Relations between a drawn recipe and a changed one: `changed(recipe, seed)` draws one that can be applied to it.

A change that leads to a model that ARES refuses proves nothing and is counted as refused: a QuantTensor that a layer
asks for is an ordinary tensor behind a move. Recipes with composites are left out: their inner scales are measured, and
a changed order of float32 sums may change what is measured.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ares.fuzzer.composites import COMPOSITES
from ares.fuzzer.draws import Draws
from ares.fuzzer.models import build
from ares.fuzzer.recipe import InputSpec, Node, Option, Recipe
from ares.fuzzer.relations.related import Arrays, Related, Side
from ares.fuzzer.shapes import Shape, resolved, shapes_of

Link = tuple[str, Mapping[str, Option], tuple[int, ...]]
"""A node to be put in: kind, options, and what it reads: 0 is the value, k the k-th of them."""


class Unrelated(Exception):
    """There is nothing in this recipe that the relation could change."""


# Nodes that give back what they got.


def _twice(kind: str, **options: Option) -> list[Link]:
    return [(kind, options, (0,)), (kind, options, (1,))]


def _identity(draws: Draws, shape: Shape) -> list[Link]:
    """A few nodes of which the last makes the value that the first reads."""
    rank = len(shape)
    axis = draws.between(1, rank - 1)
    order = draws.sample(range(1, rank), rank - 1)
    back = tuple(order.index(place) + 1 for place in range(1, rank))
    flat = int(np.prod(shape[1:]))
    choices: list[list[Link]] = [
        _twice("flip", axes=(axis,)),
        [("permute", {"order": order}, (0,)), ("permute", {"order": back}, (1,))],
        [("reshape", {"sizes": (flat,)}, (0,)), ("reshape", {"sizes": shape[1:]}, (1,))],
        [("slice", {"axis": axis, "start": 0, "stop": shape[axis]}, (0,))],
        [("unsqueeze", {"axis": axis}, (0,)), ("squeeze", {"axis": axis}, (1,))],
    ]
    if rank in (3, 4):
        choices.append([("max_pool", {"kernel": 1, "stride": 1, "padding": 0}, (0,))])
        choices.append([("pad", {"amounts": (0,) * (2 * rank - 4), "mode": "zeros"}, (0,))])
    if shape[axis] > 1:
        parts = [("chunk", {"axis": axis, "parts": 2, "index": index}, (0,)) for index in range(2)]
        choices.append([*parts, ("concat", {"axis": axis}, (1, 2))])
    return draws.choice(choices)


def _inserted(recipe: Recipe, value: int, links: Sequence[Link]) -> Recipe:
    """With these nodes behind a value; whoever read it reads the last of them."""
    inputs, count = len(recipe.inputs), len(links)
    place = max(0, value - inputs + 1)
    first = inputs + place

    def new(old: int) -> int:
        if old == value:
            return first + count - 1
        return old if old < first else old + count

    nodes = tuple(
        Node(f"m{k}", kind, tuple(value if at == 0 else first + at - 1 for at in reads), options)
        for k, (kind, options, reads) in enumerate(links)
    )
    behind = tuple(
        replace(node, inputs=tuple(map(new, node.inputs))) for node in recipe.nodes[place:]
    )
    outputs = tuple(map(new, recipe.outputs))
    return replace(recipe, nodes=(*recipe.nodes[:place], *nodes, *behind), outputs=outputs)


# Relations. Each gives the other recipe, and how its inputs and outputs are turned.

Change = tuple[Recipe, Side]
_PLAIN = Side(())


def identity_nodes(recipe: Recipe, draws: Draws) -> Change:
    """Nodes that give back what they got, behind any value: the same codes. Moves have no rounding: no condition."""
    shapes = shapes_of(recipe)
    value = draws.below(len(shapes))
    return _inserted(recipe, value, _identity(draws, shapes[value])), _PLAIN


def padding_as_a_layer(recipe: Recipe, draws: Draws) -> Change:
    """A layer's padding as a node before it: the same codes.

    Zeros are what a convolution pads with, and an average that counts them. A maximum pads with what never wins; zero
    does not either, and there is a code in each window, where a ReLU made the codes. Rounding up counts windows
    otherwise: left out.
    """
    shapes = shapes_of(recipe)
    fitting = [
        (at, axes)
        for at, node in enumerate(recipe.nodes)
        if (axes := len(shapes[node.inputs[0]]) - 2) in (1, 2) and _pads_with_zeros(recipe, node)
    ]
    if not fitting:
        raise Unrelated
    at, axes = draws.choice(fitting)
    node = recipe.nodes[at]
    around = node.options["padding"]
    sizes = around if isinstance(around, tuple) else (around,) * axes
    amounts = tuple(size for size in reversed(sizes) for _ in range(2))
    pad = Node("m0", "pad", node.inputs, {"amounts": amounts, "mode": "zeros"})
    there = len(recipe.inputs) + at

    def new(old: int) -> int:
        return old if old < there else old + 1

    bare = replace(node, inputs=(there,), options={**node.options, "padding": 0})
    behind = [replace(n, inputs=tuple(map(new, n.inputs))) for n in recipe.nodes[at + 1 :]]
    nodes = (*recipe.nodes[:at], pad, bare, *behind)
    return replace(recipe, nodes=nodes, outputs=tuple(map(new, recipe.outputs))), _PLAIN


def _pads_with_zeros(recipe: Recipe, node: Node) -> bool:
    options = node.options
    padding: Any = options.get("padding", 0)
    is_shared = "same_as" in options or any(
        other.options.get("same_as") == node.name for other in recipe.nodes
    )
    if is_shared or not np.any(padding) or options.get("padding_mode") or options.get("ceil"):
        return False
    if node.kind == "avg_pool":
        return bool(options.get("counts_padding", True))
    before = recipe.node_of(node.inputs[0])
    positive = before is not None and before.kind == "quant_relu"
    return node.kind in ("conv1d", "conv2d") or (node.kind == "max_pool" and positive)


def one_more_output(recipe: Recipe, draws: Draws) -> Change:
    """A value in the middle is put out as well: the other outputs are what they were. A probe changes nothing."""
    codes = [
        len(recipe.inputs) + at
        for at, node in enumerate(recipe.nodes)
        if resolved(recipe, node).kind in ("quant", "quant_relu")
    ]
    if not codes:
        raise Unrelated
    count = len(recipe.outputs)
    other = replace(recipe, outputs=(*recipe.outputs, draws.choice(codes)))
    return other, Side((), outputs=tuple(range(count)))


def outputs_exchanged(recipe: Recipe, draws: Draws) -> Change:
    """Outputs in another order, one of them twice: the same codes."""
    count = len(recipe.outputs)
    order = draws.sample(range(count), count)
    other = replace(recipe, outputs=tuple(recipe.outputs[at] for at in (*order, order[0])))
    return other, Side((), outputs=tuple(order.index(at) for at in range(count)))


def operands_exchanged(recipe: Recipe, draws: Draws) -> Change:
    """The other operand first, in every sum and product: the same codes. A sum of two in float64 does not mind."""
    del draws
    kinds = ("add", "mul", "quant_add", "quant_mul")
    nodes = tuple(
        replace(node, inputs=node.inputs[::-1]) if node.kind in kinds else node
        for node in recipe.nodes
    )
    if nodes == recipe.nodes:
        raise Unrelated
    return replace(recipe, nodes=nodes), _PLAIN


def parts_exchanged(recipe: Recipe, draws: Draws) -> Change:
    """A concatenation's parts in another order, and what it makes cut and put together in the old one: the same codes.

    Every part has its own way to the one scale of the result, so the order of the parts does not matter to any.
    """
    shapes = shapes_of(recipe)
    fitting = [
        at
        for at, node in enumerate(recipe.nodes)
        if node.kind in ("concat", "quant_concat") and len(set(node.inputs)) > 1
    ]
    if not fitting:
        raise Unrelated
    at = draws.choice(fitting)
    node = recipe.nodes[at]
    axis: Any = node.options.get("axis", 1)
    turned = replace(node, inputs=node.inputs[::-1])
    links: list[Link] = []
    start = 0
    for value in turned.inputs:
        size = shapes[value][axis]
        links.append(("slice", {"axis": axis, "start": start, "stop": start + size}, (0,)))
        start += size
    links.append(("concat", {"axis": axis}, tuple(range(len(links), 0, -1))))
    other = replace(recipe, nodes=(*recipe.nodes[:at], turned, *recipe.nodes[at + 1 :]))
    return _inserted(other, len(recipe.inputs) + at, links), _PLAIN


_HOMOGENEOUS = frozenset(
    {
        "quant",
        "quant_relu",
        "conv1d",
        "conv2d",
        "conv_transpose1d",
        "conv_transpose2d",
        "linear",
        "unary",
        "prelu",
        "max_pool",
        "avg_pool",
        "adaptive_avg_pool",
        "adaptive_max_pool",
        "global_avg_pool",
        "upsample_nearest",
        "upsample_bilinear",
        "add",
        "sub",
        "quant_add",
        "quant_concat",
        "concat",
        "mean",
        "sum",
        "permute",
        "reshape",
        "flatten",
        "slice",
        "flip",
        "squeeze",
        "unsqueeze",
        "chunk",
        "pad",
        "embedding",
        "scale_shift",
    }
)


def powers_of_two(recipe: Recipe, draws: Draws) -> Change:
    """Everything that has the unit of a value times 2**k (inputs, scales, biases): the same codes, worth 2**k as much.

    Where every layer is homogeneous of degree one: no products, no norms, of the functions only ReLU and its likes. All
    of binary32 and float64 scale by powers of two without rounding.
    """
    if not {node.kind for node in recipe.nodes} <= _HOMOGENEOUS:
        raise Unrelated
    factor = draws.choice((0.125, 0.5, 2.0, 8.0))
    nodes = tuple(replace(node, options=_scaled(node, factor)) for node in recipe.nodes)
    real = [not spec.ids for spec in recipe.inputs]

    def turn(arrays: Arrays) -> Arrays:
        pairs = zip(arrays, real, strict=True)
        return [a * np.float32(factor) if is_real else a for a, is_real in pairs]

    def back(arrays: Arrays) -> Arrays:
        return [a / np.float32(factor) if a.dtype.kind == "f" else a for a in arrays]

    inputs = tuple(replace(spec, amplitude=spec.amplitude * factor) for spec in recipe.inputs)
    return replace(recipe, inputs=inputs, nodes=nodes), Side(
        (), turn=turn, back=back, factor=factor
    )


def _scaled(node: Node, factor: float) -> Mapping[str, Option]:
    options: dict[str, Any] = dict(node.options)
    if node.kind == "unary" and options["function"] not in ("relu", "leaky_relu", "abs"):
        raise Unrelated
    if options.get("steps"):
        raise Unrelated
    if "scale" in options:
        options["scale"] *= factor
    if options.get("bias", "none") != "none":
        options["bias_size"] = options.get("bias_size", 1.0) * factor
    if node.kind == "scale_shift":
        options["addend"] = options.get("addend", 0.0) * factor
    if node.kind == "embedding":
        options["size"] = options.get("size", 1.0) * factor
    return options


def halves(recipe: Recipe, draws: Draws) -> Change:
    """Cut at a quantiser that all later nodes hang on and no earlier value passes by: the second half, which quantises
    what the first half's codes mean, makes the same codes.

    A code times its scale, rounded to float32, lies within 2**-22 of its code: quantised again it is that code.
    """
    inputs = len(recipe.inputs)
    cuts = [
        at
        for at, node in enumerate(recipe.nodes[:-1])
        if node.kind == "quant"
        and "same_as" not in node.options
        and all(value >= inputs + at for later in recipe.nodes[at + 1 :] for value in later.inputs)
        and all(value > inputs + at for value in recipe.outputs)
        and not any(
            node.options.get("same_as") in {n.name for n in recipe.nodes[: at + 1]}
            for node in recipe.nodes[at + 1 :]
        )
    ]
    if not cuts or any(spec.ids for spec in recipe.inputs):
        raise Unrelated
    at = draws.choice(cuts)
    shape = shapes_of(recipe)[inputs + at]
    front = replace(recipe, nodes=recipe.nodes[: at + 1], outputs=(inputs + at,))

    def new(old: int) -> int:
        return old - inputs - at + 1

    again = replace(recipe.nodes[at], inputs=(0,))
    rest = [replace(n, inputs=tuple(map(new, n.inputs))) for n in recipe.nodes[at + 1 :]]
    behind = replace(
        recipe,
        inputs=(InputSpec(shape),),
        nodes=(again, *rest),
        outputs=tuple(map(new, recipe.outputs)),
    )
    return front, Side((build(behind)[0],))


def modules_of_their_own(recipe: Recipe, draws: Draws) -> Change:
    """A module that is called twice, and two modules of equal weights: the same codes."""
    del draws
    if not any("same_as" in node.options for node in recipe.nodes):
        raise Unrelated
    model: Any = build(recipe)[0]
    steps = []
    for (kind, holder, options, operands), node in zip(model._steps, recipe.nodes, strict=True):
        if holder != node.name and model._modules.get(holder) is not None:
            model.add_module(node.name, copy.deepcopy(model._modules[holder]))
            holder = node.name
        steps.append((kind, holder, options, operands))
    model._steps = steps
    return recipe, Side((model,))


RECIPE_RELATIONS: Mapping[str, Callable[[Recipe, Draws], Change]] = {
    each.__name__.replace("_", " "): each
    for each in (
        identity_nodes,
        padding_as_a_layer,
        one_more_output,
        outputs_exchanged,
        operands_exchanged,
        parts_exchanged,
        powers_of_two,
        halves,
        modules_of_their_own,
    )
}


def changed(recipe: Recipe, seed: int, relation: str = "") -> Related:
    """The recipe's model beside a changed one, by this relation or, "", by a drawn one of those that can be applied.

    Raises Unrelated where none can, RecipeError where no model can be built.
    """
    draws = Draws(f"ares fuzz/relation/{seed}")
    if any(node.kind in COMPOSITES for node in recipe.nodes):
        raise Unrelated
    names = (relation,) if relation else draws.sample(list(RECIPE_RELATIONS), len(RECIPE_RELATIONS))
    for name in names:
        try:
            other, side = RECIPE_RELATIONS[name](recipe, draws)
        except Unrelated:
            continue
        other.require_valid()
        model, example = build(recipe)
        # What a relation built itself is the whole other side, but where it has cut the recipe in two.
        first = () if other is recipe else (build(other)[0],)
        return Related(
            name, example, (Side((model,)), replace(side, models=(*first, *side.models)))
        )
    raise Unrelated
