"""The steps that a graph grows by: each reads codes and ends in codes, or says that it does not fit.

A step raises RecipeError, or returns False, where shapes do not allow it; the caller forgets what it laid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ares.fuzzer.activations import behind, unary_node
from ares.fuzzer.affine import affine, head
from ares.fuzzer.joins import join, matmul, residual
from ares.fuzzer.laying import Laying, Value
from ares.fuzzer.recipe import RecipeError

Step = Callable[[Laying, int], bool]


def _layer(laying: Laying, x: int) -> bool:
    return affine(laying, x)


def _pool(laying: Laying, x: int) -> bool:
    draws, known = laying.draws, laying.values[x]
    if len(known.shape) not in (3, 4):
        return False
    sizes = known.shape[2:]
    kernel = tuple(
        min(draws.weighted(((1, 10), (2, 40), (3, 35), (5, 8), (7, 5))), n) for n in sizes
    )
    options: dict[str, Any] = {
        "kernel": kernel,
        "stride": tuple(draws.weighted(((1, 30), (2, 50), (3, 20))) for _ in sizes),
        "padding": tuple(draws.between(0, k // 2) if draws.chance(30) else 0 for k in kernel),
        "ceil": draws.chance(20),
    }
    kind = draws.weighted(
        (
            ("max", 40),
            ("avg", 30),
            ("adaptive_avg", 8),
            ("adaptive_max", 8),
            ("global", 8),
            ("trunc", 14),
        )
    )
    if kind == "max":
        if draws.chance(15):
            options["dilation"] = tuple(draws.between(1, 2) for _ in sizes)
        laying.move("max_pool", x, **options)
        return True
    if kind == "adaptive_max":
        laying.move("adaptive_max_pool", x, sizes=tuple(draws.between(1, n) for n in sizes))
        return True
    if kind == "trunc":
        if not known.tensor or len(sizes) != 2:
            return False
        del options["padding"], options["ceil"]
        behind(laying, "trunc_avg_pool", (x,), known.size, **options)
        laying.values[-1] = replace(laying.values[-1], codes=True, positive=known.positive)
        return True
    if kind == "global":
        behind(laying, "global_avg_pool", (x,), known.size)
    elif kind == "adaptive_avg":
        behind(
            laying,
            "adaptive_avg_pool",
            (x,),
            known.size,
            sizes=tuple(draws.between(1, n) for n in sizes),
        )
    else:
        if draws.chance(20):
            options["counts_padding"] = False
        behind(laying, "avg_pool", (x,), known.size, **options)
    _positive(laying, known)
    laying.quantise()
    return True


def _positive(laying: Laying, known: Value) -> None:
    """What is made of values that are never negative is not either."""
    laying.values[-1] = replace(laying.values[-1], positive=known.positive)


def _unary(laying: Laying, x: int) -> bool:
    unary_node(laying, x)
    laying.quantise()
    return True


def _norm(laying: Laying, x: int) -> bool:
    draws, known = laying.draws, laying.values[x]
    kind = draws.choice(("layer_norm", "rms_norm", "group_norm"))
    options: dict[str, Any] = {}
    if kind == "group_norm":
        channels = known.shape[1]
        options["groups"] = draws.choice([g for g in range(1, channels + 1) if channels % g == 0])
    elif known.shape[-1] == 1 and not draws.chance(10):
        return False
    behind(laying, kind, (x,), 1.0, **options)
    laying.quantise()
    return True


def _softmax(laying: Laying, x: int) -> bool:
    draws, known = laying.draws, laying.values[x]
    axis = len(known.shape) - 1 if draws.chance(70) else draws.between(1, len(known.shape) - 1)
    behind(laying, "softmax", (x,), 1.0 / known.shape[axis], axis=axis)
    laying.values[-1] = replace(laying.values[-1], positive=True)
    laying.quantise()
    return True


def _average(laying: Laying, x: int) -> bool:
    draws, known = laying.draws, laying.values[x]
    rank = len(known.shape)
    keep = rank == 2 or draws.chance(50)
    axes = draws.sample(range(1, rank), draws.between(1, rank - 1))
    if len(axes) == rank - 1 and not keep:
        axes = axes[:-1]
    if not axes:
        return False
    count = math.prod(known.shape[axis] for axis in axes)
    kind = "mean" if draws.chance(80) else "sum"
    size = known.size * (1.0 if kind == "mean" else count)
    behind(laying, kind, (x,), size, axes=tuple(sorted(axes)), keepdim=keep)
    _positive(laying, known)
    laying.quantise()
    return True


def _upsample(laying: Laying, x: int) -> bool:
    draws, known = laying.draws, laying.values[x]
    if len(known.shape) not in (3, 4):
        return False
    if draws.chance(55):
        laying.move("upsample_nearest", x, factor=draws.between(2, 3))
        return True
    sizes = tuple(draws.between(1, 2 * n + 1) for n in known.shape[2:])
    behind(laying, "upsample_bilinear", (x,), known.size, sizes=sizes, corners=draws.chance(40))
    _positive(laying, known)
    laying.quantise()
    return True


def _move(laying: Laying, x: int) -> bool:
    draws, shape = laying.draws, laying.values[x].shape
    rank = len(shape)
    axis = draws.between(1, rank - 1)
    kind = draws.choice(
        (
            "permute",
            "reshape",
            "flatten",
            "slice",
            "flip",
            "unsqueeze",
            "squeeze",
            "chunk",
            "pad",
            "pad",
        )
    )
    if kind == "permute":
        laying.move(kind, x, order=draws.sample(range(1, rank), rank - 1))
    elif kind == "reshape":
        laying.move(kind, x, sizes=_factors(laying, math.prod(shape[1:])))
    elif kind == "flatten":
        laying.move(kind, x, start=axis)
    elif kind == "slice":
        start = draws.between(0, shape[axis] - 1)
        step = draws.weighted(((1, 75), (2, 18), (3, 7)))
        laying.move(
            kind, x, axis=axis, start=start, stop=draws.between(start + 1, shape[axis]), step=step
        )
    elif kind == "flip":
        laying.move(kind, x, axes=draws.sample(range(1, rank), draws.between(1, min(2, rank - 1))))
    elif kind == "squeeze":
        ones = [i for i in range(1, rank) if shape[i] == 1]
        if not ones or rank < 3:
            return False
        laying.move(kind, x, axis=draws.choice(ones))
    elif kind == "unsqueeze" and rank < 5:
        laying.move(kind, x, axis=draws.between(1, rank))
    elif kind == "chunk" and shape[axis] > 1:
        laying.move(kind, x, axis=axis, parts=2, index=draws.below(2))
    elif kind == "pad" and rank in (3, 4):
        amounts = tuple(
            draws.weighted(((0, 50), (1, 30), (2, 15), (4, 5))) for _ in range(2 * (rank - 2))
        )
        mode = draws.weighted((("zeros", 60), ("reflect", 12), ("replicate", 16), ("circular", 12)))
        laying.move(kind, x, amounts=amounts, mode=mode)
    else:
        return False
    return True


def _factors(laying: Laying, count: int) -> tuple[int, ...]:
    draws = laying.draws
    sizes: list[int] = []
    while count > 1 and len(sizes) < 3:
        sizes.append(draws.choice([n for n in range(2, count + 1) if count % n == 0]))
        count //= sizes[-1]
    return (*sizes, count) if not sizes or count > 1 else (*sizes[:-1], -1)


def _requantise(laying: Laying, x: int) -> bool:
    """Another quantiser on codes, or the same one again."""
    draws = laying.draws
    before = laying.node_of(x)
    if draws.chance(25) and before is not None and before.kind in ("quant", "quant_relu"):
        name = str(before.options.get("same_as", before.name))
        moved = laying.move("flip", x, axes=(1,))
        laying.add_options(before.kind, (moved,), laying.values[x], {"same_as": name})
        return True
    if draws.chance(25):
        x = laying.scale_shift(x)
    laying.quantise(x, relu=draws.chance(30))
    return True


def _of_images(laying: Laying, shape: tuple[int, ...], options: dict[str, Any]) -> str:
    """A composite for images, and its options."""
    draws = laying.draws
    kind = draws.choice(("patch_embed", "residual_block", "spectrum"))
    if kind == "patch_embed":
        patch = tuple(draws.choice([k for k in range(1, n + 1) if n % k == 0]) for n in shape[2:])
        options |= {"patch": patch, "stride": patch, "dim": draws.between(1, 6)}
    elif kind == "residual_block":
        options["kernel"] = draws.choice((1, 3, 5))
    return kind


def _of_tokens(laying: Laying, shape: tuple[int, ...], options: dict[str, Any]) -> str:
    """A composite for tokens, and its options."""
    draws = laying.draws
    kind = draws.choice(
        (
            "self_attention",
            "rope_attention",
            "cross_attention",
            "transformer_block",
            "multihead",
            "feed_forward",
            "swiglu",
            "mamba_block",
            "mamba_wrapper",
            "ssm",
            "positional",
            "spectrum",
        )
    )
    width = shape[2]
    heads = draws.choice([h for h in (1, 2, 3, 4) if width % h == 0])
    options |= {"heads": heads, "hidden": draws.between(1, 9)}
    if kind == "rope_attention" and (width // heads) % 2:
        raise RecipeError("rotary needs even heads")
    if kind in ("self_attention", "rope_attention"):
        options |= {"pool": draws.choice(("none", "mean", "flat")), "causal": draws.chance(30)}
        if heads > 1 and draws.chance(30):
            options["kv_heads"] = 1
    elif kind == "cross_attention":
        options |= {"queries": draws.between(1, 4), "norm": draws.chance(40)}
    elif kind == "transformer_block":
        options["rms"] = draws.chance(40)
    elif kind == "multihead":
        options |= {"softmax_quant": draws.chance(50), "packed": draws.chance(70)}
    elif kind in ("mamba_block", "mamba_wrapper", "ssm"):
        options |= {
            "inner": draws.between(1, 8),
            "state": draws.between(1, 4),
            "rank": draws.between(1, 3),
            "kernel": draws.between(1, 4),
        }
        if kind == "mamba_wrapper":
            options["join"] = draws.choice(("add", "concat"))
    return kind


def _composite(laying: Laying, x: int) -> bool:
    draws, known = laying.draws, laying.values[x]
    options: dict[str, Any] = {
        "bits": 8 if draws.chance(75) else draws.between(3, 7),
        "quantizer": draws.weighted((("float", 75), ("fixed", 25))),
        "per_channel": draws.chance(70),
    }
    if len(known.shape) == 4 and draws.chance(50):
        # As people do: the places of an image become tokens.
        x = laying.move("reshape", x, sizes=(known.shape[1], -1))
        x = laying.move("permute", x, order=(2, 1))
    elif len(known.shape) == 2:
        x = laying.move("unsqueeze", x, axis=1)
    known = laying.values[x]
    shape = known.shape
    if len(shape) == 4:
        kind = _of_images(laying, shape, options)
    elif len(shape) == 3:
        kind = _of_tokens(laying, shape, options)
    else:
        kind = "spectrum"
    if math.prod(shape) > 400:
        return False
    real = kind == "multihead"
    laying.add_options(kind, (x,), Value((), 1.0, not real, not real), options)
    if real:
        laying.quantise()
    return True


def _shared(laying: Laying, x: int) -> bool:
    """A layer that is there already is called once more, on other codes."""
    draws = laying.draws
    layers = [
        node
        for node in laying.nodes
        if node.kind in ("conv1d", "conv2d", "linear", "conv_transpose2d")
        and "same_as" not in node.options
        and node.options.get("bias") != "int32"
    ]
    if not layers:
        return False
    node = draws.choice(layers)
    first, second = laying.values[node.inputs[0]].shape, laying.values[x].shape
    axis = -1 if node.kind == "linear" else 1
    if len(first) != len(second) or first[axis] != second[axis]:
        return False
    number = laying.count + laying.nodes.index(node)
    laying.add_options(node.kind, (x,), replace(laying.values[number]), {"same_as": node.name})
    laying.quantise(relu=draws.chance(30))
    return True


STEPS: tuple[tuple[Step, int], ...] = (
    (_layer, 32),
    (_pool, 11),
    (_unary, 6),
    (_norm, 5),
    (_softmax, 3),
    (_average, 5),
    (_upsample, 4),
    (_move, 14),
    (join, 14),
    (residual, 10),
    (matmul, 2),
    (_requantise, 3),
    (_composite, 8),
    (_shared, 4),
)
"""Steps and how often each is drawn."""


def _real_average(laying: Laying, x: int) -> bool:
    known = laying.values[x]
    if len(known.shape) != 4:
        return False
    behind(laying, "global_avg_pool", (x,), known.size)
    return True


def _real_bilinear(laying: Laying, x: int) -> bool:
    known = laying.values[x]
    if len(known.shape) != 4:
        return False
    sizes = tuple(laying.draws.between(1, 2 * n) for n in known.shape[2:])
    behind(
        laying, "upsample_bilinear", (x,), known.size, sizes=sizes, corners=laying.draws.chance(50)
    )
    return True


HEADS: tuple[Step, ...] = (head, head, head, _real_average, _real_bilinear)
"""What may come last and stay real."""
