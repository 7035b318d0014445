"""QuantAdd and QuantConcatenate: one rounding of the exact result, whatever the operands are."""

import pytest
import torch
from brevitas.nn import QuantIdentity, QuantReLU
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

from ares.nn import QuantAdd, QuantConcatenate
from tests.nn.values import calibrated, expected_codes, ramp


def operands(quantised: bool) -> tuple[Tensor | QuantTensor, Tensor | QuantTensor]:
    """An unsigned and a signed operand of different scales, on their grids."""
    x1, x2 = 3.0 * ramp(2, 3, 5, 4), -0.7 * ramp(2, 3, 5, 4).flip(-1)
    first = calibrated(QuantReLU(return_quant_tensor=quantised), x1)(x1)
    second = calibrated(QuantIdentity(return_quant_tensor=quantised), x2)(x2)
    assert isinstance(first, QuantTensor) == quantised
    return first, second


def plain(x: Tensor | QuantTensor) -> Tensor:
    return x.value if isinstance(x, QuantTensor) else x


@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("bit_width", [8, 4])
def test_add_rounds_the_exact_sum_once(quantised: bool, bit_width: int) -> None:
    x1, x2 = operands(quantised)
    add = calibrated(QuantAdd(bit_width=bit_width), x1, x2)
    y = add(x1, x2)
    assert isinstance(y, QuantTensor)
    assert y.shape == (2, 3, 5, 4)
    codes = expected_codes(plain(x1).double() + plain(x2).double(), y.scale, bit_width)
    assert torch.equal(y.int().long(), codes)
    assert codes.min() < 0 < codes.max()
    assert len(codes.unique()) > 2 ** (bit_width - 2)


@pytest.mark.parametrize("quantised", [False, True])
def test_concatenate_brings_all_parts_to_one_scale(quantised: bool) -> None:
    x1, x2 = operands(quantised)
    concatenate = calibrated(QuantConcatenate(dim=1), [x1, x2, x1])
    y = concatenate([x1, x2, x1])
    assert isinstance(y, QuantTensor)
    assert y.shape == (2, 9, 5, 4)
    parts = torch.cat([plain(x) for x in (x1, x2, x1)], dim=1)
    assert torch.equal(y.int().long(), expected_codes(parts.double(), y.scale, 8))


def test_concatenate_takes_any_axis_and_a_tuple() -> None:
    x1, x2 = operands(quantised=True)
    assert QuantConcatenate(dim=-1)((x1, x2)).shape == (2, 3, 5, 8)


@pytest.mark.parametrize("layer", [QuantAdd, QuantConcatenate])
def test_result_is_a_plain_tensor_on_request(layer: type[nn.Module]) -> None:
    module = layer(return_quant_tensor=False).eval()
    x1, x2 = operands(quantised=True)
    y = module(x1, x2) if layer is QuantAdd else module([x1, x2])
    assert isinstance(y, Tensor)


def test_one_quantiser_each() -> None:
    for module in (QuantAdd(), QuantConcatenate()):
        assert [name for name, _ in module.named_children()] == ["quant"]


def test_misuse() -> None:
    x = torch.zeros(1, 2)
    quantised = calibrated(QuantIdentity(return_quant_tensor=True), x)(x)
    with pytest.raises(TypeError, match="expected a Tensor or a QuantTensor, got float"):
        QuantAdd()(x, 1.0)
    with pytest.raises(TypeError, match="expected a list of tensors, got Tensor"):
        QuantConcatenate()(x)
    with pytest.raises(TypeError, match="expected a list of tensors, got IntQuantTensor"):
        QuantConcatenate()(quantised)
    with pytest.raises(ValueError, match="at least one tensor"):
        QuantConcatenate()([])
