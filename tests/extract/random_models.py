"""Random models: layers, joins and moves in any order, on tensors of any rank, several of them at once.

A model is a program of steps; each takes earlier results and appends one. What does not fit the shapes at hand is
drawn again. It ends with logits. Everything that the steps do can be mapped, so a refusal is a fault, too.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import torch
import torch.nn.functional as F
from brevitas.inject.defaults import RoundTo8bit, TruncTo8bit
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import Tensor, nn

from tests.extract.models import Shape, conv, linear, plain_identity

INPUTS: tuple[Shape, ...] = (
    (1, 2, 6, 5),
    (1, 3, 4, 4),
    (1, 1, 7, 3),
    (1, 4, 6),
    (1, 5),
    (1, 2, 3, 4),
)
QUANTIZERS: tuple[dict[str, Any], ...] = (
    {},
    {"bit_width": 4},
    {"act_quant": bq.Uint8ActPerTensorFloat},
    {"act_quant": bq.Int8ActPerTensorFixedPoint},
    {"act_quant": ShiftedUint8ActPerTensorFloat},
    {"act_quant": ShiftedUint8ActPerTensorFloat, "bit_width": 5},
)
LARGEST = 300
TRANSPOSED = (qnn.QuantConvTranspose1d, qnn.QuantConvTranspose2d)

Function = Callable[..., Any]


@dataclass(frozen=True)
class Step:
    """`function(*operands, *layers)` of earlier results and of modules, by number."""

    function: Function
    operands: tuple[int, ...]
    layers: tuple[int, ...] = ()


class EachChannel(nn.Module):
    """BatchNorm, PReLU, arithmetic with constants along an axis, or nothing; factors have both signs, and are zero."""

    def __init__(self, draw: random.Random, like: Tensor, axis: int) -> None:
        super().__init__()
        self.axis = axis
        channels, rank = like.shape[axis], like.dim()
        factors = torch.tensor(
            [draw.choice((-1.5, -0.25, 0.0, 0.5, 1.0, 2.0)) for _ in range(channels)]
        )
        self.kind = draw.choice(("norm", "prelu", "arithmetic", "nothing"))
        # PyTorch takes statistics of more than one value.
        if self.kind == "norm" and (rank not in (3, 4) or like[0].numel() == channels):
            self.kind = "arithmetic"
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.linspace(-0.5, 0.5, channels))
        self.register_buffer("std", factors + 0.125)
        norm = nn.BatchNorm1d if rank == 3 else nn.BatchNorm2d
        self.layer: Any = {"norm": norm, "prelu": nn.PReLU}.get(self.kind, nn.Identity)(channels)
        if self.kind in ("norm", "prelu"):
            self.layer.weight.data.copy_(factors)

    def forward(self, y: Tensor) -> Tensor:
        if self.kind == "nothing":
            return y
        y = y if self.axis == 1 else y.transpose(1, self.axis)
        if self.kind == "arithmetic":
            ones = [1] * (y.dim() - 2)
            y = (y - self.mean.reshape(-1, *ones)) / self.std.reshape(-1, *ones)
        else:
            y = self.layer(y)
        return y if self.axis == 1 else y.transpose(1, self.axis)


class Truncated(nn.Module):
    """Brevitas' average of codes, which needs to know them."""

    def __init__(self, size: int, trunc_quant: Any) -> None:
        super().__init__()
        self.quant = qnn.QuantIdentity(return_quant_tensor=True)
        self.pool = qnn.TruncAvgPool2d(size, trunc_quant=trunc_quant, return_quant_tensor=False)

    def forward(self, y: Tensor) -> Any:
        return self.pool(self.quant(y))


