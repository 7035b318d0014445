"""Reshape, Permute, Squeeze: values in PyTorch's order, QuantTensors stay QuantTensors."""

import pytest
import torch
from brevitas.nn import QuantIdentity
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

from ares.nn import Permute, Reshape, Squeeze
from tests.nn.values import calibrated, ramp

CASES = [
    (Reshape(6, 4), (2, 3, 8), lambda x: x.reshape(2, 6, 4)),
    (Reshape(-1), (2, 3, 8), lambda x: x.reshape(2, 24)),
    (Reshape(4, -1, 2), (2, 3, 8), lambda x: x.reshape(2, 4, 3, 2)),
    (Permute(0, 2, 1), (2, 3, 8), lambda x: x.transpose(1, 2)),
    (Permute(0, -1, 1, 2), (2, 3, 4, 5), lambda x: x.movedim(3, 1)),
    (Squeeze(-1), (2, 3, 1), lambda x: x[:, :, 0]),
    (Squeeze(2), (2, 3, 1, 5), lambda x: x[:, :, 0]),
    (Squeeze(1), (2, 3, 1), lambda x: x),
]


@pytest.mark.parametrize(("layer", "shape", "expected"), CASES, ids=lambda v: str(v)[:24])
def test_values(layer: nn.Module, shape: tuple[int, ...], expected) -> None:
    x = ramp(*shape)
    assert torch.equal(layer(x), expected(x))
    quantised = calibrated(QuantIdentity(return_quant_tensor=True), x)(x)
    y = layer(quantised)
    assert isinstance(y, QuantTensor)
    assert torch.equal(y.value, expected(quantised.value))
    assert torch.equal(y.scale, quantised.scale)
    assert y.is_valid


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Reshape(), TypeError, "expected integers"),
        (lambda: Reshape((6, 4)), TypeError, "expected integers"),
        (lambda: Reshape(-1, -1), ValueError, "at most one -1"),
        (lambda: Reshape(0, 4), ValueError, "positive sizes"),
        (lambda: Permute(0, 2), ValueError, "every axis 0..1 once"),
        (lambda: Permute(0, 1, 1), ValueError, "every axis 0..2 once"),
        (lambda: Permute([0, 2, 1]), TypeError, "expected integers"),
        (lambda: Squeeze("1"), TypeError, "expected integers"),
    ],
)
def test_misuse(build, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


def test_size_that_does_not_fit() -> None:
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        Reshape(5, 5)(torch.zeros(1, 24))


def test_a_tensor_is_returned_for_a_tensor() -> None:
    assert isinstance(Squeeze(1)(torch.zeros(2, 1)), Tensor)
