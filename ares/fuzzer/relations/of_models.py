"""Pairs of small models whose integers are the same, drawn from a seed: weights permuted, mirrored, split."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import numpy as np
import torch
from torch import Tensor, nn

import ares.nn as ann
from ares.fuzzer.draws import Draws
from ares.fuzzer.quantizers import activation_quantizer
from ares.fuzzer.relations.drawn import Branches, Chain, Drawn, Joined, with_parameters, with_rows
from ares.fuzzer.relations.related import Arrays, Related, Side


def _pair(
    name: str, example: tuple[Tensor], first: nn.Module, second: nn.Module, **how: Any
) -> Related:
    return Related(name, example, (Side((first,)), Side((second,), **how)))


# Channels that change place.


def permuted_channels(d: Drawn) -> Related:
    """A layer's output channels and the next layer's input channels in another order: the same codes.

    The next layer's sums are of the same products; permuted too, its outputs are permuted codes.
    """
    channels, middle, out = (d.draws.between(2, 9) for _ in range(3))
    depthwise = d.draws.chance(40)
    front, relu, end = d.quant(), d.quant(8.0, qnn.QuantReLU), d.quant(60.0)
    one = d.layer(qnn.QuantConv2d, channels, middle, d.draws.between(1, 3), padding=1)
    between = d.layer(qnn.QuantConv2d, middle, middle, 3, groups=middle) if depthwise else None
    inner = d.quant(20.0)
    two = d.layer(qnn.QuantConv2d, middle, out, d.draws.between(1, 2))
    order = d.draws.sample(range(middle), middle)
    last = d.draws.sample(range(out), out)
    moved = with_rows(with_parameters(two, two.weight[:, list(order)], two.bias), last)
    extra = [] if between is None else [between, inner]
    other = [] if between is None else [with_rows(between, order), inner]

    def back(arrays: Arrays) -> Arrays:
        return [arrays[0][:, np.argsort(last)]]

    return _pair(
        "permuted channels",
        d.example(channels, 7, 6),
        Chain(front, one, relu, *extra, two, end),
        Chain(front, with_rows(one, order), relu, *other, moved, end),
        back=back,
    )


def channels_moved_before_the_quantiser(d: Drawn) -> Related:
    """A layer's real results flipped, or rolled by two slices, along the channels, and the layer with its channels so:
    the same codes. A channel keeps its own scale and bias wherever it goes.
    """
    channels, out = d.draws.between(1, 5), d.draws.between(2, 9)
    by = d.draws.between(1, out - 1)
    order = list(range(out))[::-1]
    move: Any = partial(torch.flip, dims=(1,))
    if d.draws.chance(60):
        order = [*range(by, out), *range(by)]
        move = partial(_rolled, by=by)
    layer = d.layer(qnn.QuantConv2d, channels, out, 3, padding=1)
    front, end = d.quant(), d.quant(8.0)
    return _pair(
        "channels moved before the quantiser",
        d.example(channels, 5, 6),
        Chain(front, layer, move, end),
        Chain(front, with_rows(layer, order), end),
    )


def _rolled(x: Tensor, by: int) -> Tensor:
    return torch.cat([x[:, by:], x[:, :by]], 1)


def groups_as_layers(d: Drawn) -> Related:
    """A convolution in groups, and one for each group on its share of the channels: the same codes."""
    groups, each, out = (d.draws.between(2, 4), d.draws.between(1, 4), d.draws.between(1, 5))
    layer = d.layer(
        qnn.QuantConv2d, groups * each, groups * out, 3, groups=groups, stride=d.draws.between(1, 2)
    )
    front, end = d.quant(), d.quant(8.0)
    parts = []
    for group in range(groups):
        own = slice(group * out, (group + 1) * out)
        part = qnn.QuantConv2d(
            *(each, out, 3),
            stride=layer.stride,
            bias=layer.bias is not None,
            weight_quant=bq.Int8WeightPerChannelFloat,
        )
        parts.append(
            with_parameters(
                part, layer.weight[own], None if layer.bias is None else layer.bias[own]
            )
        )
    return _pair(
        "groups as layers",
        d.example(groups * each, 7, 8),
        Chain(front, layer, end),
        Chain(front, Branches([Chain(part, copy.deepcopy(end)) for part in parts])),
    )


# One layer as another.


def linear_as_convolution(d: Drawn) -> Related:
    """A linear layer on tokens, and a convolution of kernel one on them: the same codes, the axes exchanged."""
    features, out, tokens = d.draws.between(1, 17), d.draws.between(1, 19), d.draws.between(1, 6)
    layer = d.layer(qnn.QuantLinear, features, out)
    conv = qnn.QuantConv1d(
        *(features, out, 1), bias=layer.bias is not None, weight_quant=bq.Int8WeightPerChannelFloat
    )
    front, end = d.quant(), d.quant(8.0)

    def turn(arrays: Arrays) -> Arrays:
        return [np.ascontiguousarray(array.swapaxes(1, 2)) for array in arrays]

    return _pair(
        "linear as convolution",
        d.example(tokens, features),
        Chain(front, layer, end),
        Chain(front, with_parameters(conv, layer.weight[:, :, None], layer.bias), end),
        turn=turn,
        back=turn,
    )


def conv1d_as_conv2d(d: Drawn) -> Related:
    """A convolution along one axis, and along two on an image of one row: the same codes."""
    channels, out, kernel = d.draws.between(1, 6), d.draws.between(1, 6), d.draws.between(1, 5)
    stride, padding, spread = d.draws.between(1, 3), d.draws.between(0, 3), d.draws.between(1, 2)
    layer = d.layer(
        qnn.QuantConv1d, channels, out, kernel, stride=stride, padding=padding, dilation=spread
    )
    conv = qnn.QuantConv2d(
        *(channels, out, (1, kernel)),
        stride=(1, stride),
        padding=(0, padding),
        dilation=(1, spread),
        bias=layer.bias is not None,
        weight_quant=bq.Int8WeightPerChannelFloat,
    )
    front, end = d.quant(), d.quant(8.0)
    return _pair(
        "conv1d as conv2d",
        d.example(channels, 13),
        Chain(front, layer, end),
        Chain(front, with_parameters(conv, layer.weight[:, :, None], layer.bias), end),
        turn=lambda arrays: [array[:, :, None] for array in arrays],
        back=lambda arrays: [array[:, :, 0] for array in arrays],
    )


def transposed_as_dilated(d: Drawn) -> Related:
    """A transposed convolution, and one with the mirrored kernel on the input with zeros between: the same codes.

    Zero has a code, so that what is put between adds nothing.
    """
    channels, out, kernel = d.draws.between(1, 4), d.draws.between(1, 4), d.draws.between(1, 4)
    stride, padding = d.draws.between(1, 3), d.draws.between(0, kernel - 1)
    layer = d.layer(qnn.QuantConvTranspose2d, channels, out, kernel, stride=stride, padding=padding)
    conv = qnn.QuantConv2d(
        *(channels, out, kernel),
        padding=kernel - 1 - padding,
        bias=layer.bias is not None,
        weight_quant=bq.Int8WeightPerChannelFloat,
    )
    mirrored = layer.weight.transpose(0, 1).flip(2, 3)
    front, end = d.quant(), d.quant(8.0)

    def turn(arrays: Arrays) -> Arrays:
        (array,) = arrays
        height, width = ((size - 1) * stride + 1 for size in array.shape[2:])
        wide = np.zeros((*array.shape[:2], height, width), np.float32)
        wide[:, :, ::stride, ::stride] = array
        return [wide]

    return _pair(
        "transposed as dilated",
        d.example(channels, 5, 4),
        Chain(front, layer, end),
        Chain(front, with_parameters(conv, mirrored, layer.bias), end),
        turn=turn,
    )


def mirrored_image(d: Drawn) -> Related:
    """A mirrored input, kernels mirrored: the mirrored codes. Where the last window ends with the padded input."""
    channels, out, kernel = d.draws.between(1, 4), d.draws.between(1, 5), d.draws.between(1, 4)
    stride, padding = d.draws.between(1, 2), d.draws.between(0, 2)
    steps = d.draws.between(2, 4)
    width = max((steps - 1) * stride + kernel - 2 * padding, 1)
    width += -(width + 2 * padding - kernel) % stride
    width += stride * (max(0, kernel - 2 * padding - width + stride - 1) // stride)
    layer = d.layer(qnn.QuantConv2d, channels, out, kernel, stride=stride, padding=padding)
    relu, end = d.quant(8.0, qnn.QuantReLU), d.quant(8.0)
    front = d.quant()

    def mirror(arrays: Arrays) -> Arrays:
        return [np.ascontiguousarray(array[..., ::-1]) for array in arrays]

    return _pair(
        "mirrored image",
        d.example(channels, width, width),
        Chain(front, layer, relu, end),
        Chain(front, with_parameters(layer, layer.weight.flip(3), layer.bias), relu, end),
        turn=mirror,
        back=mirror,
    )


# Layers that do nothing, and layers folded by hand.


def layers_of_ones(d: Drawn) -> Related:
    """A layer whose weights are one and whose scale is one between a quantiser and the same one: the same codes.

    One product with 1, rescaled by exactly 1.
    """
    channels = d.draws.between(1, 6)
    layer = d.layer(qnn.QuantConv2d, channels, channels, 3, padding=1)
    front, middle, end = d.quant(), d.quant(8.0), d.quant(8.0)
    weight = {
        "weight_quant": bq.Int8WeightPerTensorFloat,
        "weight_scaling_impl_type": "CONST",
        "weight_scaling_init": 127.0,
    }
    ones = qnn.QuantConv2d(channels, channels, 1, groups=channels, bias=False, **weight)
    full = with_parameters(
        qnn.QuantConv2d(channels, channels, 1, bias=False, **weight),
        torch.eye(channels)[:, :, None, None],
    )
    nothing: Any = (
        with_parameters(ones, torch.ones(channels, 1, 1, 1)) if d.draws.chance(50) else full
    )
    return _pair(
        "layers of ones",
        d.example(channels, 5, 5),
        Chain(front, layer, middle, nn.ReLU(), end),
        Chain(front, layer, middle, nothing, copy.deepcopy(middle), nn.Identity(), nn.ReLU(), end),
    )


def batch_norm_by_hand(d: Drawn) -> Related:
    """BatchNorm behind a layer, and its factors in the weights and the bias: the same codes.

    Where the factors are powers of two, negative ones too: the channel's weights have then the same codes but for the
    sign, and another scale by exactly that much. Variance and epsilon make exactly one.
    """
    channels, out = d.draws.between(1, 5), d.draws.between(2, 8)
    layer = d.layer(qnn.QuantConv2d, channels, out, 3, padding=1)
    eps = 2.0**-17
    norm = nn.BatchNorm2d(out, eps=eps)
    gamma = torch.exp2((d.numbers([out]) * 3.0).round()) * torch.sign(d.numbers([out]))
    mean, beta = ((d.numbers([out]) * 64.0).round() / 64.0 for _ in range(2))
    bias = (d.numbers([out]) * 64.0).round() / 64.0
    with torch.no_grad():
        norm.get_buffer("running_var").fill_(1.0 - eps)
        norm.get_buffer("running_mean").copy_(mean)
        norm.weight.copy_(gamma)
        norm.bias.copy_(beta)
    plain = qnn.QuantConv2d(
        *(channels, out, 3), padding=1, bias=True, weight_quant=bq.Int8WeightPerChannelFloat
    )
    before = with_parameters(plain, layer.weight, bias)
    folded = with_parameters(
        plain, layer.weight * gamma[:, None, None, None], (bias - mean) * gamma + beta
    )
    front, end = d.quant(), d.quant(16.0)
    return _pair(
        "batch norm by hand",
        d.example(channels, 5, 4),
        Chain(front, before, norm, end),
        Chain(front, folded, end),
    )


def nested_concatenation(d: Drawn) -> Related:
    """Three parts joined at once, and the first two joined before: the same codes.

    Each part comes in its own scale; the inner join has the outer one's, so its codes pass that unchanged.
    """
    channels = d.draws.between(1, 4)
    layers = [d.layer(qnn.QuantConv2d, channels, d.draws.between(1, 4), 1) for _ in range(3)]
    quants = [d.quant(size) for size in d.draws.sample((0.5, 2.0, 4.0, 8.0), 3)]
    join = activation_quantizer({"bits": 8, "scale": 4.0 / 128})
    front, inner, outer = (
        d.quant(),
        *(ann.QuantConcatenate(dim=1, act_quant=join) for _ in range(2)),
    )
    return _pair(
        "nested concatenation",
        d.example(channels, 4, 5),
        Joined(front, layers, quants, None, outer).eval(),
        Joined(front, layers, quants, inner, outer).eval(),
    )


MODEL_RELATIONS: Mapping[str, Callable[[Drawn], Related]] = {
    each.__name__.replace("_", " "): each
    for each in (
        permuted_channels,
        channels_moved_before_the_quantiser,
        groups_as_layers,
        linear_as_convolution,
        conv1d_as_conv2d,
        transposed_as_dilated,
        mirrored_image,
        layers_of_ones,
        batch_norm_by_hand,
        nested_concatenation,
    )
}


def drawn_pair(seed: int, relation: str = "") -> Related:
    """The pair of models of a relation, or, "", of the one that the seed draws."""
    name = relation or Draws(f"ares fuzz/relation of models/{seed}").choice(list(MODEL_RELATIONS))
    return MODEL_RELATIONS[name](Drawn(seed, name))
