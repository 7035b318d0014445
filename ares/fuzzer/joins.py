"""Steps that make one of several values: sums, products, concatenations, products of matrices."""

from __future__ import annotations

import math
from typing import Any

from ares.fuzzer.activations import behind, unary_node
from ares.fuzzer.affine import keeping
from ares.fuzzer.laying import Laying, Value, quantizer


def join(laying: Laying, x: int) -> bool:
    """A sum, a difference, a product or a concatenation with codes of a shape that fits."""
    draws, shape = laying.draws, laying.values[x].shape
    kind = draws.weighted((("add", 45), ("sub", 10), ("mul", 22), ("concat", 25)))
    if kind == "concat":
        return _concat(laying, x)
    fitting = [i for i, v in enumerate(laying.values) if v.codes and _repeats(v.shape, shape)]
    others = [i for i in fitting if i != x]
    y = draws.choice(others) if others and draws.chance(90) else draws.choice(fitting)
    pair = (x, y) if draws.chance(60) else (y, x)
    one, other = (laying.values[i] for i in pair)
    size = one.size * other.size if kind == "mul" else one.size + other.size
    positive = kind != "sub" and one.positive and other.positive
    return _joined(laying, kind, pair, size, positive, {})


def residual(laying: Laying, x: int) -> bool:
    """One or two layers that keep the shape, and what they began with beside them or once more."""
    draws = laying.draws
    y = keeping(laying, x)
    if draws.chance(30):
        y = keeping(laying, y)
    if draws.chance(25):
        x = keeping(laying, x)
    kind = draws.weighted((("add", 60), ("mul", 20), ("concat", 20)))
    one, other = laying.values[x], laying.values[y]
    size = {"add": one.size + other.size, "mul": one.size * other.size}.get(
        kind, max(one.size, other.size)
    )
    options = {"axis": draws.between(1, len(one.shape) - 1)} if kind == "concat" else {}
    pair = (x, y) if draws.chance(50) else (y, x)
    return _joined(laying, kind, pair, size, one.positive and other.positive, options)


def _joined(
    laying: Laying,
    kind: str,
    pair: tuple[int, ...],
    size: float,
    positive: bool,
    options: dict[str, Any],
) -> bool:
    draws = laying.draws
    known = Value((), size, positive=positive)
    if kind != "sub" and draws.chance(40):
        quant = quantizer(draws, known, False)
        if quant.get("zero_point") or quant.get("steps") or quant["scaling"] == "runtime":
            return False
        quant.pop("plain", None)
        after = Value((), size, True, True, positive, float(quant["scale"]))
        laying.add_options(f"quant_{kind}", pair, after, {**options, **quant})
        return True
    laying.add_options(kind, pair, known, options)
    if draws.chance(25):
        unary_node(laying, laying.last)
        laying.quantise()
    else:
        laying.quantise(relu=draws.chance(30))
    return True


def _concat(laying: Laying, x: int) -> bool:
    draws, shape = laying.draws, laying.values[x].shape
    axis = draws.between(1, len(shape) - 1)
    fitting = [
        i
        for i, v in enumerate(laying.values)
        if v.codes
        and len(v.shape) == len(shape)
        and all(a == b for k, (a, b) in enumerate(zip(v.shape, shape, strict=True)) if k != axis)
    ]
    parts = (x, *(draws.choice(fitting) for _ in range(draws.between(1, 2))))
    size = max(laying.values[i].size for i in parts)
    positive = all(laying.values[i].positive for i in parts)
    return _joined(laying, "concat", parts, size, positive, {"axis": axis})


def _repeats(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two shapes can be added."""
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all(a == b or 1 in (a, b) for a, b in pairs)


def matmul(laying: Laying, x: int) -> bool:
    """Codes times their own transpose, or others' where they fit."""
    draws, known = laying.draws, laying.values[x]
    if len(known.shape) != 3:
        return False
    fitting = [
        i
        for i, v in enumerate(laying.values)
        if v.codes and len(v.shape) == 3 and v.shape[1] == known.shape[2]
    ]
    y = draws.choice(fitting) if fitting else laying.move("permute", x, order=(2, 1))
    other = laying.values[y]
    size = known.size * other.size * math.sqrt(known.shape[2])
    behind(laying, "matmul", (x, y), size)
    if draws.chance(25):
        laying.add("softmax", (laying.last,), Value((), 0.2, positive=True), axis=2)
    laying.quantise()
    return True
