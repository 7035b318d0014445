"""A recipe that grows: nodes are laid one after the other, with the shape and the size of what they make.

A *size* is the estimated root mean square of a value, from which scales of quantisers and weights are drawn. It decides
what is interesting, never what is right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ares.fuzzer.code_ranges import largest_code
from ares.fuzzer.draws import Draws, nearest_power
from ares.fuzzer.recipe import InputSpec, Node, Option, RecipeError
from ares.fuzzer.shapes import Shape, result_shape

MOST_ELEMENTS = 1200


@dataclass(frozen=True, slots=True)
class Value:
    """`codes`: a quantiser made it, or moved codes are. `tensor`: it is a QuantTensor. `scale` is 0.0 where unknown."""

    shape: Shape
    size: float
    codes: bool = False
    tensor: bool = False
    positive: bool = False
    scale: float = 0.0


class Laying:
    """What is there so far: nodes, and what is known of all values; `count` is the number of inputs."""

    def __init__(self, draws: Draws) -> None:
        self.draws = draws
        self.nodes: list[Node] = []
        self.values: list[Value] = []
        self.count = 0

    def add_input(self, spec: InputSpec) -> None:
        self.count += 1
        self.values.append(Value(spec.shape, 0.58 * spec.amplitude))

    @property
    def last(self) -> int:
        return len(self.values) - 1

    def mark(self) -> int:
        return len(self.nodes)

    def back_to(self, mark: int) -> None:
        """Forget what was laid since."""
        del self.nodes[mark:]
        del self.values[self.count + mark :]

    def is_read(self, value: int) -> bool:
        return any(value in node.inputs for node in self.nodes)

    def node_of(self, value: int) -> Node | None:
        return None if value < self.count else self.nodes[value - self.count]

    def add(self, kind: str, inputs: tuple[int, ...], value: Value, **options: Option) -> int:
        """Lay a node; its shape is computed, the rest of `value` is taken over. Raises RecipeError."""
        return self.add_options(kind, inputs, value, options)

    def add_options(
        self, kind: str, inputs: tuple[int, ...], value: Value, options: Mapping[str, Option]
    ) -> int:
        node = Node(f"n{len(self.nodes)}", kind, inputs, dict(options))
        resolved = node
        same = options.get("same_as")
        if same is not None:
            resolved = next(other for other in self.nodes if other.name == same)
        shape = result_shape(resolved, [self.values[i].shape for i in inputs])
        if math.prod(shape) > MOST_ELEMENTS:
            raise RecipeError(f"{shape} is too large")
        self.nodes.append(node)
        self.values.append(replace(value, shape=shape))
        return self.last

    def move(self, kind: str, value: int, **options: Option) -> int:
        """Lay a node that only moves: it makes codes of codes."""
        return self.add_options(kind, (value,), replace(self.values[value], tensor=False), options)

    # What stands between layers.

    def scale_shift(self, value: int) -> int:
        draws, known = self.draws, self.values[value]
        factor = draws.choice((0.5, 2.0, -1.0, 0.7, 3.0, 1.0 / 3.0, -0.25))
        addend = draws.choice((0.0, 0.5, -0.3, 1.0)) * nearest_power(known.size)
        form = draws.choice(("times plus", "minus divided", "from"))
        size = known.size * (abs(1.0 / factor) if form == "minus divided" else abs(factor))
        per_channel = draws.chance(35)
        options: dict[str, Any] = {"form": form, "factor": factor, "addend": addend}
        if per_channel:
            options["per_channel"] = True
        return self.add_options(
            "scale_shift", (value,), Value((), size + abs(addend) * 0.5), options
        )

    def quantise(self, value: int | None = None, *, relu: bool = False) -> int:
        """Lay a quantiser that fits the size of a value, mostly."""
        value = self.last if value is None else value
        known = self.values[value]
        options = quantizer(self.draws, known, relu)
        scale = float(options["scale"])
        tensor = not options.get("plain", False)
        positive = relu or not (options.get("signed", True) or options.get("zero_point", 0))
        after = Value((), min(known.size, 128.0 * scale), True, tensor, positive, scale)
        kind = "quant_relu" if relu else "quant"
        return self.add_options(kind, (value,), after, options)


def quantizer(draws: Draws, known: Value, relu: bool) -> dict[str, Any]:
    """Options of a quantiser for values of a size."""
    bits = 8 if draws.chance(60) else draws.between(2, 7)
    options: dict[str, Any] = {"bits": bits}
    if not relu and draws.chance(3):
        steps = draws.choice(("binary", "ternary"))
        return {"steps": steps, "scale": _rounded(draws, known.size, 30)}
    signed = draws.chance(8) if relu or known.positive else draws.chance(62)
    options["signed"] = signed
    if draws.chance(10):
        options["narrow"] = signed or bits > 1
    largest = largest_code(bits, signed, bool(options.get("narrow", False)))
    reach = draws.weighted(((2.0, 40), (3.0, 30), (1.0, 15), (0.3, 8), (40.0, 4), (6.0, 8)))
    scale = _rounded(draws, max(known.size, 2.0**-40) * reach / largest, 40)
    options["scale"] = scale
    if not signed and not relu and not known.positive and draws.chance(80) and bits > 1:
        options.pop("narrow", None)
        options["zero_point"] = draws.weighted(
            ((2 ** (bits - 1), 3), (2 ** (bits - 1) - 1, 2), (draws.between(1, 2**bits - 1), 5))
        )
    options["scaling"] = draws.weighted((("const", 4), ("parameter", 3), ("runtime", 3)))
    if draws.chance(50):
        options["plain"] = True
    return options


def _rounded(draws: Draws, scale: float, percent: float) -> float:
    """A scale of at most 12 bits near the given one: a power of two, or not."""
    power = nearest_power(scale)
    return power if draws.chance(percent) else power * draws.mantissa()
