"""fold_batch_norm: the right pairs, the right numbers, or a ValueError that names what is wrong."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from brevitas.nn import QuantConv1d, QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8ActPerTensorFloat, Int32Bias
from torch import Tensor, nn

from ares.nn import QuantAdd, fold_batch_norm
from tests.nn.values import calibrated, ramp


def with_statistics(model: nn.Module) -> nn.Module:
    """Fixed weights; every BatchNorm gets statistics that matter, and some negative gammas."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 0:  # scales of activation quantisers have no axes
                parameter.copy_(ramp(*parameter.shape) / parameter[0].numel() ** 0.5)
    for k, norm in enumerate(
        m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
    ):
        n = norm.num_features
        if norm.running_mean is not None:
            norm.running_mean.copy_(2 * ramp(n) + 0.1 * k)
            norm.running_var.copy_(0.3 + (3 + k) * ramp(n).abs())
        if norm.affine:
            with torch.no_grad():
                norm.weight.copy_(1.5 * ramp(n) + 0.4)
                norm.bias.copy_(ramp(n).flip(0))
    return model


class Straight(nn.Module):
    """2-D and depthwise convolution without bias, linear with bias; registered back to front."""

    def __init__(self) -> None:
        super().__init__()
        self.norm3 = nn.BatchNorm1d(7)
        self.norm2 = nn.BatchNorm2d(6, eps=1e-3)
        self.norm1 = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6 * 4 * 3, 7)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
        self.conv = nn.Conv2d(2, 6, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm1(self.conv(x)))
        x = torch.relu(self.norm2(self.depthwise(x)))
        return self.norm3(self.fc(torch.flatten(x, 1)))


class Branches(nn.Module):
    """Two branches of equal widths whose BatchNorms are registered crosswise; a nested Sequential."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 4, 1)
        self.norm_b = nn.BatchNorm2d(4)
        self.b = nn.Sequential(nn.Sequential(nn.Conv2d(2, 4, 1)))
        self.norm_a = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm_a(self.a(x)) - torch.relu(self.norm_b(self.b(x)))


class Signal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv1d(2, 5, 3), nn.BatchNorm1d(5))

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x[:, :, :, 0])


@pytest.mark.parametrize("way", ["symbolic", "example", "pairs"])
@pytest.mark.parametrize("build", [Straight, Branches, Signal])
def test_folded_equals_unfolded(build: Callable[[], nn.Module], way: str) -> None:
    x = ramp(2, 2, 4, 3)
    model = with_statistics(build()).eval()
    before = copy.deepcopy(model).double()(x.double()).detach()
    pairs = {
        Straight: {"norm1": "conv", "norm2": "depthwise", "norm3": "fc"},
        Branches: {"norm_a": "a", "norm_b": "b.0.0"},
        Signal: {"block.1": "block.0"},
    }[build]
    given = {"symbolic": {}, "example": {"example_inputs": (x,)}, "pairs": {"pairs": pairs}}[way]
    folded = fold_batch_norm(model.train(), **given)
    assert folded is model
    assert not any(module.training for module in folded.modules())
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in folded.modules())
    after = copy.deepcopy(folded).double()(x.double()).detach()
    assert float(before.abs().max()) > 0.5
    assert float((after - before).abs().max()) <= 2.0**-20 * float(before.abs().max())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [QuantConv1d, QuantConv2d, QuantLinear])
def test_folded_parameters(kind: type[nn.Module], bias: bool) -> None:
    """W' = W gamma / sqrt(var + eps), b' = (b - mean) gamma / sqrt(var + eps) + beta, in float64."""
    sizes = (3, 5) if kind is QuantLinear else (3, 5, 2)
    layer = kind(*sizes, bias=bias, bias_quant=Int32Bias)
    norm = (nn.BatchNorm2d if kind is QuantConv2d else nn.BatchNorm1d)(5, eps=0.01)
    model = with_statistics(nn.Sequential(layer, norm))

    def array(x: Tensor | None) -> np.ndarray:
        return np.zeros(5) if x is None else x.detach().double().numpy().copy()

    weight, old_bias = array(layer.weight), array(layer.bias)
    mean, var, gamma, beta = map(
        array, (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    fold_batch_norm(model)

    factor = gamma / np.sqrt(var + norm.eps)
    want = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    assert np.all(np.abs(array(layer.weight) - want) <= 2.0**-22 * np.abs(want))
    want = (old_bias - mean) * factor + beta
    size = (np.abs(old_bias) + np.abs(mean)) * np.abs(factor) + np.abs(beta)
    assert np.all(np.abs(array(layer.bias) - want) <= 2.0**-21 * size)
    assert np.any(factor < 0)
    assert isinstance(model[1], nn.Identity)


def test_folded_alike_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch takes square roots by MKL, which rounds them by the processor: 0.7 % are one ulp off on some."""

    def folded() -> list[Tensor]:
        layer = QuantConv2d(3, 5, 2, bias=True)
        for parameter in layer.parameters():
            nn.init.constant_(parameter, 0.7)
        model = with_statistics(nn.Sequential(layer, nn.BatchNorm2d(5)))
        return list(fold_batch_norm(model).parameters())

    here = folded()
    for name in ("sqrt", "rsqrt"):
        rounded = getattr(torch, name)
        monkeypatch.setattr(
            torch, name, lambda x, of=rounded: torch.nextafter(of(x), torch.tensor(math.inf))
        )
    assert all(torch.equal(one, other) for one, other in zip(here, folded(), strict=True))


