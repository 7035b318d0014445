"""Counter-based weights depend on names only."""

import hashlib

import pytest
import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear
from torch import nn

from ares.zoo.weights import initialise


def network(reverse: bool = False) -> nn.Module:
    """Always the same names; `reverse` only changes the order of registration."""
    layers = {
        "quant": QuantIdentity(),
        "conv": QuantConv2d(3, 8, 5),
        "norm": nn.BatchNorm2d(8),
        "fc": QuantLinear(8, 4, bias=True),
    }
    model = nn.Module()
    for name in reversed(layers) if reverse else layers:
        model.add_module(name, layers[name])
    return model


def test_values_are_fixed() -> None:
    model = network()
    initialise(model, "a network")
    little = model.conv.weight.detach().numpy().astype("<f4")
    assert hashlib.sha256(little.tobytes()).hexdigest()[:16] == "d3c6fc8147ad3345"


def test_order_and_global_random_state_do_not_matter() -> None:
    first, second = network(), network(reverse=True)
    initialise(first, "n")
    torch.manual_seed(99)
    initialise(second, "n")
    other = dict(second.named_parameters())
    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, other[name])


def test_names_matter() -> None:
    first, second = network(), network()
    initialise(first, "n")
    initialise(second, "m")
    assert not torch.equal(first.conv.weight, second.conv.weight)
    assert not torch.equal(first.conv.bias[:4], first.fc.bias)


def test_ranges() -> None:
    model = network()
    initialise(model, "n")
    for layer, fan_in in ((model.conv, 75), (model.fc, 8)):
        for tensor, bound in ((layer.weight, (6 / fan_in) ** 0.5), (layer.bias, fan_in**-0.5)):
            assert float(tensor.detach().abs().max()) < bound * (1 + 2.0**-22)
            assert float(tensor.detach().min()) < 0 < float(tensor.detach().max())
        assert float(layer.weight.detach().abs().max()) > 0.8 * (6 / fan_in) ** 0.5
    assert (
        0.5
        <= float(model.norm.weight.detach().min())
        <= float(model.norm.weight.detach().max())
        <= 1.5
    )
    assert 0.5 <= float(model.norm.running_var.min()) < float(model.norm.running_var.max()) <= 1.5
    assert float(model.norm.running_mean.abs().max()) > 0.05


def test_quantisers_are_left_alone() -> None:
    model = network()
    initialise(model, "n")
    scaling = model.quant.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl
    assert scaling.counter == 0
    assert float(scaling.value.detach()) == 1.0


def test_unknown_parameters_are_refused() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.position = nn.Parameter(torch.zeros(3))

    with pytest.raises(
        ValueError, match=r"'table.position' of Table .* define initialise\(model\)"
    ):
        initialise(nn.ModuleDict({"table": Table()}), "n")
