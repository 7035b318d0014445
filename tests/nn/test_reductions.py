"""QuantMean: the mean over tokens, rounded once."""

import pytest
import torch
from brevitas.nn import QuantIdentity
from brevitas.quant_tensor import QuantTensor
from torch import Tensor

from ares.nn import QuantMean
from tests.nn.values import calibrated, expected_codes, ramp


@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize(
    ("dim", "keepdim", "shape"),
    [(1, False, (2, 5)), (1, True, (2, 1, 5)), (-1, False, (2, 7)), ((1, 2), False, (2,))],
)
def test_mean(
    quantised: bool, dim: int | tuple[int, ...], keepdim: bool, shape: tuple[int, ...]
) -> None:
    x = ramp(2, 7, 5)
    x = calibrated(QuantIdentity(return_quant_tensor=quantised), x)(x)
    mean = calibrated(QuantMean(dim=dim, keepdim=keepdim), x)
    y = mean(x)
    assert isinstance(y, QuantTensor)
    assert y.shape == shape
    plain = x.value if isinstance(x, QuantTensor) else x
    exact = plain.double().mean(dim=dim, keepdim=keepdim)
    codes = expected_codes(exact, y.scale, 8)
    assert torch.equal(y.int().long(), codes)
    assert len(codes.unique()) > 1


def test_plain_tensor_on_request() -> None:
    assert isinstance(QuantMean(return_quant_tensor=False).eval()(ramp(1, 3, 4)), Tensor)


@pytest.mark.parametrize("dim", [0, (0, 1)])
def test_the_batch_is_never_averaged(dim: int | tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="axis 0 is the batch"):
        QuantMean(dim=dim)