def test_weight_quantisers_follow_the_new_weights() -> None:
    """The codes come from the folded weights, and nothing is left in training mode."""
    layer = QuantConv2d(2, 6, 3, bias=False)
    model = with_statistics(nn.Sequential(layer, nn.BatchNorm2d(6), QuantReLU())).eval()
    stale = layer.quant_weight().scale
    fold_batch_norm(model)
    weight = layer.quant_weight()
    assert not torch.equal(weight.scale, stale)
    assert torch.equal(weight.scale, layer.weight.detach().abs().max() / 127)
    assert not any(module.training for module in model.modules())


class Quantised(nn.Module):
    """A Brevitas network with QuantTensors, ares.nn layers and a BatchNorm in a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.shortcut = nn.Sequential(QuantConv2d(1, 4, 1), nn.BatchNorm2d(4))
        self.quant = QuantIdentity(return_quant_tensor=True)
        self.norm = nn.BatchNorm2d(4)
        self.conv = QuantConv2d(1, 4, 3, padding=1, return_quant_tensor=True)
        self.relu = QuantReLU(return_quant_tensor=True)
        self.add = QuantAdd()

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_in(x)
        return self.add(self.relu(self.norm(self.conv(x))), self.quant(self.shortcut(x)))


@pytest.mark.parametrize("with_inputs", [False, True])
def test_brevitas_network(with_inputs: bool) -> None:
    x = ramp(1, 1, 5, 6)
    model = with_statistics(Quantised())
    expected = {name: copy.deepcopy(model.get_submodule(name)) for name in ("conv", "shortcut.0")}
    norms = {"conv": copy.deepcopy(model.norm), "shortcut.0": copy.deepcopy(model.shortcut[1])}
    fold_batch_norm(model, (x,) if with_inputs else None)
    for name, old in expected.items():
        norm = norms[name]
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        new = model.get_submodule(name)
        want = old.weight * factor.view(-1, 1, 1, 1)
        worst = (new.weight - want).detach().abs().max()
        assert float(worst) <= 2.0**-22 * float(want.detach().abs().max())
    assert calibrated(model, x)(x).value.shape == (1, 4, 5, 6)


def test_without_batch_norm_nothing_happens_but_eval() -> None:
    model = nn.Sequential(nn.Linear(2, 2)).train()
    assert fold_batch_norm(model) is model
    assert not model.training


class Uses(nn.Module):
    """`use` is the forward; everything a refused model could need is registered."""

    def __init__(self, use: Callable[["Uses", Tensor], Tensor], norm: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.other = nn.Conv2d(4, 4, 1)
        self.relu = nn.ReLU()
        self.norm = norm
        self.use = use

    def forward(self, x: Tensor) -> Tensor:
        return self.use(self, x)


REFUSED = {
    "after relu": (lambda m, x: m.norm(m.relu(m.conv(x))), r"comes from 'relu' \(ReLU\)"),
    "after function": (lambda m, x: m.norm(torch.relu(m.conv(x))), "comes from a call of relu"),
    "input": (lambda m, x: m.conv(m.norm(x)), "comes from the model's input"),
    "conv used twice": (
        lambda m, x: m.norm(y := m.conv(x)) + y,
        "the output of 'conv' is also used by a call of add",
    ),
    "conv used by a layer": (
        lambda m, x: m.norm(y := m.conv(x)) + m.other(y),
        "the output of 'conv' is also used by other",
    ),
    "conv returned": (lambda m, x: (m.norm(y := m.conv(x)), y), "also used by the model's output"),
    "conv called twice": (lambda m, x: m.norm(m.conv(m.conv(x))), "called more than once"),
    "norm called twice": (lambda m, x: m.norm(m.conv(x)) + m.norm(m.other(x)), "calls it 2 times"),
    "norm never called": (lambda m, x: m.conv(x), "forward never calls it"),
}


@pytest.mark.parametrize("with_inputs", [False, True])
@pytest.mark.parametrize("case", REFUSED)
def test_refused_dataflow(case: str, with_inputs: bool) -> None:
    use, message = REFUSED[case]
    model = with_statistics(Uses(use, nn.BatchNorm2d(4)))
    state = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=f"BatchNorm 'norm' cannot be folded: .*{message}"):
        fold_batch_norm(model, (ramp(1, 4, 3, 3),) if with_inputs else None)
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("layer", "norm", "message"),
    [
        (nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, affine=False), "affine=False"),
        (nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, track_running_stats=False), "no statistics"),
        (nn.Conv3d(4, 4, 1), nn.BatchNorm3d(4), r"'0' \(Conv3d\), expected a convolution"),
        (nn.ConvTranspose2d(4, 4, 1), nn.BatchNorm2d(4), r"'0' \(ConvTranspose2d\)"),
        (nn.Linear(4, 5), nn.BatchNorm1d(3), "has 3 channels but '0' gives 5 outputs"),
        (
            QuantConv2d(4, 4, 1, output_quant=Int8ActPerTensorFloat),
            nn.BatchNorm2d(4),
            "'0' quantises its own output",
        ),
    ],
)
def test_refused_layers(layer: nn.Module, norm: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=f"BatchNorm '1' cannot be folded: .*{message}"):
        fold_batch_norm(nn.Sequential(layer, norm))


def test_batch_norm_over_tokens_is_refused() -> None:
    """BatchNorm1d normalises axis 1: for [B, T, D] that is T, although T = D here."""
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))
    with pytest.raises(ValueError, match=r"it sees \[2, 5, 5\] from linear layer '0'"):
        fold_batch_norm(model, (ramp(2, 5, 3),))


def test_one_refusal_leaves_all_unfolded() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4))
    with pytest.raises(ValueError, match="BatchNorm '3'"):
        fold_batch_norm(with_statistics(model))
    assert isinstance(model[1], nn.BatchNorm2d)
    assert float(model[0].weight.detach().abs().max()) <= 1.0


def test_shared_weights_are_refused() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))
    model[2].weight = model[0].weight
    with pytest.raises(ValueError, match="'0' shares its weights with '2'"):
        fold_batch_norm(model)


class DataDependent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x if bool(x.sum() > 0) else -x))


def test_forward_that_needs_data() -> None:
    model = with_statistics(DataDependent())
    with pytest.raises(ValueError, match="pass example_inputs or pairs"):
        fold_batch_norm(model)
    assert isinstance(fold_batch_norm(model, (ramp(1, 1, 2, 2),)).norm, nn.Identity)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"norm1": "conv", "norm2": "depthwise"}, "'norm3' cannot be folded: pairs does not name"),
        ({"norm1": "conv", "norm2": "conv", "norm3": "fc"}, "'conv' to more than one BatchNorm"),
        ({"norm1": "nowhere"}, "'nowhere', which is no module"),
        ({"norm1": "norm2", "norm2": "conv", "norm3": "fc"}, "'norm2' is a BatchNorm2d"),
    ],
)
def test_wrong_pairs(pairs: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fold_batch_norm(Straight(), pairs=pairs)
