"""`reduce`: a failing recipe made smaller while the same symptom remains.

Delta debugging: passes from the coarsest to the finest (outputs, cases, nodes, shapes, options, weights, names), each
over everything that is left, again until none of them makes anything smaller or the seconds are spent. Every step is
smaller by `cost`, so it ends; a recipe is tried once. Which steps are tried depends on the recipe alone, so the result
does too, as long as the seconds last.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ares.fuzzer.draws import nearest_power
from ares.fuzzer.recipe import WEIGHT_STYLES, InputSpec, Node, Option, Recipe, RecipeError, Scalar
from ares.fuzzer.shapes import shapes_of

Fails = Callable[[Recipe], str | None]
"""The symptom of a recipe, None where nothing is wrong."""
Pass = Callable[[Recipe], Iterator[Recipe]]

# What is simplest is not always the least number.
_SIMPLEST: Mapping[str, int | str] = {
    "bits": 8,
    "function": "relu",
    "mode": "zeros",
    "pool": "none",
}
# Sizes and counts, of which none can be 0.
_WINDOWED = {"kernel", "stride", "dilation", "groups", "out", "sizes"}
_COUNTS = frozenset(_WINDOWED | {"heads", "dim", "parts", "step", "patch", "queries"})


@dataclass(frozen=True, slots=True)
class Reduced:
    """The smallest recipe found with `symptom`; how many were tried for it, and whether the seconds ran out."""

    recipe: Recipe
    symptom: str
    tried: int
    is_out_of_time: bool


def reduce(
    recipe: Recipe,
    fails: Fails,
    *,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Reduced:
    """Make a recipe smaller as long as `fails` tells the same symptom of it.

    Raises ValueError for a recipe that does not fail, or not twice in the same way: there is nothing to hold on to.
    """
    symptom = fails(recipe)
    again = fails(recipe)
    if symptom is None or symptom != again:
        raise ValueError(f"seed {recipe.seed} fails with {symptom!r}, then with {again!r}")
    search = _Search(recipe, symptom, fails, clock() + seconds, clock)
    while search.sweep():
        pass
    return Reduced(search.best, symptom, search.tried, search.is_over)


class _Search:
    """The smallest recipe so far, and all that were tried."""

    def __init__(
        self, best: Recipe, symptom: str, fails: Fails, end: float, clock: Callable[[], float]
    ) -> None:
        self.best = best
        self.symptom = symptom
        self.fails = fails
        self.end = end
        self.clock = clock
        self.tried = 0
        self.is_over = False
        self.seen: set[str] = set()

    def sweep(self) -> bool:
        """Every pass once, each from its start again for as long as it makes something smaller."""
        before = self.best
        for candidates in PASSES:
            while not self.is_over and self._any(candidates(self.best)):
                pass
        return self.best is not before and not self.is_over

    def _any(self, candidates: Iterable[Recipe]) -> bool:
        for candidate in candidates:
            if self.clock() >= self.end:
                self.is_over = True
                return False
            if cost(candidate) < cost(self.best) and self._fails(candidate):
                self.best = candidate
                return True
        return False

    def _fails(self, candidate: Recipe) -> bool:
        key = json.dumps(candidate.as_json(), sort_keys=True)
        if key in self.seen:
            return False
        self.seen.add(key)
        try:
            candidate.require_valid()
            shapes_of(candidate)
            self.tried += 1
            return self.fails(candidate) == self.symptom
        except RecipeError:
            return False


def cost(recipe: Recipe) -> tuple[float, ...]:
    """What is smaller is simpler: nodes, then outputs, inputs, cases, elements of inputs, options, weights, names."""
    return (
        len(recipe.nodes),
        len(recipe.outputs),
        len(recipe.inputs),
        len(recipe.cases),
        sum(math.prod(spec.shape) for spec in recipe.inputs),
        sum(len(node.options) for node in recipe.nodes),
        sum(_weight(word, v) for node in recipe.nodes for word, v in node.options.items()),
        sum(_weight("", spec.amplitude) + spec.ids for spec in recipe.inputs),
        WEIGHT_STYLES.index(recipe.weights) if recipe.weights else len(WEIGHT_STYLES),
        sum(recipe.outputs) + sum(sum(node.inputs) for node in recipe.nodes),
        sum(len(node.name) + int(node.name != f"n{k}") for k, node in enumerate(recipe.nodes)),
    )


def _weight(word: str, value: Option) -> float:
    """How far an option is from the simplest."""
    if isinstance(value, tuple):
        return sum(_weight(word, item) for item in value)
    if word == "weights":
        return float(WEIGHT_STYLES.index(str(value))) if value in WEIGHT_STYLES else 0.0
    if isinstance(simplest := _SIMPLEST.get(word), int) and not isinstance(value, str):
        return abs(float(value or 0) - simplest)
    if isinstance(value, str) or value is None:
        return float(value != simplest)
    if isinstance(value, float):
        return 0.0 if value == 1.0 else 1.0 if abs(value) == _power(value) else 2.0
    return abs(float(value))


def _power(value: float) -> float:
    return nearest_power(abs(value)) if value and math.isfinite(value) else 0.0


# Passes: what could stand in place of a recipe, the smallest first.


def _cases(recipe: Recipe) -> Iterator[Recipe]:
    if len(recipe.cases) > 1:
        for case in recipe.cases:
            yield replace(recipe, cases=(case,))
        for case in recipe.cases:
            yield replace(recipe, cases=tuple(c for c in recipe.cases if c != case))


def _outputs(recipe: Recipe) -> Iterator[Recipe]:
    """One of the outputs alone; any value as the only output, the first ones first: what comes behind it goes."""
    if len(recipe.outputs) > 1:
        for value in dict.fromkeys(recipe.outputs):
            yield live(replace(recipe, outputs=(value,)))
        for place in range(len(recipe.outputs)):
            rest = recipe.outputs[:place] + recipe.outputs[place + 1 :]
            yield live(replace(recipe, outputs=rest))
    count = len(recipe.inputs)
    for value in range(count, count + len(recipe.nodes)):
        if (value,) != recipe.outputs:
            yield live(replace(recipe, outputs=(value,)))


def _unread(recipe: Recipe) -> Iterator[Recipe]:
    yield live(recipe)


def _heads(recipe: Recipe) -> Iterator[Recipe]:
    """A value as an input of its own: what it was made of goes, unless others read it."""
    try:
        shapes = shapes_of(recipe)
    except RecipeError:
        return
    count = len(recipe.inputs)
    for number in reversed(range(len(recipe.nodes))):
        spec = InputSpec(shapes[count + number])
        yield live(_as_input(recipe, number, spec))


def _bypasses(recipe: Recipe) -> Iterator[Recipe]:
    """Nodes left out, many at once first; who read one reads an operand of it."""
    count = len(recipe.nodes)
    size = count // 2
    while size >= 1:
        for start in range(0, count, size):
            yield live(without(recipe, set(range(start, min(count, start + size)))))
        size //= 2
    for number, node in enumerate(recipe.nodes):
        for operand in range(1, len(node.inputs)):
            yield live(without(recipe, {number}, operand))


def _sizes(recipe: Recipe) -> Iterator[Recipe]:
    """Inputs of fewer elements: all sides of that length at once, then each alone."""
    lengths = sorted({n for spec in recipe.inputs for n in spec.shape[1:]}, reverse=True)
    for length in lengths:
        for less in _less(length):
            yield replace(
                recipe,
                inputs=tuple(
                    replace(s, shape=(1, *(less if n == length else n for n in s.shape[1:])))
                    for s in recipe.inputs
                ),
            )
    for number, spec in enumerate(recipe.inputs):
        for axis in range(1, len(spec.shape)):
            for less in _less(spec.shape[axis]):
                shape = (*spec.shape[:axis], less, *spec.shape[axis + 1 :])
                yield _with_input(recipe, number, replace(spec, shape=shape))


def _less(length: int) -> Iterator[int]:
    yield from dict.fromkeys(n for n in (1, 2, length // 2, length - 1) if 1 <= n < length)


def _amplitudes(recipe: Recipe) -> Iterator[Recipe]:
    for number, spec in enumerate(recipe.inputs):
        for simpler in (v for v in _simpler("amplitude", spec.amplitude) if isinstance(v, float)):
            yield _with_input(recipe, number, replace(spec, amplitude=simpler))
        if spec.ids > 2:
            yield _with_input(recipe, number, replace(spec, ids=2))


def _dropped(recipe: Recipe) -> Iterator[Recipe]:
    """All options of a node gone, then each alone: its kind's default stands in its place."""
    for number, node in enumerate(recipe.nodes):
        if len(node.options) > 1:
            yield _with_node(recipe, number, {})
        for word in node.options:
            rest = {key: value for key, value in node.options.items() if key != word}
            yield _with_node(recipe, number, rest)


