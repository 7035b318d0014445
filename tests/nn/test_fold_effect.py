"""fold_batch_norm on quantised weights that mean something already: refused with its measure, or nothing changes."""

from __future__ import annotations

import copy
import re
import threading
from typing import Any

import pytest
import torch
from brevitas.inject.enum import ScalingImplType
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import (
    Int8AccumulatorAwareWeightQuant,
    Int8ActPerTensorFloat,
    Int8Bias,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
    Int32Bias,
)
from sklearn.datasets import load_digits
from torch import Tensor, nn

from ares.nn import fold_batch_norm
from tests.extract.models import seeded
from tests.nn.test_batch_norm import with_statistics
from tests.nn.values import calibrated, ramp


def trained(weight_quant: type = Int8WeightPerTensorFloat, **options: Any) -> nn.Module:
    """Two quantised layers with BatchNorms of very different gammas, calibrated."""

    def conv(inputs: int, outputs: int) -> list[nn.Module]:
        layer = QuantConv2d(inputs, outputs, 3, weight_quant=weight_quant, **options)
        return [layer, nn.BatchNorm2d(outputs), QuantReLU(return_quant_tensor=True)]

    quant = QuantIdentity(return_quant_tensor=True)
    model = with_statistics(nn.Sequential(quant, *conv(2, 6), *conv(6, 4)))
    return calibrated(model, ramp(2, 2, 9, 8)).train()


def unchanged(model: nn.Module, before: nn.Module) -> bool:
    """Same modules, same numbers, same modes: as if nothing had been tried."""
    mine, other = model.state_dict(), before.state_dict()
    return (
        str(model) == str(before)
        and mine.keys() == other.keys()
        and all(torch.equal(value, other[key]) for key, value in mine.items())
        and [m.training for m in model.modules()] == [m.training for m in before.modules()]
    )


