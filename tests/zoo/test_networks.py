"""The zoo's files: dimensions as promised, states complete, quantisers calibrated and in use."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from brevitas.nn import QuantConv2d, QuantLinear
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

from ares.zoo.network_file import NetworkFile, load_network_file
from ares.zoo.state import read_info, restore
from ares.zoo.training import accuracy

ROOT = Path(__file__).parents[2]

# Input shapes, output shape, multiply-accumulates (one a weight use), weights and biases.
# Counted by hand from the descriptions of the networks.
DIMENSIONS = {
    "test_1_simplecnn": ("SimpleCNN", [(1, 1, 28, 28)], (1, 10), 1_031_744, 20_490),
    "test_2_tinycnn": ("TinyCNN", [(1, 1, 28, 28)], (1, 10), 172_480, 15_898),
    "test_3_mlp": ("MLP", [(1, 1, 28, 28)], (1, 10), 234_752, 235_146),
    "test_4_resnet_basic": ("ResNetBasic", [(1, 1, 28, 28)], (1, 10), 1_919_392, 2_618),
    "test_5_densenet_basic": ("DenseNetBasic", [(1, 1, 28, 28)], (1, 10), 967_456, 10_834),
    "test_6_multitilecnn": ("MultiTileCNN", [(1, 1, 96, 96)], (1, 10), 5_317_056, 13_378),
    "test_7_bottleneck": ("BottleneckNet", [(1, 1, 28, 28)], (1, 10), 1_028_928, 4_842),
    "test_8_stride2": ("Stride2Net", [(1, 1, 28, 28)], (1, 10), 3_048_352, 18_842),
    "test_9_padding": ("PaddingNet", [(1, 1, 28, 28)], (1, 10), 21_075_680, 35_226),
    "test_10_resnet18": ("ResNet18MNIST", [(1, 1, 28, 28)], (1, 10), 28_573_184, 699_978),
    "test_27_linear3d_bench": ("Linear3DBenchQuant", [(1, 400, 192)], (1, 7), 117_966_144, 297_223),
    "test_28_conv2d_remainder": ("Conv2DRemainderNet", [(1, 1, 28, 28)], (1, 10), 924_656, 5_072),
    "test_30_autotune_stress": ("AutotuneStressNet", [(1, 64)], (1, 5), 1_008_877, 1_011_296),
    "test_36_drowsiness_fusion": (
        "DrowsinessFusionNetwork",
        [(1, 1, 8, 2200), (1, 1, 2, 2200)],
        (1, 2),
        6_019_424,
        30_626,
    ),
    "test_37_zeropad2d": ("ZeroPad2dTestNet", [(1, 1, 8, 64)], (1, 10), 25_856, 1_574),
    "test_38_ne16_linear": ("NE16LinearTest", [(1, 49, 192)], (1, 49, 10), 834_176, 17_162),
    "test_39_ne16_large": ("NE16LargeTest", [(1, 49, 256)], (1, 49, 10), 12_970_496, 264_704),
    "test_40_depthwise_conv": ("DepthwiseConvNet", [(1, 1, 28, 28)], (1, 10), 356_576, 3_946),
    "test_41_large_depthwise": ("LargeDepthwiseNet", [(1, 3, 64, 64)], (1, 10), 43_878_912, 52_426),
}
TRAINED = [name for name in DIMENSIONS if re.match(r"test_(\d|10|40)_", name)]
# Below 97 %: two networks that see five or six pixels and then average over the image, and one with
# 353 of 364 right (float: 355), which another recipe did not improve.
EXPECTED_BELOW = {"test_4_resnet_basic": 0.88, "test_7_bottleneck": 0.92, "test_9_padding": 0.965}


def network(name: str) -> NetworkFile:
    return load_network_file(ROOT / "tests" / "test_networks" / f"{name}.py")


def stored(name: str) -> bytes:
    return (ROOT / "golden" / name / "state.safetensors").read_bytes()


def restored(name: str) -> nn.Module:
    return restore(network(name), stored(name))[0]


def plain(x: Tensor | QuantTensor) -> Tensor:
    return x.value if isinstance(x, QuantTensor) else x


def multiplications(model: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    counts = []

    def count(layer: nn.Module, _: object, y: Tensor | QuantTensor) -> None:
        counts.append(plain(y).numel() * layer.weight[0].numel())

    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(count)
    with torch.no_grad():
        model(*inputs)
    return sum(counts)


@pytest.mark.parametrize("name", DIMENSIONS)
def test_dimensions(name: str) -> None:
    class_name, inputs, output, macs, parameters = DIMENSIONS[name]
    file = network(name)
    model = restored(name)
    assert type(model).__name__ == class_name
    assert file.module.__doc__
    assert [tuple(x.shape) for x in file.example_inputs()] == inputs
    with torch.no_grad():
        assert tuple(model(*file.example_inputs()).shape) == output
    assert multiplications(model, file.example_inputs()) == macs
    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    own = {id(p): p.numel() for layer in layers for p in layer.parameters(recurse=False)}
    assert sum(own.values()) == parameters
    assert file.is_trained == (name in TRAINED)


@pytest.mark.parametrize("name", DIMENSIONS)
def test_examples_are_reproducible_and_differ(name: str) -> None:
    file = network(name)
    for x, again, other in zip(
        file.example_inputs(), file.example_inputs(0), file.example_inputs(1), strict=True
    ):
        assert torch.equal(x, again)
        assert x.dtype == torch.float32
        assert not torch.equal(x, other)


def quantisers(model: nn.Module) -> Iterator[tuple[str, ActQuantProxyFromInjectorBase]]:
    for name, module in model.named_modules():
        if isinstance(module, ActQuantProxyFromInjectorBase) and module.is_quant_enabled:
            yield name, module


@pytest.mark.parametrize("name", DIMENSIONS)
def test_quantisers_are_used_and_not_saturated(name: str) -> None:
    """Every layer's input is codes; no quantiser is constant, or clips more than a tenth."""
    model = restored(name)
    on_grid: set[int] = set()
    kept: list[Tensor] = []
    seen: dict[str, Tensor] = {}
    ends: dict[str, tuple[int, int]] = {}

    def quantised(key: str, proxy: ActQuantProxyFromInjectorBase) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Tensor, ...], out: tuple[Tensor, ...]) -> None:
            if args[0].dim() > 0:  # proxies ask for their scale with a scalar
                y, scale, zero_point, bits = out
                seen[key] = torch.round(y / scale + zero_point).int()
                low = -(2 ** (int(bits) - 1)) if proxy.is_signed else 0
                ends[key] = (low, low + 2 ** int(bits) - 1)

        return hook

    for key, proxy in quantisers(model):
        proxy.fused_activation_quant_proxy.tensor_quant.register_forward_hook(quantised(key, proxy))

    def remember(_: nn.Module, __: object, y: Tensor | QuantTensor) -> None:
        on_grid.add(plain(y).untyped_storage().data_ptr())
        kept.append(plain(y))

    def moves(
        _: nn.Module, args: tuple[Tensor | QuantTensor, ...], y: Tensor | QuantTensor
    ) -> None:
        if plain(args[0]).untyped_storage().data_ptr() in on_grid:
            remember(_, args, y)

    def needs_codes(layer: nn.Module, args: tuple[Tensor | QuantTensor, ...]) -> None:
        source = plain(args[0]).untyped_storage().data_ptr()
        assert source in on_grid, f"the input of {layer} left no quantiser"

    for module in model.modules():
        if isinstance(module, ActQuantProxyFromInjectorBase) and module.is_quant_enabled:
            module.register_forward_hook(remember)
        elif isinstance(module, (nn.MaxPool2d, nn.Flatten, nn.ZeroPad2d)):
            module.register_forward_hook(moves)
        elif isinstance(module, (QuantConv2d, QuantLinear)):
            module.register_forward_pre_hook(needs_codes)
    with torch.no_grad():
        model(*network(name).example_inputs())

    assert seen.keys() == {key for key, _ in quantisers(model)}
    for key, codes in seen.items():
        low, high = ends[key]
        assert len(codes.unique()) >= 8, key
        assert float((codes == high).float().mean()) < 0.1, key
        if low < 0:
            assert float((codes == low).float().mean()) < 0.1, key
    first = next(iter(seen))
    assert len(seen[first].unique()) > 50


