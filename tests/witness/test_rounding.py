"""Bounds on what float32 rounds: no result is farther off, no bound is beyond reason, none is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ares.witness_bounds import normalised
from ares.witness_rounding import Rounding


def _draw(*shape: int, seed: int = 1, spread: float = 1.0) -> Tensor:
    return spread * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class _Constants(nn.Module):
    """What the functions compute with, exact in both types."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Parameter(_draw(6, 5, seed=2))
        self.square = nn.Parameter(_draw(5, 5, seed=3))
        self.image = nn.Parameter(_draw(4, 3, 3, 2, seed=4))
        self.up = nn.Parameter(_draw(3, 4, 2, 2, seed=5))
        self.bias = nn.Parameter(_draw(6, seed=6))
        self.each = nn.Parameter(_draw(3, seed=7))
        self.wide = nn.Parameter(_draw(3, 4, 5, seed=8))


C = _Constants
Function = Callable[[C, Tensor], Tensor]

# Of values [2, 3, 4, 5].
SMOOTH: dict[str, Function] = {
    "linear": lambda c, x: F.linear(x, c.rows, c.bias),
    "matmul": lambda c, x: x @ c.square,
    "attention": lambda c, x: (x @ x.mT).softmax(-1) @ x,
    "conv2d": lambda c, x: F.conv2d(x, c.image, stride=2, padding=1),
    "grouped": lambda c, x: F.conv2d(x, c.image[:3, :1], padding=1, groups=3),
    "conv_transpose2d": lambda c, x: F.conv_transpose2d(x, c.up, stride=2),
    "conv1d": lambda c, x: F.conv1d(x[0], c.wide[:, :, :3]),
    "batch_norm": lambda c, x: F.batch_norm(x, c.each, c.each.abs() + 0.1, c.each, c.each),
    "layer_norm": lambda c, x: F.layer_norm(x, (4, 5), c.wide[0], c.wide[1]),
    "layer_norm_plain": lambda c, x: F.layer_norm(x, (5,)),
    "group_norm": lambda c, x: F.group_norm(x, 3, c.each, c.each),
    "rms": lambda c, x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5),
    "softmax": lambda c, x: (3 * x).softmax(-1),
    "masked": lambda c, x: x.masked_fill(c.wide > 1, float("-inf")).softmax(-1),
    "lowest": lambda c, x: x.masked_fill(c.wide > 0, torch.finfo(torch.float32).min).softmax(-1),
    "add": lambda c, x: x + c.wide,
    "add_in_place": lambda c, x: x.clone().add_(c.wide).mul_(0.3),
    "sub": lambda c, x: 1 - x,
    "div": lambda c, x: x / (c.wide.abs() + 0.5),
    "mean": lambda c, x: x.mean((2, 3)),
    "sum": lambda c, x: x.sum(-1),
    "avg_pool": lambda c, x: F.avg_pool2d(x, 3, 1, 1),
    "adaptive": lambda c, x: F.adaptive_avg_pool2d(x, (3, 2)),
    "max_pool": lambda c, x: F.max_pool2d(x / 3, 2),
    "amax": lambda c, x: (x / 3).amax(-1),
    "bilinear": lambda c, x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "nearest": lambda c, x: F.interpolate(x / 3, scale_factor=2),
    "norm": lambda c, x: torch.linalg.vector_norm(x, dim=-1),
    "moves": lambda c, x: torch.cat([(x / 3).flip(1), x.roll(1, -1)], 1).transpose(1, 2)[:, 1:3],
    "pad": lambda c, x: F.pad(x / 3, (1, 2, 0, 1), mode="reflect"),
    "halves": lambda c, x: torch.stack(x.chunk(2, 2)).unbind(0)[1] / 3,
    "leaky_relu": lambda c, x: F.leaky_relu(x / 3, 0.1),
    "prelu": lambda c, x: F.prelu(x / 3, c.each),
    "pow": lambda c, x: (x.abs() + 0.5) ** 0.3,
    "exponential": lambda c, x: 2.0**x,
    "angle": lambda c, x: torch.atan2(x[:, 0], x[:, 1]),
    "filled": lambda c, x: _filled(x),
}


def _activation(name: str) -> Function:
    return lambda c, x: getattr(F, name)(x * 1.1)


def _of_positives(name: str) -> Function:
    return lambda c, x: getattr(torch, name)(x.abs() + 0.1)


_ACTIVATIONS = """
    celu elu gelu hardsigmoid hardswish hardtanh logsigmoid mish relu relu6 selu sigmoid silu softplus tanh
"""
_FUNCTIONS = "abs cos erf exp expm1 log log1p neg reciprocal rsqrt sin sqrt"
SMOOTH |= {name: _activation(name) for name in _ACTIVATIONS.split()}
SMOOTH |= {name: _of_positives(name) for name in _FUNCTIONS.split()}


def _filled(x: Tensor) -> Tensor:
    made = torch.zeros_like(x)
    made[:, 1:] = x[:, 1:] * 0.7
    return made