@pytest.mark.parametrize("with_inputs", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_one_scale_for_all_channels_is_harmed(bits: int, with_inputs: bool) -> None:
    model = trained(weight_bit_width=bits)
    before = copy.deepcopy(model)
    with pytest.raises(ValueError, match=f"rounded to {bits} bits anew; leave BatchNorm") as caught:
        fold_batch_norm(model, (ramp(1, 2, 9, 8),) if with_inputs else None)
    (size,) = re.findall(r"by (\d+(?:\.\d)?) % of their", str(caught.value))
    assert float(size) > {2: 10.0, 4: 5.0, 8: 0.78}[bits]
    assert ("of their range (example input)" in str(caught.value)) == with_inputs
    assert ("folding would change the weights of '" in str(caught.value)) != with_inputs
    assert "\n" not in str(caught.value)
    assert unchanged(model, before)


def test_the_measure_is_that_of_the_outputs() -> None:
    """What the error says is what folding then does."""
    model, x = trained(weight_bit_width=4), ramp(1, 2, 9, 8)
    before = copy.deepcopy(model).eval()(x).value
    with pytest.raises(ValueError, match="outputs") as caught:
        fold_batch_norm(model, (x,))
    folded = fold_batch_norm(model, (x,), allow_change=True)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    moved = (folded(x).value - before).abs().max() / (before.max() - before.min())
    assert f"by {100 * moved.item():.1f} % of" in str(caught.value)


@pytest.mark.parametrize("with_inputs", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_scale_per_channel_keeps_the_codes(bits: int, with_inputs: bool) -> None:
    """Up to the sign of gamma, and a weight on the edge between two codes: so folding is allowed."""
    model = trained(Int8WeightPerChannelFloat, weight_bit_width=bits)
    before = {name: model.get_submodule(name).quant_weight().int() for name in ("1", "4")}
    signs = {name: model.get_submodule(str(int(name) + 1)).weight.sign() for name in before}
    fold_batch_norm(model, (ramp(1, 2, 9, 8),) if with_inputs else None)
    for name, codes in before.items():
        after = model.get_submodule(name).quant_weight().int()
        assert bool((signs[name] < 0).any())
        moved = (after - codes * signs[name].view(-1, 1, 1, 1)).abs()
        assert int(moved.max()) <= 1
        assert int(moved.count_nonzero()) <= (2 if bits == 8 else 0)


def test_a_blind_example_does_not_hide_the_harm() -> None:
    """Zeros see biases only; the weights are compared all the same."""
    layer = QuantConv2d(2, 6, 3, bias=False, weight_bit_width=2)
    model = with_statistics(
        nn.Sequential(QuantIdentity(return_quant_tensor=True), layer, nn.BatchNorm2d(6))
    )
    calibrated(model, ramp(1, 2, 5, 5))
    with pytest.raises(ValueError, match=r"change the weights of '1' by \d+ % of their size"):
        fold_batch_norm(model, (torch.zeros(1, 2, 5, 5),))


def test_a_channel_that_nobody_sees_is_no_harm() -> None:
    """Gammas that training drove to nearly zero leave weights below the smallest scale there is."""
    model = trained(Int8WeightPerChannelFloat)
    with torch.no_grad():
        model[2].weight[0] = 1e-14
        model[2].weight[1] = 0.0
    assert isinstance(fold_batch_norm(model, (ramp(1, 2, 9, 8),))[2], nn.Identity)


def test_learned_scales_are_not_thrown_away() -> None:
    """Folding sets a learned scale anew from the largest weight."""
    learned = Int8WeightPerChannelFloat.let(scaling_impl_type=ScalingImplType.PARAMETER_FROM_STATS)
    model = trained(learned, weight_bit_width=4)
    with torch.no_grad():
        for layer in (model[1], model[4]):
            largest = layer.weight.abs().amax((1, 2, 3), keepdim=True)
            layer.weight_quant.tensor_quant.scaling_impl.value.copy_(largest)
    assert isinstance(fold_batch_norm(copy.deepcopy(model))[2], nn.Identity)
    with torch.no_grad():
        model[1].weight_quant.tensor_quant.scaling_impl.value.mul_(0.6)
    before = copy.deepcopy(model)
    with pytest.raises(ValueError, match="the weights of '1'"):
        fold_batch_norm(model)
    assert unchanged(model, before)


def test_what_shows_on_data_only() -> None:
    """Biases of few bits, and weights that depend on the input's quantiser, take an example to be judged."""
    x = ramp(1, 2, 9, 8)
    narrow = trained(Int8WeightPerChannelFloat, bias_quant=Int8Bias)
    with pytest.raises(ValueError, match=r"the bias of '1' is quantised.*; pass example_inputs"):
        fold_batch_norm(narrow)
    with pytest.raises(ValueError, match="since the folded weights and bias are rounded anew"):
        fold_batch_norm(narrow, (x,))
    aware = trained(Int8AccumulatorAwareWeightQuant, bias=False)
    with pytest.raises(ValueError, match=r"the weights of '1' depend on .*; pass example_inputs"):
        fold_batch_norm(aware)
    assert isinstance(fold_batch_norm(aware, (x,), allow_change=True)[2], nn.Identity)
    wide = trained(Int8WeightPerChannelFloat, bias_quant=Int32Bias)
    assert isinstance(fold_batch_norm(wide)[2], nn.Identity)


class PlainInput(nn.Module):
    """The quantised bias that folding makes has no scale of an input to be quantised with."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = QuantIdentity()
        self.conv = QuantConv2d(
            2, 4, 1, bias=False, weight_quant=Int8WeightPerChannelFloat, bias_quant=Int32Bias
        )
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(self.quant(x)))


def test_a_layer_that_would_not_run() -> None:
    x = ramp(1, 2, 4, 4)
    model = calibrated(with_statistics(PlainInput()), x)
    with pytest.raises(
        ValueError, match="with its BatchNorm folded, 'conv' does not run: Input scale"
    ):
        fold_batch_norm(model, (x,))


@pytest.mark.parametrize("with_inputs", [False, True])
def test_before_calibration_there_is_nothing_to_harm(with_inputs: bool) -> None:
    """A float network whose quantisers have no scale yet, whatever its weights' quantiser is."""
    quant = QuantIdentity(return_quant_tensor=True)
    layer = QuantConv2d(2, 6, 3, weight_bit_width=2)
    model = with_statistics(nn.Sequential(quant, layer, nn.BatchNorm2d(6), QuantReLU()))
    fold_batch_norm(model, (ramp(1, 2, 5, 5),) if with_inputs else None)
    assert isinstance(model[2], nn.Identity)


def test_constant_scales_need_no_calibration() -> None:
    """As in Brevitas' bnn_pynq models: the network is ready as it is, and few bits are harmed."""
    act = {"act_quant": Int8ActPerTensorFloat, "scaling_impl_type": ScalingImplType.CONST}
    quant = QuantIdentity(return_quant_tensor=True, bit_width=2, min_val=-1.0, max_val=1.0, **act)
    layer = QuantLinear(6, 5, bias=False, weight_bit_width=2)
    model = with_statistics(nn.Sequential(quant, layer, nn.BatchNorm1d(5)))
    with pytest.raises(ValueError, match="rounded to 2 bits anew"):
        fold_batch_norm(model, (ramp(3, 6),))


def test_float_layers_of_a_calibrated_network_are_folded() -> None:
    model = nn.Sequential(QuantIdentity(), nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), QuantReLU())
    calibrated(with_statistics(model), ramp(1, 2, 5, 5))
    assert isinstance(fold_batch_norm(model)[2], nn.Identity)


class Locked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.net = trained(weight_bit_width=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def test_a_model_that_cannot_be_copied() -> None:
    model = Locked()
    with pytest.raises(ValueError, match=r"cannot be copied \(TypeError: .*allow_change=True"):
        fold_batch_norm(model, (ramp(1, 2, 9, 8),))
    assert isinstance(fold_batch_norm(model, allow_change=True).net[2], nn.Identity)


def digits_network() -> tuple[nn.Module, Tensor, Tensor]:
    """Weights and activations of 2 bits, trained for a few seconds on the digits of scikit-learn."""
    digits = load_digits()
    x, y = torch.tensor(digits.images).float().reshape(-1, 64) / 8 - 1, torch.tensor(digits.target)

    def build() -> nn.Module:
        layers: list[nn.Module] = [QuantIdentity(return_quant_tensor=True)]
        for _ in range(3):
            layers += [QuantLinear(64, 64, bias=False, weight_bit_width=2), nn.BatchNorm1d(64)]
            layers += [QuantReLU(bit_width=2, return_quant_tensor=True)]
        return nn.Sequential(*layers, QuantLinear(64, 10, bias=True))

    model = seeded(build)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for epoch in range(6):
        order = torch.randperm(1500, generator=torch.Generator().manual_seed(epoch))
        for rows in order.split(100):
            loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model.eval(), x[1500:], y[1500:]


def test_a_trained_network_of_two_bits_is_not_ruined() -> None:
    """Folding left 10 % accuracy, and nothing said so."""
    model, x, y = digits_network()

    def accuracy() -> float:
        with torch.no_grad():
            return (model(x).argmax(1) == y).float().mean().item()

    before = accuracy()
    assert before > 0.7
    for example in (None, (x[:1],)):
        with pytest.raises(ValueError, match=r"by \d\d\d? % of their .* rounded to 2 bits anew"):
            fold_batch_norm(model, example)
    assert accuracy() == before
    fold_batch_norm(model, allow_change=True)
    assert accuracy() < before - 0.3
