"""The training recipe and calibration, on a network small enough for a test."""

import pytest
import torch
from brevitas.nn import QuantIdentity, QuantLinear, QuantReLU
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from brevitas.quant import Int32Bias
from torch import Tensor, nn

from ares.zoo import digits
from ares.zoo.training import Accuracy, Recipe, accuracy, calibrate, train
from ares.zoo.weights import initialise

SHORT = Recipe(float_epochs=10, quantised_epochs=1)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.fc1 = QuantLinear(64, 24, bias=True, bias_quant=Int32Bias)
        self.relu = QuantReLU(return_quant_tensor=True)
        self.fc2 = QuantLinear(24, 10, bias=True, bias_quant=Int32Bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.relu(self.fc1(self.quant_in(x.flatten(1)))))


def uncalibrated(model: nn.Module) -> list[str]:
    """Names of the activation quantisers that have seen no data."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, ActQuantProxyFromInjectorBase)
        and module.is_quant_enabled
        and module.fused_activation_quant_proxy.tensor_quant.scaling_impl.counter == 0
    ]


def trained() -> tuple[nn.Module, Accuracy]:
    model = Small()
    initialise(model, "small")
    return model, train(model, digits.dataset(8), "small", SHORT)


def test_training_is_good_calibrated_and_repeatable() -> None:
    threads = torch.get_num_threads()
    model, result = trained()
    assert torch.get_num_threads() == threads
    assert not any(module.training for module in model.modules())
    assert uncalibrated(model) == []
    assert result.brevitas > 0.9
    assert abs(result.brevitas - result.float32) < 0.03
    data = digits.dataset(8)
    assert accuracy(model, data.heldout_x, data.heldout_y) == result.brevitas
    again, _ = trained()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, again.get_parameter(name))


def test_calibration_sets_every_scale_to_the_mean_of_maxima() -> None:
    model = Small()
    initialise(model, "small")
    assert uncalibrated(model) == ["quant_in.act_quant", "relu.act_quant"]
    batches = [(digits.example(8, 0),), (0.5 * digits.example(8, 0),)]
    calibrate(model, batches)
    assert uncalibrated(model) == []
    assert not any(module.training for module in model.modules())
    largest = float(digits.example(8, 0).abs().max())
    assert float(model.quant_in.act_quant.scale().detach()) == 0.75 * largest / 128


@pytest.mark.parametrize("samples", [1, 64, 65])
def test_accuracy(samples: int) -> None:
    class Echo(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.one_hot(x.long() % 10, 10)

    x = torch.arange(samples)
    y = (x + (x % 2)) % 10
    assert accuracy(Echo(), x, y) == ((samples + 1) // 2) / samples