class RandomModel(nn.Module):
    """The model of a seed. `input_shape` has a batch of one; forward takes any batch."""

    def __init__(self, seed: int, steps: int) -> None:
        super().__init__()
        self.draw = random.Random(seed)
        self.layers = nn.ModuleList()
        self.input_shape = self.draw.choice(INPUTS)
        before = self.draw.choice((_same, _same, _zero_to_one, _standardised))
        self.steps = [Step(lambda x, q: q(before(x)), (0,), (self._quantizer(),))]
        results = [torch.zeros(2, *self.input_shape[1:])]
        results.append(self._run(self.steps[0], results))
        while len(self.steps) <= steps:
            step = self._draw(results)
            if step is None:
                continue
            result = self._run(step, results)
            if result.numel() <= 2 * LARGEST and 2 <= result.dim() <= 5:
                self.steps.append(step)
                results.append(result)
        head = self._head(results)
        features, last = results[-1].shape[-1], len(results) - 1
        if head is not None:
            self.steps.append(head)
            results.append(self._run(head, results))
        logits = Step(lambda x, fc: fc(x), (last,), (self._add(linear(features, 3)),))
        self.steps.append(logits)
        results.append(self._run(logits, results))
        used = {operand for step in self.steps for operand in step.operands}
        self.outputs = [i for i in range(1, len(results)) if i not in used][-5:]

    def forward(self, x: Tensor) -> Any:
        results = [x]
        for step in self.steps:
            results.append(self._run(step, results))
        return tuple(results[i] for i in self.outputs)

    def _run(self, step: Step, results: list[Tensor]) -> Tensor:
        operands = [results[i] for i in step.operands]
        return step.function(*operands, *(self.layers[i] for i in step.layers))

    def _add(self, layer: nn.Module) -> int:
        self.layers.append(layer)
        return len(self.layers) - 1

    def _quantizer(self) -> int:
        return self._add(plain_identity(**self.draw.choice(QUANTIZERS)))

    def _draw(self, results: list[Tensor]) -> Step | None:
        recent = len(results) - 1
        chosen = self.draw.randint(1, recent) if self.draw.random() < 0.4 else recent
        kind = self.draw.choice((self._affine, self._pool, self._move, self._move, self._join))
        return kind(results, chosen)

    def _affine(self, results: list[Tensor], chosen: int) -> Step | None:
        """A convolution or linear layer with functions and moves before its quantiser, or its logits."""
        draw, x = self.draw, results[chosen]
        per_channel = draw.choice((bq.Int8WeightPerTensorFloat, bq.Int8WeightPerChannelFloat))
        options = {"bias": draw.random() < 0.5, "weight_quant": per_channel}
        if x.dim() in (3, 4) and draw.random() < 0.2:
            layer = self._transposed(x, **options)
            behind = draw.choice(BEHIND)
        elif x.dim() == 4 and draw.random() < 0.6:
            channels = x.shape[1]
            groups = draw.choice((1, channels))
            kernel = (draw.randint(1, min(3, x.shape[2])), draw.randint(1, min(3, x.shape[3])))
            options |= {"stride": draw.choice((1, 2)), "padding": draw.randint(0, 1)}
            layer = conv(channels, groups * draw.randint(1, 2), kernel, groups=groups, **options)
            behind = draw.choice((*BEHIND, _highest))
        elif x.dim() == 3 and draw.random() < 0.5:
            kernel = draw.randint(1, min(3, x.shape[2]))
            options |= {"stride": draw.choice((1, 2)), "padding": draw.randint(0, 2)}
            layer = qnn.QuantConv1d(x.shape[1], draw.choice((1, 3)), kernel, **options)
            behind = draw.choice(BEHIND)
        else:
            layer = linear(x.shape[-1], draw.choice((1, 2, 5)), **options)
            behind = draw.choice(BEHIND)
        axis = x.dim() - 1 if isinstance(layer, qnn.QuantLinear) else 1
        between = EachChannel(draw, layer(x), axis)
        sums = between.kind != "prelu" and not isinstance(layer, TRANSPOSED)
        if sums and x.dim() in (3, 4) and draw.random() < 0.25:
            # An average of what the layer computes: all its positions.
            positions = tuple(place for place in range(1, x.dim()) if place != axis)
            behind = draw.choice((lambda y: y.mean(positions, True), lambda y: y.sum(positions)))
        return Step(
            lambda x, layer, between, q: q(behind(between(layer(x)))),
            (chosen,),
            (self._add(layer), self._add(between), self._quantizer()),
        )

    def _transposed(self, x: Tensor, **options: Any) -> nn.Module:
        """A transposed convolution of a sequence or an image."""
        draw = self.draw
        kind = TRANSPOSED[x.dim() - 3]
        kernel, stride = draw.randint(1, 3), draw.randint(1, 2)
        return kind(
            x.shape[1],
            draw.choice((1, 3)),
            kernel,
            stride=stride,
            padding=(kernel - 1) // 2,
            output_padding=draw.randrange(stride),
            **options,
        )

    def _head(self, results: list[Tensor]) -> Step | None:
        """What leaves without a quantiser, besides the logits."""
        maps = [i for i in range(1, len(results)) if results[i].dim() in (3, 4)]
        if not maps:
            return None
        chosen = self.draw.choice(maps)
        if self.draw.random() < 0.5:
            return Step(lambda x: _interpolated(x, 7, False), (chosen,))
        x = results[chosen]
        usual = qnn.QuantConv1d if x.dim() == 3 else qnn.QuantConv2d
        head = usual(x.shape[1], 2, 1) if self.draw.random() < 0.5 else self._transposed(x)
        return Step(lambda x, layer: layer(x), (chosen,), (self._add(head),))

    def _pool(self, results: list[Tensor], chosen: int) -> Step | None:
        draw, x = self.draw, results[chosen]
        rank = x.dim()
        axes = tuple(draw.sample(range(1, rank), draw.randint(1, rank - 1)))
        keepdim = draw.random() < 0.5
        size, padding = draw.randint(1, 3), draw.randint(0, 1)
        padding = min(padding, size // 2)
        width = x.shape[-1:]
        groups = draw.choice([g for g in range(1, x.shape[1] + 1) if x.shape[1] % g == 0])
        kinds: list[Function] = [
            *(_same, F.gelu, F.silu, torch.sigmoid, torch.tanh, lambda y: y.softmax(-1)),
            *(
                _limited,
                _zero_to_one,
                _standardised,
                EachChannel(draw, x, draw.randint(1, rank - 1)),
            ),
            lambda y: F.layer_norm(y, width, eps=1e-5),
            lambda y: F.rms_norm(y, width, eps=1e-5),
        ]
        if rank == 3:
            kinds.append(lambda y: F.adaptive_avg_pool1d(y, size))
        if rank == 3 and x.shape[2] > 1:
            kinds += [
                lambda y: F.avg_pool1d(y, 2, ceil_mode=keepdim),
                lambda y: F.max_pool1d(y, 2, 1),
                lambda y: F.adaptive_max_pool1d(y, size),
            ]
        if rank in (3, 4):
            kinds.append(lambda y: _interpolated(y, size + 1, keepdim))
        if rank > 2 and x[0].numel() > groups:  # PyTorch trains on no group of one value
            kinds.append(lambda y: F.group_norm(y, groups, eps=1e-5))
        if rank <= 4:
            kinds.append(lambda y: y.mean(axes, keepdim=keepdim))
        if rank == 4 and min(x.shape[2:]) + 2 * padding >= size:
            kinds.append(lambda y: F.avg_pool2d(y, size, padding=padding))
            kinds.append(lambda y: F.avg_pool2d(y, size, padding=padding, ceil_mode=True))
            kinds.append(lambda y: F.adaptive_avg_pool2d(y, (1, size) if keepdim else 1))
            kinds.append(lambda y: F.adaptive_max_pool2d(y, (size, 2)))
            kinds.append(
                Truncated(min(size, *x.shape[2:]), draw.choice((TruncTo8bit, RoundTo8bit)))
            )
            kinds.append(lambda y: F.max_pool2d(y, size, padding=padding, ceil_mode=keepdim))
        kind = draw.choice(kinds)
        if isinstance(kind, nn.Module):
            layers = (self._add(kind), self._quantizer())
            return Step(lambda x, layer, q: q(layer(x)), (chosen,), layers)
        return Step(lambda x, q: q(kind(x)), (chosen,), (self._quantizer(),))

    def _move(self, results: list[Tensor], chosen: int) -> Step | None:
        draw, x = self.draw, results[chosen]
        rank = x.dim()
        order = draw.sample(range(1, rank), rank - 1)
        start = draw.randint(1, rank - 1)
        sizes = _factors(draw, x[0].numel())
        pad = [draw.randint(0, 2) for _ in range(4)]
        ones = [axis for axis in range(1, rank) if x.shape[axis] == 1]
        kinds: list[Function] = [
            lambda y: y.permute(0, *order),
            lambda y: y.reshape(y.shape[0], *sizes),
            lambda y: y.flatten(start),
            lambda y: y.unsqueeze(start),
            lambda y: y.flip(start),
            lambda y: y.narrow(start, 0, (y.shape[start] + 1) // 2),
            F.relu,
        ]
        if rank in (3, 4):
            kinds.append(lambda y: F.pad(y, pad[: 2 * rank - 4]))
            kinds.append(lambda y: F.pad(y, pad[: 2 * rank - 4], "replicate"))
            kinds.append(lambda y: F.interpolate(y, scale_factor=2))
        if ones and rank > 2:
            kinds.append(lambda y: y.squeeze(ones[0]))
        return Step(draw.choice(kinds), (chosen,))

    def _join(self, results: list[Tensor], chosen: int) -> Step | None:
        draw = self.draw
        shapes = [tuple(result.shape[1:]) for result in results]
        shape = shapes[chosen]
        axis = draw.randrange(len(shape))
        alike = [i for i in range(1, len(results)) if _repeats(shapes[i], shape)]
        beside = [
            i
            for i in range(1, len(results))
            if len(shapes[i]) == len(shape) and _without(shapes[i], axis) == _without(shape, axis)
        ]
        if draw.random() < 0.5:
            operands = [chosen, draw.choice(alike)]
            draw.shuffle(operands)
            behind = draw.choice((_same, F.relu, _flat))
            join = draw.choice((torch.add, torch.mul))
            return Step(
                lambda a, b, q: q(behind(join(a, b))), tuple(operands), (self._quantizer(),)
            )
        parts = (chosen, *draw.choices(beside, k=draw.randint(1, 2)))
        return Step(
            lambda *items: items[-1](torch.cat(items[:-1], axis + 1)), parts, (self._quantizer(),)
        )


def _same(x: Tensor) -> Tensor:
    return x


def _zero_to_one(x: Tensor) -> Tensor:
    return 0.5 - x / 4


def _standardised(x: Tensor) -> Tensor:
    return (2 * x - 0.3) / 0.7 + 1


def _limited(x: Tensor) -> Tensor:
    return x.clamp(-0.75, 0.5)


def _lowered(x: Tensor) -> Tensor:
    return F.relu6(x + 3) / -6


def _flat(x: Tensor) -> Tensor:
    return x.flatten(1)


def _turned(x: Tensor) -> Tensor:
    return x.transpose(1, -1)


def _interpolated(x: Tensor, size: int, corners: bool) -> Tensor:
    mode = "linear" if x.dim() == 3 else "bilinear"
    return F.interpolate(x, (size, size + 1)[: x.dim() - 2], mode=mode, align_corners=corners)


def _highest(x: Tensor) -> Tensor:
    return F.max_pool2d(x, (2, 1)) if x.shape[2] > 1 else x


BEHIND: tuple[Function, ...] = (
    _same,
    F.relu,
    F.gelu,
    _flat,
    _turned,
    _limited,
    _standardised,
    _lowered,
)


def _repeats(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether the first can be repeated to the second's shape."""
    return len(one) == len(other) and all(a in (1, b) for a, b in zip(one, other, strict=True))


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _factors(draw: random.Random, count: int) -> list[int]:
    """Up to four sizes whose product is `count`."""
    sizes: list[int] = []
    while count > 1 and len(sizes) < 3:
        sizes.append(draw.choice([size for size in range(2, count + 1) if count % size == 0]))
        count //= sizes[-1]
    sizes.append(count)
    draw.shuffle(sizes)
    return sizes
