"""The shape that each kind of node makes of its operands' shapes: without torch, before anything is built.

A rule raises RecipeError where a node cannot read its operands. What only the layer itself can tell (that heads divide
a width) it says when it is built. Every shape has the batch of one as axis 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from ares.fuzzer.recipe import Node, Option, Recipe, RecipeError

Shape = tuple[int, ...]
Options = Mapping[str, Option]
Rule = Callable[[Options, Sequence[Shape]], Shape]

DEPTHWISE = -1
"""As the option "groups": as many as there are channels, with "out" outputs for each."""


def shapes_of(recipe: Recipe) -> tuple[Shape, ...]:
    """The shape of every value. Raises RecipeError, naming the node."""
    shapes = [spec.shape for spec in recipe.inputs]
    for node in recipe.nodes:
        shapes.append(result_shape(resolved(recipe, node), [shapes[i] for i in node.inputs]))
    return tuple(shapes)


def resolved(recipe: Recipe, node: Node) -> Node:
    """The node that holds the module of this one: itself, but for "same_as"."""
    same = node.options.get("same_as")
    return node if same is None else next(other for other in recipe.nodes if other.name == same)


def result_shape(node: Node, operands: Sequence[Shape]) -> Shape:
    """What a node makes of operands of these shapes. Raises RecipeError."""
    rule = RULES.get(node.kind)
    if rule is None:
        raise RecipeError(f"node {node.name}: no kind {node.kind!r}")
    try:
        shape = rule(node.options, operands)
    except RecipeError as error:
        found = ", ".join(str(list(operand)) for operand in operands)
        raise RecipeError(f"node {node.name} ({node.kind}) of {found}: {error}") from None
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise RecipeError(
            f"node {node.name} ({node.kind}): {type(error).__name__}: {error}"
        ) from None
    if not all(size > 0 for size in shape) or len(shape) < 2:
        raise RecipeError(f"node {node.name} ({node.kind}) would make {list(shape)}")
    return shape


def ints(options: Options, word: str, count: int, default: int = 1) -> tuple[int, ...]:
    """An option of one integer for each of `count` axes; one integer is all of them."""
    value = options.get(word, default)
    if not isinstance(value, tuple):
        return (_integer(word, value),) * count
    if len(value) != count:
        raise RecipeError(f"{word} {value}, expected {count} numbers")
    return several(options, word)


def several(options: Options, word: str) -> tuple[int, ...]:
    """An option of integers, however many."""
    value = options.get(word)
    if not isinstance(value, tuple):
        raise RecipeError(f"{word} {value!r}, expected integers")
    return tuple(_integer(word, item) for item in value)


def number(options: Options, word: str, default: int = 0) -> int:
    """An option that is one integer."""
    return _integer(word, options.get(word, default))


def _integer(word: str, value: Option) -> int:
    if not isinstance(value, int | float) or value != int(value):
        raise RecipeError(f"{word} {value!r}, expected an integer")
    return int(value)


def window(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool = False
) -> int:
    """How many windows fit on an axis; with `ceil` also one that begins inside and ends beyond."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if room < 0:
        raise RecipeError(f"a window of {kernel} on {size}")
    if not ceil:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def _rank(shape: Shape, *ranks: int) -> Shape:
    if len(shape) not in ranks:
        raise RecipeError(f"rank {len(shape)}, expected {ranks}")
    return shape


def _same(_options: Options, operands: Sequence[Shape]) -> Shape:
    return operands[0]


def _of_rank(*ranks: int) -> Rule:
    return lambda _options, operands: _rank(operands[0], *ranks)


