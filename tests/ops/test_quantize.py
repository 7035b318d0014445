"""Quantize: oracle -> reference -> C (N6). The oracle rounds Fractions to binary32 itself."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from ares.ir import DType, GraphError, Tensor, frozen_array
from ares.numerics import FloatStep, FloatStepKind
from ares.ops import Site
from ares.ops.quantize import Quantize
from tests.numerics import oracle
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import check_operation, codes, real
from tests.ops.reaching import assert_reaches

HALF = Fraction(1, 2)
SPECIAL = (
    *(0x00000000, 0x80000000, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0xFF7FFFFF),
    *(0x00000001, 0x80000001, 0x007FFFFF, 0x807FFFFF, 0x00800000, 0x80800000),
    *(0x7FC00000, 0xFFC00000),
)


@dataclass(frozen=True)
class Case:
    name: str
    dtype: str
    scale: float
    zero_point: int
    reaches: tuple[str, ...]
    bounds: tuple[int, int] | tuple[()] = ()


TIES = ("tie to the code below", "tie to the code above", "negative tie")
CLIPS = ("low clip", "high clip")
CASES = (
    Case("dyadic", "s8", 0.125, 0, (*TIES, *CLIPS)),
    Case("dyadic, odd zero point", "u8", 0.0625, 129, (*TIES, *CLIPS, "quotient rounded away")),
    Case("not dyadic", "s8", 0.0173, 0, CLIPS),
    Case("u8 without zero point", "u8", 1 / 255, 0, CLIPS),
    Case("u8 with zero point", "u8", 2.64 / 255, 77, (*CLIPS, "sum rounded")),
    Case("4 bits", "s8", 0.3, 1, CLIPS, (-8, 7)),
    Case("smallest scale of Brevitas", "u8", 1e-10, 3, CLIPS),
    Case("large scale", "s8", 1e30, -5, CLIPS),
    Case("quotients beyond binary32", "s8", 1e-30, -1, (*CLIPS, "quotient overflows")),
)


def _patterns(tensor: Tensor) -> list[int]:
    """Bit patterns: around every step from code to code, and what is special."""
    scale = oracle.to_binary32(Fraction(tensor.scale or 0))
    assert isinstance(scale, Fraction)
    found = list(SPECIAL)
    for code in range(tensor.lo - 3, tensor.hi + 3):
        edge = oracle.to_bits(
            oracle.to_binary32((code + Fraction(1, 2) - tensor.zero_point) * scale)
        )
        found += [edge - 1, edge, edge + 1] if edge else [edge]
    return found


def _facts(bits: int, scale: Fraction, tensor: Tensor) -> dict[str, bool]:
    x = oracle.from_bits(bits)
    if isinstance(x, float):
        return {"infinity" if x == x else "NaN": True}
    quotient = oracle.to_binary32(x / scale)
    if isinstance(quotient, float):
        return {"quotient overflows": True}
    exact = x / scale + tensor.zero_point
    value = oracle.to_binary32(quotient + tensor.zero_point)
    assert isinstance(value, Fraction)
    is_inside = tensor.lo - 1 < value < tensor.hi + 1
    is_tie = tensor.lo < value < tensor.hi and value % 1 == Fraction(1, 2)
    return {
        "sum rounded": value != quotient + tensor.zero_point,
        "low clip": not is_inside and value < 0,
        "high clip": not is_inside and value >= 0,
        f"tie to the code {'below' if int(value // 1) % 2 == 0 else 'above'}": is_tie,
        "negative tie": is_tie and value < tensor.zero_point,
        "quotient rounded away": is_tie and exact != value,
    }


def test_all_cases_in_one_program() -> None:
    operations, tensors, arrays, expected = [], [], {}, {}
    for number, case in enumerate(CASES):
        target = codes("", (1, 1), case.dtype, case.scale, case.zero_point, *case.bounds)
        scale = oracle.to_binary32(Fraction(case.scale))
        assert isinstance(scale, Fraction)
        patterns = _patterns(target)
        facts = [_facts(bits, scale, target) for bits in patterns]
        some = {name: any(each.get(name) for each in facts) for name in set().union(*facts)}
        assert_reaches({"NaN", "infinity", *case.reaches}, some)
        shape = (1, len(patterns))
        source = real(f"x{number}", shape)
        target = codes(f"y{number}", shape, case.dtype, case.scale, case.zero_point, *case.bounds)
        operations.append(Quantize(f"layer{number}", (source.name,), (target.name,)))
        tensors += [source, target]
        arrays[source.name] = np.array([patterns], np.uint32).view(np.float32)
        row = [
            oracle.quantize_binary32(bits, scale, case.zero_point, target.lo, target.hi)
            for bits in patterns
        ]
        expected[target.name] = np.array([row])
    graph = graph_of(operations, tensors, list(arrays), list(expected))
    check_graph(graph, arrays, expected)


def test_an_image() -> None:
    shape = (1, 3, 7, 5)
    source, target = real("x", shape), codes("y", shape, "u8", 0.5, 3)
    x = (np.arange(105).reshape(shape) / 4 - 7).astype(np.float32)
    expected = [oracle.nearest(Fraction(float(v)) * 2 + 3) for v in x.flat]
    wanted = np.clip(np.array(expected), 0, 255).reshape(shape)
    check_operation(Quantize("layer", ("x",), ("y",)), [source], [target], [x], [wanted])


Step = tuple[str, int, tuple[float, ...]]  # kind, inner, constants as the float64 model has them


@dataclass(frozen=True)
class Stepped:
    """`shape` of the input; dtype, scale and zero point of the output; what the steps must reach."""

    name: str
    shape: tuple[int, ...]
    target: tuple[str, float, int]
    steps: tuple[Step, ...]
    reaches: tuple[str, ...]


MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
COUNTED = tuple(n / 7 - 3 for n in range(15))
STEPPED = (
    Stepped(
        "centred",
        (1, 257),
        ("s8", 0.0078125, 0),
        (("mul", 257, (2.0,)), ("sub", 257, (1.0,))),
        ("tie", "many codes"),
    ),
    Stepped(
        "bytes",
        (1, 257),
        ("u8", 1 / 255, 0),
        (("div", 257, (255.0,)),),
        ("step rounded", "many codes"),
    ),
    Stepped(
        "an image",
        (1, 3, 11, 7),
        ("s8", 0.0205, -3),
        (("div", 231, (255.0,)), ("sub", 77, MEAN), ("div", 77, DEVIATION)),
        ("step rounded", "constant a channel", "many codes"),
    ),
    Stepped(
        "channels last",
        (1, 7, 11, 3),
        ("u8", 0.0205, 114),
        (("rsub", 1, MEAN), ("mul", 1, (-4.5, 4.25, 0.3))),
        ("step rounded", "constant a channel", "many codes"),
    ),
    Stepped(
        "rows",
        (1, 5, 9),
        ("s8", 0.1, 0),
        (("add", 9, COUNTED[::3]),),
        ("constant a channel", "many codes"),
    ),
    Stepped(
        "each its own",
        (1, 3, 5),
        ("s8", 0.1, 0),
        (("mul", 1, COUNTED),),
        ("constant a channel", "many codes"),
    ),
    Stepped(
        "cancelled",
        (1, 257),
        ("s8", 2.0**-9, 0),
        (("add", 257, (1000.1,)), ("sub", 257, (1000.0,)), ("mul", 257, (3.0,))),
        ("step rounded", "many codes"),
    ),
    Stepped(
        "amplified",
        (1, 257),
        ("s8", 0.5, 0),
        (("sub", 257, (15.9,)), ("div", 257, (0.0123,))),
        ("step rounded", "many codes"),
    ),
    Stepped(
        "past the largest and back",
        (1, 257),
        ("u8", 1.0, 5),
        (("mul", 257, (3e38,)), ("div", 257, (3e38,))),
        ("infinity", "NaN"),
    ),
    Stepped(
        "times zero",
        (1, 257),
        ("u8", 1.0, 5),
        (("mul", 257, (0.0,)), ("add", 257, (9.0,))),
        ("NaN",),
    ),
    Stepped("binary", (1, 257), ("s8", 0.3, 0), (("sub", 257, (0.1,)), ("sign", 257, (0.3,))), ()),
)


def _binary32(value: float) -> Fraction:
    rounded = oracle.to_binary32(Fraction(value))
    assert isinstance(rounded, Fraction)
    return rounded


def _steps_at(case: Stepped, element: int) -> list[tuple[str, Fraction]]:
    """The steps with the real constants that an element meets."""
    return [(kind, Fraction(c[element // inner % len(c)])) for kind, inner, c in case.steps]


def _float_steps(case: Stepped) -> tuple[FloatStep, ...]:
    return tuple(
        FloatStep(int(FloatStepKind[kind.upper()]), frozen_array(values, np.float32), inner)
        for kind, inner, values in case.steps
    )


def _wanted_patterns(case: Stepped, target: Tensor) -> list[int]:
    """Inputs on both sides of the steps from code to code, each code in turn, after what is special."""
    found = list(SPECIAL) if target.size > 100 else []
    scale, code = Fraction(target.scale or 0), target.lo - 3
    while len(found) < target.size:
        real = (code + Fraction(1, 2) - target.zero_point) * scale
        for kind, c in reversed(_steps_at(case, len(found))):
            if kind in ("mul", "div"):
                real = real * c if kind == "div" else real / c if c else real
            elif kind != "sign":
                real = {"add": real - c, "sub": real + c, "rsub": c - real}[kind]
        bits = oracle.to_bits(oracle.to_binary32(real))
        found.append(bits + len(found) % 3 - 1 if real else bits)
        code += 1 if target.size > 100 else 17
        code = target.lo - 3 if code > target.hi + 3 else code
    return found


@pytest.mark.parametrize("case", STEPPED, ids=lambda case: case.name)
def test_steps_before_the_quantiser(case: Stepped) -> None:
    """Arithmetic of the model on its input: each operation in binary32, in order, once."""
    source, target = real("x", case.shape), codes("y", case.shape, *case.target)
    scale = _binary32(case.target[1])
    patterns = _wanted_patterns(case, target)
    reached, expected = set(), []
    for element, bits in enumerate(patterns):
        steps = [(kind, _binary32(float(c))) for kind, c in _steps_at(case, element)]
        value = oracle.from_bits(bits)
        was_finite = isinstance(value, Fraction)
        for kind, c in steps:
            after = oracle.stepped(value, kind, c)
            if isinstance(value, Fraction) and isinstance(after, Fraction) and kind != "sign":
                reached |= {"step rounded"} if oracle.ARITHMETIC[kind](value, c) != after else set()
            value = after
        if isinstance(value, float):
            reached |= {"NaN"} if value != value else {"infinity"} if was_finite else set()
        elif (value / scale).denominator == 2:
            reached.add("tie")
        bounds = target.zero_point, target.lo, target.hi
        expected.append(oracle.quantize_binary32(bits, scale, *bounds, steps))
    reached |= {"constant a channel"} if any(len(c) > 1 for *_, c in case.steps) else set()
    reached |= {"many codes"} if len(set(expected)) > min(target.size, 256) // 4 else set()
    assert set(case.reaches) <= reached
    x = np.array(patterns, np.uint32).view(np.float32).reshape(case.shape)
    layer = Quantize("layer", ("x",), ("y",), _float_steps(case))
    check_operation(layer, [source], [target], [x], [np.array(expected).reshape(case.shape)])


def _distance(case: Stepped, element: int, bits: int, target: Tensor) -> Fraction:
    """How far binary32 is from the real numbers before rounding, in codes, where either is within the codes."""
    x = value = oracle.from_bits(bits)
    assert isinstance(x, Fraction)
    for kind, c in _steps_at(case, element):
        x = oracle.ARITHMETIC[kind](x, c)
        value = oracle.stepped(value, kind, _binary32(float(c)))
    assert isinstance(value, Fraction)
    quotient = oracle.to_binary32(value / _binary32(case.target[1]))
    assert isinstance(quotient, Fraction)
    found = oracle.to_binary32(quotient + target.zero_point)
    assert isinstance(found, Fraction)
    meant = x / Fraction(case.target[1]) + target.zero_point
    lo, hi = Fraction(target.lo) - HALF, Fraction(target.hi) + HALF
    return abs(min(max(found, lo), hi) - min(max(meant, lo), hi))


@pytest.mark.parametrize("case", STEPPED[:8], ids=lambda case: case.name)
def test_tolerance_holds_and_is_no_larger_than_it_must_be(case: Stepped) -> None:
    """Against Fractions with the model's own constants, which binary32 cannot hold: thousands of inputs."""
    target = codes("y", case.shape, *case.target)
    limit = Fraction(Quantize("layer", ("x",), ("y",), _float_steps(case)).tolerance(target))
    draw, worst = random.Random(8), Fraction(0)
    for _ in range(12):
        for element, bits in enumerate(_wanted_patterns(case, target)):
            if bits & 0x7F800000 in (0, 0x7F800000) or bits & 0x7FFFFFFF > 0x60000000:
                continue
            near = bits + draw.randrange(-(2**13), 2**13)
            worst = max(worst, _distance(case, element, near, target))
    assert worst <= limit
    # Its largest terms never meet; with binary fractions as constants most of it is the quantiser's own EPS.
    assert limit <= 16 * worst


