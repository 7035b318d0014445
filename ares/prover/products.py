"""What products of two tensors of codes mean: a convolution whose weights are the second input."""

from __future__ import annotations

import numpy as np

from ares.numerics import Rescale
from ares.ops import Site
from ares.ops._attention import by_heads
from ares.ops._operation import Array
from ares.ops.attention_context import AttentionContext
from ares.ops.attention_scores import AttentionScores
from ares.ops.matmul import Matmul
from ares.prover.sums import Meaning, image_sum, numbers_of, rescale_rows


def product(rescale: Rescale, site: Site, first: Array, second: Array, place: Array) -> Meaning:
    """Two inputs multiplied as matrices: numbers of elements [groups, rows, k], [groups, k, columns], of the output.

    The second input is taken for the weights [groups * columns, k] of an image of rows, in groups.
    """
    _, rows, depth = first.shape
    factor = site.inputs[1]
    numbers = second.transpose(0, 2, 1).reshape(-1, depth)[:, :, None, None]
    facts = rescale_rows([rescale], len(numbers), np.zeros((rows, 1), int))
    taps = np.arange(rows)[:, None, None], np.zeros((1, 1, 1), int)
    more: Meaning = {
        "image": first.transpose(0, 2, 1).reshape(-1, rows, 1).astype(np.int32),
        "place": place.transpose(0, 2, 1).reshape(-1, rows, 1).astype(np.int32),
        "numbers": numbers.astype(np.int32),
        "reach": [factor.lo - factor.zero_point, factor.hi - factor.zero_point],
        "second_zero": factor.zero_point,
    }
    return {**image_sum(site, *taps, np.zeros(0, np.int8)), **facts, **more}


def matmul(operation: Matmul, site: Site) -> Meaning:
    """Products of the last two axes; a second factor that has ones before them is shared."""
    first, second, place = map(numbers_of, (*site.inputs, *site.outputs))
    second = np.broadcast_to(second, (*first.shape[:-2], *second.shape[-2:]))
    a, b, c = (each.reshape(-1, *each.shape[-2:]) for each in (first, second, place))
    return product(operation.rescale, site, a, b, c)


def scores(operation: AttentionScores, site: Site) -> Meaning:
    """Queries times keys, head by head."""
    queries, keys = map(numbers_of, site.inputs)
    groups, heads = (operation.outer, operation.inner), operation.num_heads
    asked = (1, 1) if operation.shared else groups
    first = by_heads(queries, *asked, heads, heads)
    second = by_heads(keys, *groups, operation.num_kv_heads, heads).swapaxes(2, 3)
    first = np.broadcast_to(first, (*second.shape[:2], *first.shape[2:]))
    place = numbers_of(site.outputs[0]).reshape(-1, *site.outputs[0].shape[2:])
    a, b = (each.reshape(-1, *each.shape[2:]) for each in (first, second))
    return product(operation.rescale, site, a, b, place)


def context(operation: AttentionContext, site: Site) -> Meaning:
    """Probabilities times values, head by head."""
    weights, values = map(numbers_of, site.inputs)
    groups, heads = (operation.outer, operation.inner), operation.num_heads
    second = by_heads(values, *groups, operation.num_kv_heads, heads)
    asked = (groups[0] * groups[1], 1) if operation.shared else groups
    place = by_heads(numbers_of(site.outputs[0]), *asked, heads, heads)
    a, b, c = (each.reshape(-1, *each.shape[2:]) for each in (weights, second, place))
    return product(operation.rescale, site, a, b, c)
