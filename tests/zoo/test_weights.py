"""Counter-based weights depend on names only."""

import decimal
import hashlib

import pytest
import torch
from brevitas.nn import QuantConv2d, QuantConvTranspose2d, QuantIdentity, QuantLinear
from torch import nn

from ares.nn import PositionalEmbedding, QuantCrossAttention, QuantSSM
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


def test_a_transposed_convolution_counts_the_products_of_an_output() -> None:
    """6 inputs in 2 groups, kernel 4x3, stride 2: 3 * 12 / 4 products on average."""
    model = nn.Module()
    model.up = QuantConvTranspose2d(6, 8, (4, 3), stride=2, groups=2)
    initialise(model, "n")
    for tensor, bound in ((model.up.weight, (6 / 9) ** 0.5), (model.up.bias, 9**-0.5)):
        largest = float(tensor.detach().abs().max())
        assert 0.4 * bound < largest < bound * (1 + 2.0**-22)


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


def state_space() -> QuantSSM:
    model = nn.ModuleDict({"ssm": QuantSSM(400, 16, 13)})
    initialise(model, "n")
    return model["ssm"]


def test_state_spaces_start_as_published() -> None:
    ssm = state_space()
    assert ssm.y.A_log.shape == (400, 16)
    for state in range(16):
        # ln(n + 1), correctly rounded: 50 digits, then float64, then the parameter's float32.
        exact = decimal.Context(prec=50).ln(decimal.Decimal(state + 1))
        assert (ssm.y.A_log[:, state] == torch.tensor(float(exact))).all()
    assert (ssm.y.D == 1).all()


def test_steps_of_state_spaces_are_log_uniform() -> None:
    """softplus(bias) between 1e-3 and 0.1, as many in each half and quarter of the logarithm as there should be."""
    bias = state_space().dt.bias.detach().double()
    decades = torch.log10(torch.nn.functional.softplus(bias))
    assert float(decades.min()) >= -3 - 1e-6
    assert float(decades.max()) <= -1 + 1e-6
    counts = torch.histc(decades, bins=4, min=-3.0, max=-1.0)
    assert all(70 <= int(count) <= 130 for count in counts), counts  # 100 +- 3.5 sigma
    assert len(bias.unique()) == 400


def test_projections_of_state_spaces() -> None:
    ssm = state_space()
    for layer, fan_in in ((ssm.dt_low, 400), (ssm.B, 400), (ssm.C, 400), (ssm.dt, 13)):
        largest = float(layer.weight.detach().abs().max())
        assert 0.9 * fan_in**-0.5 < largest < fan_in**-0.5 * (1 + 2.0**-22)


def test_tables_and_queries() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.zeros(1, 7, 16))

    model = nn.ModuleDict(
        {
            "own": Own(),
            "position": PositionalEmbedding(7, 16),
            "cross": QuantCrossAttention(16, 2, 7),
        }
    )
    initialise(model, "n")
    found = [
        model["own"].table,
        next(p for n, p in model["position"].named_parameters() if n.endswith("table")),
        model["cross"].queries,
    ]
    for parameter in found:
        assert 0.8 < float(parameter.detach().abs().max()) < 1.0
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize("shape", [(7, 16), (2, 7, 16), (16,)])
def test_tables_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.zeros(shape))

    with pytest.raises(ValueError, match="parameter 'table' of Own has no default initial value"):
        initialise(Own(), "n")