def _grouped(options: Options, operands: Sequence[Shape]) -> Shape:
    """torch refuses to normalise a single value."""
    shape = _rank(operands[0], 3, 4)
    groups = number(options, "groups")
    if shape[0] * (shape[1] // groups) * math.prod(shape[2:]) == 1:
        raise RecipeError("a group of one value")
    return shape


def out_channels(options: Options, channels: int) -> tuple[int, int]:
    """(outputs, groups) of a convolution."""
    out, groups = number(options, "out"), number(options, "groups", 1)
    if groups == DEPTHWISE:
        return out * channels, channels
    if channels % groups or out % groups:
        raise RecipeError(f"{groups} groups of {channels} channels to {out}")
    return out, groups


def _convolved(
    axes: int, size: Callable[..., int], words: Mapping[str, int] = MappingProxyType({})
) -> Rule:
    """`size` of an axis from its length and the options, whose defaults these are with more `words` behind them."""
    defaults = {"kernel": 1, "stride": 1, "padding": 0, "dilation": 1, **words}

    def rule(options: Options, operands: Sequence[Shape]) -> Shape:
        batch, channels, *sizes = _rank(operands[0], axes + 2)
        out, _ = out_channels(options, channels)
        columns = (ints(options, word, axes, default) for word, default in defaults.items())
        return (batch, out, *map(size, sizes, *columns))

    return rule


def _conv(axes: int) -> Rule:
    return _convolved(axes, window)


def _transposed(axes: int) -> Rule:
    return _convolved(axes, _spread, {"output_padding": 0})


def _spread(size: int, kernel: int, stride: int, padding: int, dilation: int, more: int) -> int:
    """How long an axis becomes behind a transposed convolution."""
    return (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + more + 1


def _linear(options: Options, operands: Sequence[Shape]) -> Shape:
    return (*operands[0][:-1], number(options, "out"))


def _pool(options: Options, operands: Sequence[Shape]) -> Shape:
    batch, channels, *sizes = _rank(operands[0], 3, 4)
    axes = len(sizes)
    kernel = ints(options, "kernel", axes)
    stride = ints(options, "stride", axes)
    padding = ints(options, "padding", axes, 0)
    dilation = ints(options, "dilation", axes)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise RecipeError(f"padding {padding} of a window of {kernel}")
    ceil = bool(options.get("ceil", False))
    columns = zip(sizes, kernel, stride, padding, dilation, strict=True)
    return (batch, channels, *(window(*column, ceil) for column in columns))


def _sizes(options: Options, operands: Sequence[Shape]) -> Shape:
    batch, channels, *sizes = _rank(operands[0], 3, 4)
    return (batch, channels, *ints(options, "sizes", len(sizes)))


def _upsampled(options: Options, operands: Sequence[Shape]) -> Shape:
    batch, channels, *sizes = _rank(operands[0], 3, 4)
    factor = number(options, "factor", 2)
    return (batch, channels, *(size * factor for size in sizes))


def _global(_options: Options, operands: Sequence[Shape]) -> Shape:
    return (*_rank(operands[0], 4)[:2], 1, 1)


def _broadcast(_options: Options, operands: Sequence[Shape]) -> Shape:
    one, other = operands
    if len(one) != len(other) or any(
        a != b and 1 not in (a, b) for a, b in zip(one, other, strict=True)
    ):
        raise RecipeError("shapes that do not fit each other")
    return tuple(map(max, one, other))


def _concat(options: Options, operands: Sequence[Shape]) -> Shape:
    axis = number(options, "axis", 1)
    first = operands[0]
    rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in operands}
    if not 1 <= axis < len(first) or len(rest) != 1 or len({len(s) for s in operands}) != 1:
        raise RecipeError(f"not alike besides axis {axis}")
    return (*first[:axis], sum(shape[axis] for shape in operands), *first[axis + 1 :])


def _matmul(_options: Options, operands: Sequence[Shape]) -> Shape:
    one, other = operands
    if len(one) < 3 or one[:-2] != other[:-2] or one[-1] != other[-2]:
        raise RecipeError("no matrices that can be multiplied")
    return (*one[:-1], other[-1])


def axes_of(options: Options, rank: int, word: str = "axes") -> tuple[int, ...]:
    """An option of axes, each within 1 .. rank - 1, none twice."""
    value = options[word]
    axes = tuple(_integer(word, v) for v in (value if isinstance(value, tuple) else (value,)))
    if not axes or len(set(axes)) != len(axes) or not all(1 <= axis < rank for axis in axes):
        raise RecipeError(f"{word} {axes} of rank {rank}")
    return axes


def _mean(options: Options, operands: Sequence[Shape]) -> Shape:
    shape = operands[0]
    axes = axes_of(options, len(shape))
    if options.get("keepdim", False):
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _permute(options: Options, operands: Sequence[Shape]) -> Shape:
    shape = operands[0]
    order = axes_of(options, len(shape), "order")
    if len(order) != len(shape) - 1:
        raise RecipeError(f"order {order} of rank {len(shape)}")
    return (shape[0], *(shape[axis] for axis in order))


def _reshape(options: Options, operands: Sequence[Shape]) -> Shape:
    shape = operands[0]
    sizes = several(options, "sizes")
    count = math.prod(shape[1:])
    known = math.prod(size for size in sizes if size != -1)
    if known <= 0 or count % known or (-1 not in sizes and known != count):
        raise RecipeError(f"sizes {sizes} of {count} elements")
    return (shape[0], *(count // known if size == -1 else size for size in sizes))


def _flatten(options: Options, operands: Sequence[Shape]) -> Shape:
    shape, start = operands[0], number(options, "start", 1)
    if not 1 <= start < len(shape):
        raise RecipeError(f"start {start} of rank {len(shape)}")
    return (*shape[:start], math.prod(shape[start:]))


def _slice(options: Options, operands: Sequence[Shape]) -> Shape:
    shape = operands[0]
    (axis,) = axes_of(options, len(shape), "axis")
    start, stop = number(options, "start"), number(options, "stop", shape[axis])
    step = number(options, "step", 1)
    if not 0 <= start < stop <= shape[axis] or step < 1:
        raise RecipeError(f"{start}..{stop} of {shape[axis]}")
    return (*shape[:axis], len(range(start, stop, step)), *shape[axis + 1 :])


def _flip(options: Options, operands: Sequence[Shape]) -> Shape:
    axes_of(options, len(operands[0]))
    return operands[0]


def _squeeze(options: Options, operands: Sequence[Shape]) -> Shape:
    shape = operands[0]
    (axis,) = axes_of(options, len(shape), "axis")
    if shape[axis] != 1:
        raise RecipeError(f"axis {axis} is {shape[axis]}")
    return (*shape[:axis], *shape[axis + 1 :])


def _unsqueeze(options: Options, operands: Sequence[Shape]) -> Shape:
    shape = operands[0]
    (axis,) = axes_of(options, len(shape) + 1, "axis")
    return (*shape[:axis], 1, *shape[axis:])


def chunk_bounds(size: int, parts: int, index: int) -> tuple[int, int]:
    """Where torch.chunk's piece `index` lies."""
    each = -(-size // parts)
    return index * each, min(size, (index + 1) * each)


def _chunk(options: Options, operands: Sequence[Shape]) -> Shape:
    shape = operands[0]
    (axis,) = axes_of(options, len(shape), "axis")
    start, stop = chunk_bounds(shape[axis], number(options, "parts"), number(options, "index"))
    return (*shape[:axis], stop - start, *shape[axis + 1 :])


def _pad(options: Options, operands: Sequence[Shape]) -> Shape:
    batch, channels, *sizes = _rank(operands[0], 3, 4)
    amounts = ints(options, "amounts", 2 * len(sizes), 0)
    pairs = [(amounts[2 * i], amounts[2 * i + 1]) for i in range(len(sizes))][::-1]
    mode = options.get("mode", "zeros")
    for size, pair in zip(sizes, pairs, strict=True):
        limit = {"reflect": size - 1, "circular": size}.get(str(mode))
        if limit is not None and max(pair) > limit:
            raise RecipeError(f"{mode} padding {pair} of {size}")
    return (batch, channels, *(n + a + b for n, (a, b) in zip(sizes, pairs, strict=True)))


def _embedding(options: Options, operands: Sequence[Shape]) -> Shape:
    return (*operands[0], number(options, "dim"))


def _tokens(_options: Options, operands: Sequence[Shape]) -> Shape:
    return _rank(operands[0], 3)


def _attention(options: Options, operands: Sequence[Shape]) -> Shape:
    batch, tokens, width = _rank(operands[0], 3)
    if width % number(options, "heads", 1):
        raise RecipeError(f"{options['heads']} heads of {width}")
    pool = options.get("pool", "none")
    return {"none": (batch, tokens, width), "mean": (batch, width)}.get(
        str(pool), (batch, tokens * width)
    )


def _cross(options: Options, operands: Sequence[Shape]) -> Shape:
    batch, _, width = _rank(operands[0], 3)
    if width % number(options, "heads", 1):
        raise RecipeError(f"{options['heads']} heads of {width}")
    return (batch, number(options, "queries"), width)


def _mamba_wrapper(options: Options, operands: Sequence[Shape]) -> Shape:
    batch, tokens, width = _rank(operands[0], 3)
    return (batch, tokens, 2 * width if options.get("join") == "concat" else width)


def _patches(options: Options, operands: Sequence[Shape]) -> Shape:
    batch, _, height, width = _rank(operands[0], 4)
    (ph, pw), (sh, sw) = ints(options, "patch", 2), ints(options, "stride", 2)
    if ph > height or pw > width or (height - ph) % sh or (width - pw) % sw:
        raise RecipeError(f"patches {ph}x{pw} of {height}x{width}")
    rows, columns = (height - ph) // sh + 1, (width - pw) // sw + 1
    return (batch, columns, number(options, "dim") * rows)


def _spectrum(_options: Options, operands: Sequence[Shape]) -> Shape:
    shape = operands[0]
    if shape[-1] < 2:
        raise RecipeError("a row of one")
    return (*shape[:-1], 2 * (shape[-1] // 2 + 1))


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("quant", "quant_relu", "unary", "softmax", "scale_shift", "prelu"), _same),
    **dict.fromkeys(("layer_norm", "rms_norm"), _same),
    "group_norm": _grouped,
    "batch_norm": _of_rank(2, 3, 4),
    "conv1d": _conv(1),
    "conv2d": _conv(2),
    "conv_transpose1d": _transposed(1),
    "conv_transpose2d": _transposed(2),
    "linear": _linear,
    "max_pool": _pool,
    "avg_pool": _pool,
    "adaptive_avg_pool": _sizes,
    "adaptive_max_pool": _sizes,
    "global_avg_pool": _global,
    "trunc_avg_pool": _pool,
    "upsample_nearest": _upsampled,
    "upsample_bilinear": _sizes,
    **dict.fromkeys(("add", "sub", "mul", "quant_add", "quant_mul"), _broadcast),
    **dict.fromkeys(("concat", "quant_concat"), _concat),
    "matmul": _matmul,
    **dict.fromkeys(("mean", "sum"), _mean),
    "permute": _permute,
    "reshape": _reshape,
    "flatten": _flatten,
    "slice": _slice,
    "flip": _flip,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "chunk": _chunk,
    "pad": _pad,
    "embedding": _embedding,
    **dict.fromkeys(("positional", "feed_forward", "swiglu", "ssm", "mamba_block"), _tokens),
    **dict.fromkeys(("self_attention", "rope_attention", "transformer_block"), _attention),
    "multihead": _attention,
    "cross_attention": _cross,
    "mamba_wrapper": _mamba_wrapper,
    "patch_embed": _patches,
    "residual_block": _of_rank(4),
    "spectrum": _spectrum,
}
"""Every kind of node."""