def _options(recipe: Recipe) -> Iterator[Recipe]:
    for number, node in enumerate(recipe.nodes):
        for word, value in node.options.items():
            for simpler in _simpler(word, value):
                yield _with_node(recipe, number, {**node.options, word: simpler})


def _simpler(word: str, value: Option) -> Iterator[Option]:
    """Values in place of an option's, the simplest first."""
    if isinstance(value, tuple):
        yield from zip(*(_padded(word, item) for item in value), strict=False)
        for place, item in enumerate(value):
            for simpler in _simpler(word, item):
                assert not isinstance(simpler, tuple)
                yield (*value[:place], simpler, *value[place + 1 :])
        return
    found: list[Option] = []
    if word in _SIMPLEST:
        found = [_SIMPLEST[word]]
    elif word == "weights" and value in WEIGHT_STYLES:
        found = list(WEIGHT_STYLES[: WEIGHT_STYLES.index(str(value))])
    elif isinstance(value, bool):
        found = [False]
    elif isinstance(value, float):
        found = [1.0, math.copysign(_power(value), value), _power(value)]
    elif isinstance(value, int):
        nearer = [value // 2, value - 1] if value > 0 else [-(-value // 2), value + 1]
        found = [v for v in (0, 1, *nearer) if v > 0 or word not in _COUNTS]
    yield from (v for v in dict.fromkeys(found) if v != value or type(v) is not type(value))


def _padded(word: str, item: Scalar) -> list[Scalar]:
    """Simpler items, so many that all items of a tuple can be simplified in step."""
    found = [v for v in (*_simpler(word, item), item) if not isinstance(v, tuple)]
    return found + [item] * (4 - len(found))


def _weights(recipe: Recipe) -> Iterator[Recipe]:
    place = WEIGHT_STYLES.index(recipe.weights) if recipe.weights else len(WEIGHT_STYLES)
    for style in WEIGHT_STYLES[:place]:
        yield replace(recipe, weights=style)


def _names(recipe: Recipe) -> Iterator[Recipe]:
    """Nodes called by their places: other names are other weights."""
    new = {node.name: f"n{number}" for number, node in enumerate(recipe.nodes)}
    nodes = tuple(
        Node(new[node.name], node.kind, node.inputs, _renamed(node.options, new))
        for node in recipe.nodes
    )
    yield replace(recipe, nodes=nodes)


def _renamed(options: Mapping[str, Option], new: Mapping[str, str]) -> dict[str, Option]:
    return {k: new[str(v)] if k == "same_as" else v for k, v in options.items()}


PASSES: tuple[Pass, ...] = (
    *(_outputs, _cases, _unread, _heads, _bypasses),
    *(_sizes, _dropped, _options, _weights, _amplitudes, _names),
)


# Recipes with something less.


def live(recipe: Recipe) -> Recipe:
    """Without nodes and inputs that no output is made of; a node whose module others call stays."""
    count = len(recipe.inputs)
    needed = set(recipe.outputs)
    for number in reversed(range(len(recipe.nodes))):
        if count + number in needed:
            needed |= set(recipe.nodes[number].inputs)
    holders = {
        str(node.options["same_as"])
        for number, node in enumerate(recipe.nodes)
        if count + number in needed and "same_as" in node.options
    }
    for number in reversed(range(len(recipe.nodes))):
        if recipe.nodes[number].name in holders or count + number in needed:
            needed |= {count + number, *recipe.nodes[number].inputs}
    inputs = [i for i in range(count) if i in needed] or [0]
    nodes = [k for k in range(len(recipe.nodes)) if count + k in needed]
    place = {value: new for new, value in enumerate([*inputs, *(count + k for k in nodes)])}
    return replace(
        recipe,
        inputs=tuple(recipe.inputs[i] for i in inputs),
        nodes=tuple(
            replace(recipe.nodes[k], inputs=tuple(place[v] for v in recipe.nodes[k].inputs))
            for k in nodes
        ),
        outputs=tuple(place[value] for value in recipe.outputs),
    )


def without(recipe: Recipe, numbers: set[int], operand: int = 0) -> Recipe:
    """Without the nodes of these numbers: who read one of them reads an operand of it, the first unless told.

    A node that called a module of one that is gone gets the options of that one.
    """
    count = len(recipe.inputs)
    gone = {recipe.nodes[number].name: recipe.nodes[number] for number in numbers}
    place = {value: value for value in range(count)}
    nodes: list[Node] = []
    heirs: dict[str, str] = {}
    for number, node in enumerate(recipe.nodes):
        if number in numbers:
            place[count + number] = place[node.inputs[min(operand, len(node.inputs) - 1)]]
            continue
        options: dict[str, Any] = dict(node.options)
        same = str(options.get("same_as", ""))
        if same in heirs:
            options["same_as"] = heirs[same]
        elif same in gone:
            options = dict(gone[same].options)
            heirs[same] = node.name
        place[count + number] = count + len(nodes)
        nodes.append(Node(node.name, node.kind, tuple(place[v] for v in node.inputs), options))
    return replace(
        recipe, nodes=tuple(nodes), outputs=tuple(place[value] for value in recipe.outputs)
    )


def _as_input(recipe: Recipe, number: int, spec: InputSpec) -> Recipe:
    """An input in place of what a node makes."""
    count, old = len(recipe.inputs), len(recipe.inputs) + number

    def moved(value: int) -> int:
        return count if value == old else value + 1 if value >= count else value

    nodes = tuple(replace(n, inputs=tuple(moved(v) for v in n.inputs)) for n in recipe.nodes)
    outputs = tuple(moved(value) for value in recipe.outputs)
    return replace(recipe, inputs=(*recipe.inputs, spec), nodes=nodes, outputs=outputs)


def _with_input(recipe: Recipe, number: int, spec: InputSpec) -> Recipe:
    inputs = (*recipe.inputs[:number], spec, *recipe.inputs[number + 1 :])
    return replace(recipe, inputs=inputs)


def _with_node(recipe: Recipe, number: int, options: Mapping[str, Option]) -> Recipe:
    node = replace(recipe.nodes[number], options=dict(options))
    return replace(recipe, nodes=(*recipe.nodes[:number], node, *recipe.nodes[number + 1 :]))
