"""What a random model is made of: data that can be stored, reduced and drawn again.

What this guarantees, and what `draw`, `build`, `judge` and the reducer rest on:

- **Values are numbered.** Value `i` is input `i` of the recipe; node `k` makes value `len(inputs) + k`. A node reads
  values that were there before it, `Node.inputs`; the model gives the values `outputs`, in that order. Every node
  makes exactly one value. A value that nobody reads is computed all the same.
- **A recipe is whole.** Two recipes that are equal build models that are equal bit by bit, on every machine. All
  numbers (scales, strides, seeds of weights) stand in `options`; what follows from the shapes of the operands (the
  channels that a convolution reads) does not, so that a smaller input or a layer less leaves a recipe that can be
  built. `ares.fuzzer.shapes.shapes_of` computes all shapes, or raises RecipeError where a node cannot read its
  operands.
- **A node keeps its weights.** They are drawn from `(recipe.seed, node.name, parameter)`, not from its place, so
  removing other nodes changes none. Names are unique in a recipe.
- **Shared modules.** A node with the option `"same_as": name` calls the module of the node of that name, which stands
  before it and is of the same kind; its own other options are ignored. Without that node the recipe is not valid.
- **Codes and reals.** Nothing here says which values are codes of a quantiser and which are real values that wait for
  one; a recipe that puts them together wrongly is refused by ARES with a reason, which is no finding.
- **The batch is axis 0** of every value and always 1. `InputSpec.shape` holds it: (1, 3, 8, 8).
- **Simpler weights.** `weights` is "" (each node's own option `"weights"`) or the style of all nodes' weights in its
  place: a word of `WEIGHT_STYLES`, of which "ones" is the simplest.
- **Cases.** `cases` names the inputs it is judged on (`CASES`); less of them is a smaller recipe.

JSON: `as_json` gives plain values, `from_json` reads them back to an equal recipe and raises RecipeError where they are
none. The options are scalars or tuples of integers, floats and strings; lists of JSON come back as tuples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FORMAT = "ares-recipe-1"

Scalar = bool | int | float | str | None
Option = Scalar | tuple[Scalar, ...]

WEIGHT_STYLES = ("ones", "normal", "uniform", "sparse", "extreme", "zero rows", "ties", "small")
"""How weights are drawn, the simplest first."""

CASES = ("random", "ties", "beyond", "extremes", "one hot", "equal")
"""Inputs that a recipe is judged on (`ares.fuzzer.inputs`), in the order in which they are tried."""


class RecipeError(Exception):
    """No model can be built of this recipe; the message says at which node, and why."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input: real values of this shape (the batch of one included), or token ids in 0 .. `ids` - 1.

    `ids` is 0 for real values. `amplitude` is what most real values stay below.
    """

    shape: tuple[int, ...]
    ids: int = 0
    amplitude: float = 1.0


@dataclass(frozen=True, slots=True)
class Node:
    """A call of a module or a function: `kind` is a row of `ares.fuzzer.models.KINDS`."""

    name: str
    kind: str
    inputs: tuple[int, ...]
    options: Mapping[str, Option] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.name, self.kind, self.inputs, tuple(sorted(self.options))))


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model as data; see above."""

    seed: int
    inputs: tuple[InputSpec, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    weights: str = ""
    cases: tuple[str, ...] = ()

    def node_of(self, value: int) -> Node | None:
        """What makes a value; None for an input."""
        return None if value < len(self.inputs) else self.nodes[value - len(self.inputs)]

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "format": FORMAT,
            "seed": self.seed,
            "inputs": [
                {"shape": list(spec.shape), "ids": spec.ids, "amplitude": spec.amplitude}
                for spec in self.inputs
            ],
            "nodes": [
                {
                    "name": node.name,
                    "kind": node.kind,
                    "inputs": list(node.inputs),
                    "options": {
                        word: list(value) if isinstance(value, tuple) else value
                        for word, value in node.options.items()
                    },
                }
                for node in self.nodes
            ],
            "outputs": list(self.outputs),
            "weights": self.weights,
            "cases": list(self.cases),
        }

    @classmethod
    def from_json(cls, facts: Any) -> Recipe:
        """The recipe that `as_json` wrote. Raises RecipeError."""
        try:
            if facts["format"] != FORMAT:
                raise RecipeError(f"format {facts['format']!r}, expected {FORMAT!r}")
            recipe = cls(
                seed=int(facts["seed"]),
                inputs=tuple(
                    InputSpec(tuple(map(int, x["shape"])), int(x["ids"]), float(x["amplitude"]))
                    for x in facts["inputs"]
                ),
                nodes=tuple(_node(node) for node in facts["nodes"]),
                outputs=tuple(map(int, facts["outputs"])),
                weights=str(facts["weights"]),
                cases=tuple(map(str, facts["cases"])),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecipeError(f"not a recipe: {type(error).__name__}: {error}") from error
        recipe.require_valid()
        return recipe

    def require_valid(self) -> None:
        """Raise RecipeError where numbers or names lead nowhere."""
        names: dict[str, str] = {}
        for number, node in enumerate(self.nodes):
            there = len(self.inputs) + number
            if node.name in names:
                raise RecipeError(f"two nodes are called {node.name!r}")
            if not all(0 <= value < there for value in node.inputs):
                raise RecipeError(
                    f"node {node.name}: reads values {node.inputs}, there are {there}"
                )
            same = node.options.get("same_as")
            if same is not None and names.get(str(same)) != node.kind:
                raise RecipeError(f"node {node.name}: no {node.kind} {same!r} before it")
            names[node.name] = node.kind
        values = len(self.inputs) + len(self.nodes)
        if not self.outputs or not all(0 <= value < values for value in self.outputs):
            raise RecipeError(f"outputs {self.outputs}, there are {values} values")
        if self.weights and self.weights not in WEIGHT_STYLES:
            raise RecipeError(f"weights {self.weights!r}, expected one of {WEIGHT_STYLES}")


def _node(facts: Any) -> Node:
    options = {
        str(word): tuple(value) if isinstance(value, list) else value
        for word, value in facts["options"].items()
    }
    return Node(str(facts["name"]), str(facts["kind"]), tuple(map(int, facts["inputs"])), options)