def test_tolerance_without_steps_is_that_of_the_class() -> None:
    layer, target = Quantize("layer", ("x",), ("y",)), codes("y", (1, 3), "u8", 0.1, 7)
    assert layer.tolerance(target) == Quantize.EPS == 2.0**-15


def test_layouts_keep_the_order_of_the_constants() -> None:
    source, target = real("x", (1, 3, 2, 2)), codes("y", (1, 3, 2, 2))
    site, given = Site((source,), (target,)), ((0, 2, 3, 1),)
    layer = Quantize("layer", ("x",), ("y",))
    assert layer.layouts(site, given) == (given, given)
    stepped = Quantize("layer", ("x",), ("y",), _float_steps(STEPPED[2]))
    assert stepped.layouts(site, given) == (((0, 1, 2, 3),), ((0, 1, 2, 3),))


@pytest.mark.parametrize(
    ("count", "inner"), [(2, 1), (3, 2), (0, 1), (1, 6), (5, 3)], ids=lambda value: str(value)
)
def test_constants_that_do_not_fit_are_refused(count: int, inner: int) -> None:
    step = FloatStep(int(FloatStepKind.ADD), frozen_array([1.0] * count, np.float32), inner)
    with pytest.raises(GraphError, match=rf"constants \[{count}\] of {inner} elements each"):
        Quantize("layer", ("x",), ("y",), (step,)).infer([real("x", (1, 5))])


def test_what_does_not_fit_is_refused() -> None:
    layer = Quantize("layer", ("x",), ("y",))
    with pytest.raises(GraphError, match="'x' is s8, expected f32"):
        layer.infer([codes("x", (1, 3))])
    for scale in (1e-39, 1e39):
        site = Site((real("x", (1,)),), (Tensor("y", (1,), DType.S8, scale, 0, -8, 7),))
        with pytest.raises(GraphError, match="no normal binary32 number"):
            layer.lower(site)