@contextmanager
def _bounded(x: Tensor, bound: Tensor) -> Iterator[Rounding]:
    rounding = Rounding()
    rounding.bind(x, bound)
    with torch.no_grad(), rounding:
        yield rounding


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("spread", [1.0, 20.0])
def test_no_result_is_farther_off_than_its_bound(name: str, spread: float) -> None:
    """Neither for exact arguments nor for arguments that are off already, by a part of them or by so much."""
    constants = _Constants()
    exact = _draw(2, 3, 4, 5, spread=spread).double()
    sign = _draw(2, 3, 4, 5, seed=9).sign()
    for off, shift in ((0.0, 0.0), (1e-4, 0.0), (0.0, 0.05)):
        given = (exact * (1.0 + off * sign) + shift * sign).float()
        with _bounded(given, (given.double() - exact).abs()) as rounding:
            found = SMOOTH[name](constants, given)
        rounding.paused = True
        bound = rounding.bound(found)
        with torch.no_grad():
            meant = SMOOTH[name](_Constants().double(), exact)
        error = (found.double() - meant).abs()
        assert not rounding.unknown
        assert (error <= bound).all(), (error / bound).max()
        assert bool(bound.isfinite().all()) or name in ("reciprocal", "angle")
        if (off, shift, spread) == (0.0, 0.0, 1.0) and name not in ("angle", "lowest"):
            # Not so wide that it explained half a code in the range of what it makes.
            assert bound.max() < 2.0**-9 * max(1.0, float(meant.abs().max()))


_EQUAL = ("layer_norm", "layer_norm_plain", "group_norm")


@pytest.mark.parametrize("name", _EQUAL)
@pytest.mark.parametrize("together", [False, True], ids=["contiguous", "channels together"])
def test_a_norm_of_nearly_equal_elements_has_a_bound(name: str, together: bool) -> None:
    """float32 may take a variance of zero for more than epsilon, or of more than epsilon for zero."""
    constants = _Constants()
    layout = torch.channels_last if together else torch.contiguous_format
    largest = 0.0
    for mean in (0.01, 3.7, 4837.7, 1.1e5):
        for spread in (0.0, 2.0**-22, 2.0**-16, 1e-3):
            given = (mean * (1.0 + _draw(2, 3, 4, 5, spread=spread))).to(memory_format=layout)
            with _bounded(given, torch.zeros(given.shape, dtype=torch.float64)) as rounding:
                found = SMOOTH[name](constants, given)
            rounding.paused = True
            with torch.no_grad():
                meant = SMOOTH[name](_Constants().double(), given.double().contiguous())
            error, bound = (found.double() - meant).abs(), rounding.bound(found)
            assert bound.isfinite().all()
            assert (error <= bound).all(), (mean, spread, (error / bound).max())
            largest = max(largest, float(error.max()))
    assert largest > 0.01  # more than a tie: it is what the bound is for


def test_an_error_at_one_element_moves_the_others_by_the_variance() -> None:
    """By its square, where there is little else: the mean hardly moves."""
    size = 2**16
    exact = torch.zeros(1, size, dtype=torch.float64)
    exact[0, 0] = 1.0
    error = torch.zeros_like(exact)
    error[0, 1] = 16.0
    bound = normalised(exact, error, (1,), 1e-5)
    meant, found = (F.layer_norm(x, (size,)) for x in (exact, exact + error))
    far = (found - meant).abs()
    assert far[0, 0] > 0.9 * meant[0, 0]
    assert (far <= bound).all(), (far / bound).max()


def test_what_is_not_a_number_widens_no_bound_of_what_is_one() -> None:
    """Of a picture in which float32 and the integers differ somewhere, the other elements are judged all the same."""
    given = _draw(1, 1, 4, 5)
    poisoned = given.clone()
    poisoned[..., 3, 4] = torch.nan
    bounds = []
    for x in (given, poisoned):
        with _bounded(x, torch.zeros(x.shape, dtype=torch.float64)) as rounding:
            found = F.interpolate(x, (2, 6), mode="bilinear", align_corners=True)
        rounding.paused = True
        bounds.append(rounding.bound(found))
    whole, judged = bounds[0], ~found.isnan()
    assert 0 < int(judged.sum()) < found.numel()
    assert (bounds[1][judged] > 0.0).all()
    assert (bounds[1][judged] <= whole[judged]).all()


@pytest.mark.parametrize("name", SMOOTH)
def test_a_bound_is_a_number_where_the_value_is_one(name: str) -> None:
    given = _draw(2, 3, 4, 5)
    given[1, 1, 2, 3] = torch.nan
    with _bounded(given, given.double().abs() * 1e-7) as rounding:
        found = SMOOTH[name](_Constants(), given)
    rounding.paused = True
    assert not (rounding.bound(found).isnan() & ~found.isnan()).any()


@pytest.mark.parametrize("name", SMOOTH)
def test_not_a_number_reaches_what_it_should(name: str) -> None:
    """What a difference reaches is seen by it: every element that changes with an argument becomes not-a-number."""
    constants = _Constants()
    with torch.no_grad():
        given = _draw(2, 3, 4, 5)
        place = (1, 1, 2, 3)
        other, poisoned = given.clone(), given.clone()
        other[place] *= -1.5
        poisoned[place] = torch.nan
        function = SMOOTH[name]
        changed = function(constants, given) != function(constants, other)
        reached = function(constants, poisoned).isnan()
    assert (reached | ~changed).all()


def test_a_jump_has_its_height() -> None:
    exact = torch.tensor([0.5, 1.4, 2.4999999, -3.0])
    with _bounded(exact, torch.full((4,), 1e-6, dtype=torch.float64)) as rounding:
        rounded, lower = exact.round(), exact.floor()
    rounding.paused = True
    assert rounding.bound(rounded).round().tolist() == [1.0, 0.0, 1.0, 0.0]
    assert rounding.bound(lower).round().tolist() == [0.0, 0.0, 0.0, 1.0]


def test_a_function_without_a_rule_has_no_bound() -> None:
    x = _draw(3)
    with _bounded(x, torch.zeros(3, dtype=torch.float64)) as rounding:
        y = torch.special.i0(x)
    rounding.paused = True
    assert rounding.bound(y).isinf().all()
    assert rounding.unknown == {"i0"}
