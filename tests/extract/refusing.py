"""What must not be mapped is refused in one clear line: the layer, what was found, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from tests.extract.models import (
    IMAGE,
    Shape,
    calibrated,
    refused,
    seeded,
)


@dataclass(frozen=True)
class Case:
    """A model, perhaps changed after its calibration, and parts of the one finding."""

    make: Callable[[], nn.Module]
    layer: str
    layer_type: str
    reason: str
    suggestion: str
    change: Callable[[Any], object] = lambda model: None
    shapes: tuple[Shape, ...] = (IMAGE,)
    calibrate: bool = True


def check(case: Case) -> None:
    __tracebackhide__ = True
    model = seeded(case.make)
    if case.calibrate:
        calibrated(model, *case.shapes)
    else:
        model.eval()
    case.change(model)
    finding = refused(model, *case.shapes)
    assert (finding.layer, finding.layer_type) == (case.layer, case.layer_type), str(finding)
    assert case.reason in finding.reason, str(finding)
    assert case.suggestion in finding.suggestion, str(finding)
