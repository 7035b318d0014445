"""Conv2d, Linear, ReLU, GlobalAvgPool, ResidualBlock and the names that `ares.nn` hands on."""

import importlib.util
from pathlib import Path

import brevitas.nn as qnn
import pytest
import torch
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

import ares.nn
from ares.nn import (
    DEFAULT_BIT_WIDTH,
    Conv2d,
    GlobalAvgPool,
    Linear,
    ReLU,
    ResidualBlock,
    default_quant_identity,
)
from tests.nn.values import calibrated, ramp


def test_every_name_is_exported() -> None:
    assert sorted(ares.nn.__all__) == sorted(set(ares.nn.__all__))
    for name in ares.nn.__all__:
        assert hasattr(ares.nn, name)
    assert ares.nn.QuantConv2d is qnn.QuantConv2d
    assert ares.nn.ZeroPad2d is nn.ZeroPad2d


def test_custom_layers_are_the_same_classes_under_their_old_name() -> None:
    path = Path(__file__).parents[1] / "test_networks" / "brevitas_custom_layers.py"
    spec = importlib.util.spec_from_file_location("brevitas_custom_layers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name) is getattr(ares.nn, name)


def test_default_quant_identity() -> None:
    x = ramp(2, 30)
    y = calibrated(default_quant_identity(), x)(x)
    assert DEFAULT_BIT_WIDTH == 8
    assert isinstance(y, QuantTensor)
    assert bool(y.signed)
    assert int(y.bit_width) == 8
    assert isinstance(default_quant_identity(4, return_quant_tensor=False).eval()(x), Tensor)


@pytest.mark.parametrize("bit_width", [8, 4, 2])
def test_conv2d_and_linear_have_weights_per_channel(bit_width: int) -> None:
    largest = 2 ** (bit_width - 1) - 1
    for layer in (
        Conv2d(3, 5, 3, padding=1, bit_width=bit_width),
        Linear(6, 5, bit_width=bit_width),
    ):
        weight = layer.eval().quant_weight()
        assert weight.scale.numel() == 5
        assert int(weight.int().abs().max()) == largest


@pytest.mark.parametrize("quantised", [False, True])
def test_conv2d_and_linear_accept_both_kinds(quantised: bool) -> None:
    image, rows = ramp(2, 4, 8, 8), ramp(2, 7, 6)
    conv = Conv2d(4, 6, (3, 5), stride=2, padding=(1, 2), groups=2).eval()
    linear = Linear(6, 3, bias=False).eval()
    quantise = default_quant_identity(return_quant_tensor=quantised)
    y = conv(calibrated(quantise, image)(image))
    assert isinstance(y, Tensor)
    assert y.shape == (2, 6, 4, 4)
    assert linear(calibrated(quantise, rows)(rows)).shape == (2, 7, 3)


def test_relu_is_unsigned() -> None:
    x = ramp(1, 40)
    y = calibrated(ReLU(), x)(x)
    assert isinstance(y, QuantTensor)
    assert not bool(y.signed)
    assert int(y.int().max()) == 255
    assert int(y.int().min()) == 0


def test_global_avg_pool() -> None:
    x = ramp(2, 3, 5, 4)
    y = GlobalAvgPool()(x)
    assert y.shape == (2, 3, 1, 1)
    exact = x.double().mean(dim=(2, 3), keepdim=True)
    assert float((y.double() - exact).abs().max()) <= 2.0**-22


def test_residual_block() -> None:
    x = ramp(1, 4, 7, 6)
    codes = calibrated(default_quant_identity(), x)(x)
    block = calibrated(ResidualBlock(4, kernel_size=5), codes)
    y = block(codes)
    assert isinstance(y, QuantTensor)
    assert y.shape == (1, 4, 7, 6)
    inner = block.quant(block.conv2(block.relu1(block.conv1(codes))))
    total = block.add.quant(codes.value + inner.value)
    assert torch.equal(y.value, block.relu2(total).value)
    assert bool((y.value > 0).any())
    assert bool((y.value == 0).any())


def test_residual_block_refuses_an_even_kernel() -> None:
    with pytest.raises(ValueError, match="kernel_size=4 is even"):
        ResidualBlock(4, kernel_size=4)
