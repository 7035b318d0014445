"""Convolutions and linear layers with what stands between them and their quantiser."""

from __future__ import annotations

import math
from typing import Any

from ares.fuzzer.activations import unary_node
from ares.fuzzer.code_ranges import weight_code
from ares.fuzzer.draws import nearest_power
from ares.fuzzer.laying import Laying, Value
from ares.fuzzer.shapes import DEPTHWISE
from ares.fuzzer.weights import RMS

_STYLES = (
    ("normal", 30),
    ("uniform", 25),
    ("sparse", 10),
    ("extreme", 12),
    ("zero rows", 8),
    ("ties", 8),
    ("small", 7),
)
_KERNELS = ((1, 25), (2, 12), (3, 40), (4, 6), (5, 9), (6, 3), (7, 5))
_WIDTHS = (
    (1, 8),
    (2, 14),
    (3, 18),
    (4, 10),
    (5, 12),
    (7, 8),
    (8, 8),
    (9, 8),
    (16, 5),
    (17, 5),
    (33, 4),
)


def affine(laying: Laying, x: int) -> bool:
    """A layer with weights, then norms, activations and moves in the usual orders, then a quantiser."""
    layer_node(laying, x)
    draws = laying.draws
    if draws.chance(22) and len(laying.values[-1].shape) in (3, 4):
        known = laying.values[-1]
        if laying.nodes[-1].kind != "linear":
            laying.add("batch_norm", (laying.last,), Value((), 1.0), size=nearest_power(known.size))
    elif draws.chance(10):
        laying.scale_shift(laying.last)
    behind = draws.weighted((("relu", 35), ("nothing", 30), ("function", 22), ("move", 13)))
    if behind == "function":
        unary_node(laying, laying.last)
    elif behind == "move":
        _moved(laying)
    laying.quantise(relu=behind == "relu" or (behind == "move" and draws.chance(40)))
    return True


def _moved(laying: Laying) -> None:
    """A move between a layer and its quantiser."""
    draws, known = laying.draws, laying.values[-1]
    rank = len(known.shape)
    kind = draws.choice(("permute", "flatten", "max_pool", "flip"))
    if kind == "permute" and rank > 2:
        laying.move(kind, laying.last, order=draws.sample(range(1, rank), rank - 1))
    elif kind == "flatten":
        laying.move(kind, laying.last, start=draws.between(1, rank - 1))
    elif kind == "max_pool" and rank in (3, 4) and laying.nodes[-1].kind != "linear":
        kernel = tuple(min(2, n) for n in known.shape[2:])
        laying.move(kind, laying.last, kernel=kernel, stride=kernel)
    elif kind == "flip":
        laying.move(kind, laying.last, axes=(rank - 1,))


def head(laying: Laying, x: int) -> bool:
    """A last layer, whose result stays real."""
    layer_node(laying, x)
    return True


def keeping(laying: Laying, x: int) -> int:
    """A layer with weights and its quantiser, whose result has the shape of its operand."""
    layer_node(laying, x, keeps=True)
    return laying.quantise(relu=laying.draws.chance(50))


def layer_node(laying: Laying, x: int, *, keeps: bool = False) -> int:
    """One layer with weights; `keeps`: its result has the shape of its operand."""
    draws, known = laying.draws, laying.values[x]
    rank = len(known.shape)
    kind = "linear"
    if rank in (3, 4) and not draws.chance(30 if rank == 3 else 8):
        transposed = draws.chance(14) and not keeps
        kind = f"conv{'_transpose' if transposed else ''}{rank - 2}d"
    options: dict[str, Any] = {"out": draws.weighted(_WIDTHS)}
    each = known.shape[-1] if kind == "linear" else _geometry(laying, kind, known, options)
    if keeps:
        each = _keep_shape(laying, kind, known, options)
    _weights(laying, known, each, options)
    if "transpose" in kind and options.get("groups", 1) != 1:
        options["per_channel"] = (
            False  # Brevitas gives such weights scales of a shape that does not fit them
        )
    size = float(options["unit"]) * weight_code(options) * RMS[options["weights"]]
    size *= known.size * math.sqrt(each)
    if options["bias"] != "none":
        options["bias_size"] = size * draws.choice((0.1, 1.0, 1.0, 4.0))
        size += 0.5 * options["bias_size"]
    return laying.add_options(kind, (x,), Value((), size), options)


