"""What follows an average of codes: constants for each channel are part of its one rounding."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch.nn.functional as F
from torch import nn

from tests.extract.behind import behind, exact, norm
from tests.extract.models import (
    IMAGE,
    TOKENS,
    Shape,
)
from tests.extract.test_conv1d import SIGNAL
from tests.slow import one_in

BEHIND_CODES: dict[str, tuple[Callable[[], nn.Module], Shape, str]] = {
    "BatchNorm": (
        behind(lambda m, y: m.n(F.avg_pool2d(y, 2)), n=lambda: norm(2)),
        IMAGE,
        "avg_pool2d",
    ),
    "PReLU": (
        behind(
            lambda m, y: m.n(F.adaptive_avg_pool2d(y, 1)),
            n=lambda: nn.PReLU(2),
        ),
        IMAGE,
        "global_avg_pool",
    ),
    "BatchNorm of a mean, GELU": (
        behind(lambda m, y: F.gelu(m.n(y.mean(-1))), n=lambda: norm(4, 1)),
        SIGNAL,
        "mean",
    ),
    "BatchNorm of features": (
        behind(lambda m, y: m.n(y.mean(1)), n=lambda: norm(6, 1)),
        TOKENS,
        "mean",
    ),
    "BatchNorm of a signal's average": (
        behind(lambda m, y: m.n(F.avg_pool1d(y, 2)), n=lambda: norm(4, 1)),
        SIGNAL,
        "avg_pool1d",
    ),
}


@pytest.mark.parametrize("case", one_in(2, BEHIND_CODES))
def test_constants_for_each_channel_behind_an_average_of_codes(case: str) -> None:
    make, shape, expected = BEHIND_CODES[case]
    exact(make, expected, shape=shape, c=True)