@pytest.mark.parametrize("name", TRAINED)
def test_trained_networks_are_good(name: str) -> None:
    info = read_info(stored(name))
    assert info.brevitas_accuracy >= EXPECTED_BELOW.get(name, 0.97)
    assert abs(info.brevitas_accuracy - info.float_accuracy) < 0.02


@pytest.mark.parametrize("name", ["test_2_tinycnn", "test_3_mlp"])
def test_recorded_accuracy_is_true(name: str) -> None:
    """To one digit of 364: another machine may sum a convolution in another order."""
    data = network(name).dataset()
    found = accuracy(restored(name), data.heldout_x, data.heldout_y)
    assert abs(found - read_info(stored(name)).brevitas_accuracy) < 1.5 / 364


def test_fused_networks_hold_no_batch_norm() -> None:
    model = restored("test_36_drowsiness_fusion")
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
    assert sum(isinstance(m, nn.Identity) for m in model.modules()) >= 10


def test_the_variety_that_users_have() -> None:
    """Each feature of the quantisers occurs somewhere in the zoo."""
    found: set[str] = set()
    for name in DIMENSIONS:
        model = restored(name)
        for _, proxy in quantisers(model):
            found.add("signed" if proxy.is_signed else "unsigned")
            found.add(f"{int(proxy.bit_width())}-bit activations")
            if float(proxy.zero_point().detach()) != 0:
                found.add("zero point")
            if float(proxy.scale().detach()).hex().startswith("0x1.0000000000000p"):
                found.add("power-of-two scale")
        for layer in model.modules():
            if isinstance(layer, (QuantConv2d, QuantLinear)):
                weight = layer.quant_weight()
                found.add(f"{int(weight.bit_width)}-bit weights")
                found.add("per tensor" if weight.scale.numel() == 1 else "per channel")
                if layer.bias is None:
                    found.add("no bias")
                else:
                    found.add("Int32Bias" if layer.bias_quant.is_quant_enabled else "float bias")
    assert found >= {
        "signed", "unsigned", "zero point", "power-of-two scale", "per tensor", "per channel",
        "no bias", "float bias", "Int32Bias", "2-bit weights", "4-bit weights", "6-bit weights",
        "8-bit weights", "4-bit activations", "8-bit activations",
    }  # fmt: skip
