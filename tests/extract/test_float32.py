"""Models that do something else in float32, as people run them, than in the float64 copy that is judged: refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from ares.extract import analyse
from tests.extract.models import (
    IMAGE,
    Net,
    calibrated,
    checked,
    conv,
    errors,
    plain_identity,
    relu,
    seeded,
)
from tests.extract.refusing import Case


def _net(forward: Callable[..., Any]) -> Callable[[], nn.Module]:
    return lambda: Net(forward, q=plain_identity(), c=conv(2, 2), d=conv(2, 2), r=relu(), s=relu())


def _plain(m: Any, x: torch.Tensor) -> Any:
    return m.r(m.c(m.q(x)))


def _branches(m: Any, x: torch.Tensor) -> Any:
    x = m.q(x)
    return m.r(m.c(x)) if x.dtype == torch.float64 else m.r(m.d(x))


def _branches_to_less(m: Any, x: torch.Tensor) -> Any:
    y = m.r(m.c(m.q(x)))
    return m.s(m.d(y)) if x.dtype == torch.float32 else y


def _smallest_step(m: Any, x: torch.Tensor) -> Any:
    return m.r(m.c(m.q(x)) + 2.0**20 * torch.finfo(x.dtype).eps)


def _constant_of_the_type(m: Any, x: torch.Tensor) -> Any:
    return m.r(m.c(m.q(x)) * torch.full((1,), 1.0 + torch.finfo(x.dtype).bits / 64))


def _autocast_inside(m: Any, x: torch.Tensor) -> Any:
    x = m.q(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = m.c(x)
    return m.r(y)


def _autocast_around_a_layer_with_a_quantiser(m: Any, x: torch.Tensor) -> Any:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return m.r(m.c(m.q(x)))


def _half(m: Any, x: torch.Tensor) -> Any:
    x = m.q(x)
    return m.r(m.c(x).half().to(x.dtype))


def _bfloat16(m: Any, x: torch.Tensor) -> Any:
    return m.q(x.bfloat16())


_INSTEAD = "do not ask for x.dtype"
CASES: dict[str, Case] = {
    "branches on x.dtype": Case(
        _net(_branches),
        "d",
        "type dependent",
        "float32 and float64 differ first at step 2: d#0 and c#0",
        _INSTEAD,
    ),
    "does more in float32": Case(
        _net(_branches_to_less),
        "d",
        "type dependent",
        "float32 and float64 differ first at step 4: d#0 and nothing",
        _INSTEAD,
    ),
    "asks for the smallest step": Case(
        _net(_smallest_step),
        "",
        "type dependent",
        ":add#0 is given 0.125 and 2.3283064365386963e-10",
        _INSTEAD,
    ),
    "makes a constant of the type's bits": Case(
        _net(_constant_of_the_type), "", "type dependent", ":full#0 is given 1.5 and 2.0", _INSTEAD
    ),
    "autocast inside": Case(
        _net(_autocast_inside),
        "",
        "autocast",
        "c#0 runs under torch.autocast (bfloat16)",
        "remove torch.autocast",
    ),
    "half inside": Case(
        _net(_half), "", "reduced precision", ":half#0 computes in float16", ".half()"
    ),
    "bfloat16 inside": Case(
        _net(_bfloat16), "", "reduced precision", ":bfloat16#0 computes in bfloat16", ".bfloat16()"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(name: str) -> None:
    case = CASES[name]
    model = calibrated(seeded(case.make), *case.shapes)
    errors = analyse(model, [torch.zeros(shape) for shape in case.shapes], "net").errors
    said = [error for error in errors if error.layer_type == case.layer_type]
    assert said, errors
    assert case.reason in said[0].reason
    assert case.suggestion in said[0].suggestion
    assert "\n" not in str(said[0])


def test_autocast_around_the_call() -> None:
    model = calibrated(seeded(_net(_plain)), IMAGE)
    assert not analyse(model, [torch.zeros(IMAGE)], "net").errors
    with torch.autocast("cpu", dtype=torch.bfloat16):
        errors = analyse(model, [torch.zeros(IMAGE)], "net").errors
    assert {error.layer_type for error in errors} == {"autocast"}


def test_autocast_that_decorates_forward() -> None:
    model = calibrated(seeded(_net(_autocast_around_a_layer_with_a_quantiser)), IMAGE)
    errors = analyse(model, [torch.zeros(IMAGE)], "net").errors
    assert {error.layer_type for error in errors} == {"autocast"}


def test_what_is_the_same_in_every_type_is_taken() -> None:
    """`.to(x.dtype)`, a constant of the type of x, and numbers that Python was handed from parameters."""

    def forward(m: Any, x: torch.Tensor) -> Any:
        y = m.c(m.q(x)).to(x.dtype) * float(m.p * 0.1) + torch.full((1,), 0.5, dtype=x.dtype)
        return m.r(y.clamp(min=torch.finfo(x.dtype).min))

    model = seeded(_net(forward))
    model.register_parameter("p", nn.Parameter(torch.tensor(0.7)))
    checked(model, IMAGE)


def test_bits_of_another_type() -> None:
    """Which there are as many of as the type has: that the type is asked for is said, and that they are no codes."""
    net = Net(
        lambda m, x: m.q(x).view(torch.int64 if x.element_size() == 8 else torch.int32),
        q=plain_identity(),
    )
    found = [str(error) for error in errors(calibrated(net, IMAGE), IMAGE)]
    assert len(found) == 2
    assert "view#0 gives int32 in float32, int64 in float64" in found[0]
    assert "it turns its values into int64" in found[1]
