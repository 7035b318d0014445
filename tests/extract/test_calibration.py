"""Whether quantisers were calibrated, as far as they can tell, and what calibration leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.quant as bq
import pytest
import torch
from brevitas.graph.calibrate import calibration_mode

from ares.extract._quantizers import calibration_state
from tests.extract.models import (
    IMAGE,
    Net,
    calibrated,
    checked,
    identity,
    plain_identity,
    refused,
    tensor_quant,
)

SIGNED, SIGNED_FIXED = bq.Int8ActPerTensorFloat, bq.Int8ActPerTensorFixedPoint


def test_an_observer_is_refused_until_the_advice_is_followed() -> None:
    model = calibrated(Net(lambda m, x: m.q(x), q=identity()), IMAGE)
    tensor_quant(model, "q.act_quant").observer_only = True
    finding = refused(model, IMAGE)
    assert finding.reason == (
        "its quantiser q.act_quant still observes and does not quantise "
        "(calibration_mode left observer_only on)"
    )
    exec(finding.suggestion.removeprefix("run: "), {"model": model})
    checked(model, IMAGE, calibrate=False)


# What was done to a quantiser whose threshold is one -> whether that is suspicious; `other` has another threshold.
UNTOUCHED: dict[str, tuple[Callable[[Any], Any], bool]] = {
    "trained on data that reach one": (lambda m: _run(m.train()), False),
    "calibrated on such data, as other": (lambda m: _calibrate(m, _run), False),
    "calibrated without data": (lambda m: _calibrate(m, lambda _: None), True),
    "calibrated alone": (lambda m: _calibrate(m.q, _run), True),
}


def _run(module: Any) -> None:
    with torch.no_grad():
        module(torch.tensor([[1.0, -0.5]]))


def _calibrate(module: Any, run: Callable[[Any], None]) -> None:
    with calibration_mode(module):
        run(module)


@pytest.mark.parametrize("fixed_point", [False, True])
@pytest.mark.parametrize("kind", UNTOUCHED)
def test_a_threshold_of_one_may_be_right(kind: str, fixed_point: bool) -> None:
    act_quant = SIGNED_FIXED if fixed_point else SIGNED
    model: Any = Net(
        lambda m, x: m.other(m.q(x) * 0.3),
        q=plain_identity(act_quant=act_quant),
        other=plain_identity(),
    )
    touch, suspicious = UNTOUCHED[kind]
    touch(model)
    model.eval()
    assert calibration_state(model.q.act_quant, model.modules()) == (False, suspicious)


def test_never_calibrated() -> None:
    layer = identity().eval()
    assert calibration_state(layer.act_quant, layer.modules()) == (True, False)