def _keep_shape(laying: Laying, kind: str, known: Value, options: dict[str, Any]) -> int:
    """Geometry of a layer that changes no shape; how many products a sum has."""
    if kind == "linear":
        options["out"] = known.shape[-1]
        return known.shape[-1]
    channels, sizes = known.shape[1], known.shape[2:]
    kernel = tuple(laying.draws.choice((1, 3, 3, 5)) for _ in sizes)
    depthwise = laying.draws.chance(25)
    options.clear()
    options |= {"kernel": kernel, "padding": tuple(k // 2 for k in kernel)}
    options |= {"out": 1, "groups": DEPTHWISE} if depthwise else {"out": channels}
    return math.prod(kernel) * (1 if depthwise else channels)


def _geometry(laying: Laying, kind: str, known: Value, options: dict[str, Any]) -> int:
    """Window, strides, groups; how many products a sum has."""
    draws = laying.draws
    channels, sizes = known.shape[1], known.shape[2:]
    kernel = tuple(draws.weighted(_KERNELS) for _ in sizes)
    if draws.chance(60):
        kernel = (kernel[0],) * len(sizes)
    stride = tuple(draws.weighted(((1, 65), (2, 25), (3, 10))) for _ in sizes)
    dilation = tuple(draws.weighted(((1, 85), (2, 10), (3, 5))) for _ in sizes)
    transposed = "transpose" in kind
    padding = []
    for n, k, d in zip(sizes, kernel, dilation, strict=True):
        span = d * (k - 1)
        needed = 0 if transposed else max(0, -(-(span + 1 - n) // 2))
        wide = draws.weighted(((0, 35), (span // 2, 45), (min(span, 4), 10), (1, 10)))
        padding.append(max(needed, wide) if not transposed else min(span, wide))
    options |= {"kernel": kernel, "stride": stride, "padding": tuple(padding), "dilation": dilation}
    if transposed:
        pairs = zip(stride, dilation, strict=True)
        options["output_padding"] = tuple(
            draws.below(max(s, d)) if draws.chance(40) else 0 for s, d in pairs
        )
    elif draws.chance(4) and all(p < n for p, n in zip(padding, sizes, strict=True)):
        options["padding_mode"] = draws.choice(("reflect", "replicate", "circular"))
    grouping = draws.weighted((("one", 70), ("depthwise", 18), ("groups", 12)))
    groups = 1
    if grouping == "depthwise":
        groups = channels
        options |= {"groups": DEPTHWISE, "out": draws.weighted(((1, 60), (2, 25), (3, 15)))}
    elif grouping == "groups":
        divisors = [g for g in range(2, channels + 1) if channels % g == 0]
        if divisors:
            groups = draws.choice(divisors)
            options |= {"groups": groups, "out": groups * draws.between(1, 3)}
    return math.prod(kernel) * channels // groups


def _weights(laying: Laying, known: Value, each: int, options: dict[str, Any]) -> None:
    """Quantiser, style and unit of the weights, and whether there is a bias."""
    draws = laying.draws
    kind = draws.weighted(
        (("int", 86), ("shifted", 3), ("fixed", 4), ("binary", 4), ("ternary", 3))
    )
    per_channel = kind in ("int", "shifted") and draws.chance(55)
    bits = 8 if draws.chance(60) else draws.between(2, 7)
    options |= {"weight_kind": kind, "weight_bits": min(bits, 7) if kind == "shifted" else bits}
    options |= {"per_channel": per_channel, "weights": draws.weighted(_STYLES)}
    if per_channel and draws.chance(60):
        options["spread"] = float(draws.between(1, 3))
    if draws.chance(25):
        options["weight_narrow"] = False
    if not per_channel and draws.chance(50):
        options["weight_scaling"] = "const"
    # So that what comes out is about 1, or now and then of any size.
    target = draws.power(-1, 2) if draws.chance(80) else draws.power(-8, 8)
    unit = target / (known.size * math.sqrt(each) * weight_code(options) * RMS[options["weights"]])
    unit = min(max(unit, 2.0**-40), 2.0**40)
    power = nearest_power(unit)
    options["unit"] = power if draws.chance(35) else power * draws.mantissa()
    options["bias"] = draws.weighted(
        (("none", 35), ("float", 50), ("int32", 15 if known.tensor else 0))
    )
