"""The zoo's files: dimensions as promised, states complete, quantisers calibrated and in use."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from brevitas.nn import QuantConv1d, QuantConv2d, QuantLinear
from brevitas.proxy.runtime_quant import (
    ActQuantProxyFromInjectorBase,
    TruncQuantProxyFromInjector,
)
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ares.golden import STATE
from ares.nn import QuantSelfAttention, RFFTFeatures
from ares.nn.leaves.spectrum import JoinSpectrum
from ares.zoo.dimensions import Dimensions
from ares.zoo.network_file import NetworkFile, load_network_file
from ares.zoo.state import read_info, restore
from ares.zoo.training import accuracy
from tests.checkout import ZOO
from tests.slow import one_in

PICTURE = [(1, 1, 28, 28)]
EEG = [(1, 1, 22, 1280)]

# The specification's tables A and B: files and classes that users know. A network that comes since stands in none.
SPECIFIED = {
    "test_1_simplecnn": "SimpleCNN",
    "test_2_tinycnn": "TinyCNN",
    "test_3_mlp": "MLP",
    "test_4_resnet_basic": "ResNetBasic",
    "test_5_densenet_basic": "DenseNetBasic",
    "test_6_multitilecnn": "MultiTileCNN",
    "test_7_bottleneck": "BottleneckNet",
    "test_8_stride2": "Stride2Net",
    "test_9_padding": "PaddingNet",
    "test_10_resnet18": "ResNet18MNIST",
    "test_11_layernorm_basic": "QuantLayerNormBasic",
    "test_12_gelu_basic": "QuantGELUBasic",
    "test_13_transformer_simple": "SimpleTransformer",
    "test_14_multiblock_transformer": "MultiBlockTransformer",
    "test_15_tinymyo_tiny": "TinyMyoTinyQuant",
    "test_16_mamba_conv1d": "MambaConv1DTest",
    "test_17_mamba_ssm": "MambaSSMTest",
    "test_18_mamba_block": "MambaBlockTest",
    "test_19_mamba_stacked": "MambaStackedTest",
    "test_20_bidirectional_mamba": "BidirectionalMambaTest",
    "test_21_femba_patchembedder": "FEMBAPatchEmbedderTest",
    "test_22_femba_full": "FEMBAFullTest",
    "test_23_femba_full_input": "FEMBATinyFullInput",
    "test_24_femba_full_expand2": "FEMBATiny",
    "test_25_femba_tiny_int8": "FEMBATinyInt8",
    "test_26_tinymyo_8ch_400tok": "TinyMyo8Ch400Quant",
    "test_27_linear3d_bench": "Linear3DBenchQuant",
    "test_28_conv2d_remainder": "Conv2DRemainderNet",
    "test_29_luna_base": "LUNABaseTest",
    "test_30_autotune_stress": "AutotuneStressNet",
    "test_31_luna_full": "LUNAFullTest",
    "test_36_drowsiness_fusion": "DrowsinessFusionNetwork",
    "test_37_zeropad2d": "ZeroPad2dTestNet",
    "test_38_ne16_linear": "NE16LinearTest",
    "test_39_ne16_large": "NE16LargeTest",
    "test_40_depthwise_conv": "DepthwiseConvNet",
    "test_41_large_depthwise": "LargeDepthwiseNet",
    "test_42_llama_minimal": "MinimalLlama",
    "test_43_cerebro_original": "CerebroOriginal",
    "test_44_llama_swiglu": "LlamaSwiGLU",
}
TRAINED = {name for name in SPECIFIED if re.match(r"test_(\d|1[0-4]|40)_", name)}


def network(name: str) -> NetworkFile:
    return load_network_file(ZOO.paths(name).source)


def stored(name: str) -> bytes:
    return (ZOO.paths(name).golden / STATE).read_bytes()


def restored(name: str) -> nn.Module:
    return restore(network(name), stored(name))[0]


WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)


def plain(x: Tensor | QuantTensor) -> Tensor:
    return x.value if isinstance(x, QuantTensor) else x


def multiplications(model: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    counts = []

    def count(layer: nn.Module, _: object, y: Tensor | QuantTensor) -> None:
        counts.append(plain(y).numel() * layer.weight[0].numel())

    def count_inputs(layer: nn.Module, given: tuple[Tensor | QuantTensor, ...], _: object) -> None:
        counts.append(plain(given[0]).numel() * layer.weight[0].numel())

    for layer in model.modules():
        if isinstance(layer, WEIGHTED):
            layer.register_forward_hook(count)
        if isinstance(layer, TRANSPOSED):
            layer.register_forward_hook(count_inputs)
    with torch.no_grad():
        model(*inputs)
    return sum(counts)


def count_parameters(model: nn.Module) -> int:
    """All of them, shared ones once, except those of quantisers."""
    own = {
        id(parameter): parameter.numel()
        for module in model.modules()
        if not type(module).__module__.startswith(("brevitas.core.", "brevitas.proxy."))
        for parameter in module.parameters(recurse=False)
    }
    return sum(own.values())


@pytest.mark.parametrize("name", SPECIFIED)
def test_specified_networks_are_there(name: str) -> None:
    """Each as users know it, with the dimensions that its description promises."""
    file = network(name)
    assert type(file.create_model()).__name__ == SPECIFIED[name]
    assert file.dimensions() is not None
    assert file.is_trained == (name in TRAINED)


def test_the_specification_has_no_gap() -> None:
    """1 to 31 and 36 to 44."""
    numbers = sorted(int(name.split("_")[1]) for name in SPECIFIED)
    assert numbers == [*range(1, 32), *range(36, 45)]


def shapes(tensors: Tensor | Sequence[Tensor]) -> tuple[tuple[int, ...], ...]:
    found = (tensors,) if isinstance(tensors, Tensor) else tensors
    return tuple(tuple(plain(x).shape) for x in found)


@pytest.mark.parametrize("name", one_in(4, ZOO.networks))
def test_dimensions(name: str) -> None:
    """As the file says, where it says something."""
    file = network(name)
    assert file.module.__doc__
    promised = file.dimensions()
    if promised is None:
        return
    model, inputs = restored(name), file.example_inputs()
    with torch.no_grad():
        outputs = model(*inputs)
    macs, parameters = multiplications(model, inputs), count_parameters(model)
    assert Dimensions(shapes(inputs), shapes(outputs), macs, parameters) == promised


@pytest.mark.parametrize(
    ("name", "published"),
    [("test_14_multiblock_transformer", 142e6), ("test_26_tinymyo_8ch_400tok", 1.91e9)],
)
def test_multiplications_with_attention(name: str, published: float) -> None:
    """Scores and contexts count N N D each; the description rounds to three digits."""
    model, inputs = restored(name), network(name).example_inputs()
    attention = [m for m in model.modules() if isinstance(m, QuantSelfAttention)]
    products = sum(2 * m.seq_len**2 * m.embed_dim for m in attention)
    total = multiplications(model, inputs) + products
    assert float(f"{total:.3g}") == published


@pytest.mark.parametrize("name", ZOO.networks)
def test_examples_are_reproducible_and_differ(name: str) -> None:
    file = network(name)
    for x, again, other in zip(
        file.example_inputs(), file.example_inputs(0), file.example_inputs(1), strict=True
    ):
        assert torch.equal(x, again)
        assert x.dtype == torch.float32 or not x.is_floating_point()  # token ids
        assert not torch.equal(x, other)


def quantisers(model: nn.Module) -> Iterator[tuple[str, ActQuantProxyFromInjectorBase]]:
    for name, module in model.named_modules():
        if isinstance(module, ActQuantProxyFromInjectorBase) and module.is_quant_enabled:
            yield name, module


@dataclass(frozen=True)
class Seen:
    """The codes that a quantiser made, and the ends of its range."""

    codes: Tensor
    low: int
    high: int


FEW = 16


def watch_quantisers(model: nn.Module) -> dict[str, Seen]:
    """What each quantiser makes in the next forward pass, in the order in which they run.

    FEW values are kept beside those of the pass after it.
    """
    seen: dict[str, Seen] = {}

    def watch(key: str, proxy: ActQuantProxyFromInjectorBase) -> None:
        def hook(_: nn.Module, args: tuple[Tensor, ...], out: tuple[Tensor, ...]) -> None:
            if args[0].dim() > 0:  # proxies ask for their scale with a scalar
                y, scale, zero_point, bits = out
                low = -(2 ** (int(bits) - 1)) if proxy.is_signed else 0
                codes = torch.round(y / scale + zero_point).int()
                if key in seen and seen[key].codes.numel() < FEW:
                    codes = torch.cat([seen[key].codes.flatten(), codes.flatten()])
                seen[key] = Seen(codes, low, low + 2 ** int(bits) - 1)

        proxy.fused_activation_quant_proxy.tensor_quant.register_forward_hook(hook)

    for key, proxy in quantisers(model):
        watch(key, proxy)
    return seen


class OnGrid:
    """The tensors of a forward pass that hold codes: of quantisers, and of what only hands codes on."""

    def __init__(self, model: nn.Module) -> None:
        self.kept: dict[int, Tensor] = {}  # so that no memory is used twice
        self.handles: list[RemovableHandle] = []
        proxies = {proxy for _, proxy in quantisers(model)}
        for module in model.modules():
            if module in proxies or isinstance(module, (JoinSpectrum, TruncQuantProxyFromInjector)):
                handle = module.register_forward_hook(lambda _, __, y: self.add(plain(y)))
            elif isinstance(module, (QuantConv1d, QuantConv2d, QuantLinear)):
                handle = module.register_forward_pre_hook(self.require)
            else:
                handle = module.register_forward_hook(self.follow)
            self.handles.append(handle)

    def release(self) -> None:
        """Take the hooks away: Brevitas' quantisers share modules, also those of other networks."""
        for handle in self.handles:
            handle.remove()

    def add(self, x: Tensor) -> None:
        self.kept[x.untyped_storage().data_ptr()] = x

    def __contains__(self, x: Tensor) -> bool:
        return x.untyped_storage().data_ptr() in self.kept

    def require(self, layer: nn.Module, args: tuple[Tensor | QuantTensor, ...]) -> None:
        own: Any = layer  # Brevitas' attention has the quantisers of its inputs in its layers
        if not own.input_quant.is_quant_enabled:
            assert plain(args[0]) in self, f"the input of {layer} left no quantiser"

    def follow(self, _: nn.Module, args: tuple[object, ...], y: object) -> None:
        """Whatever hands on nothing but values that it was given, and zeros, hands on codes."""
        tensors = [plain(x) for x in (*args[:1], y) if isinstance(x, (Tensor, QuantTensor))]
        if len(tensors) == 2 and tensors[0] in self and tensors[1] not in self:
            source, result = tensors
            values = torch.cat([source.flatten(), torch.zeros(1)])
            few = result.flatten()[:16]  # first, as most layers compute
            if torch.isin(few, values).all() and torch.isin(result, values.unique()).all():
                self.add(result)


@pytest.mark.parametrize("name", one_in(4, ZOO.networks))
def test_quantisers_are_used_and_not_saturated(name: str) -> None:
    """Every layer's input is codes; no quantiser is constant, or clips more than a tenth (of few values, eight).

    A quantiser of fewer than FEW values is seen on several inputs: a ReLU leaves about half of them.
    """
    model = restored(name)
    seen = watch_quantisers(model)
    grid = OnGrid(model)
    with torch.no_grad():
        model(*network(name).example_inputs())
        for sample in (1, 2):
            if any(found.codes.numel() < FEW for found in seen.values()):
                model(*network(name).example_inputs(sample))
    grid.release()

    # A spectrum of codes does not quantise them again.
    spare = {name for name, m in model.named_modules() if isinstance(m, RFFTFeatures)}
    unseen = {key for key, _ in quantisers(model)} - seen.keys()
    assert unseen <= {f"{name}.input.act_quant" for name in spare}
    for key, found in seen.items():
        assert len(found.codes.unique()) >= 8, key
        many = max(8, found.codes.numel() // 10)
        assert int((found.codes == found.high).sum()) <= many, key
        assert found.low == 0 or int((found.codes == found.low).sum()) <= many, key
    first = next(iter(seen.values()))
    assert len(first.codes.unique()) > 50


@pytest.mark.parametrize("name", ZOO.networks)
def test_trained_networks_are_good(name: str) -> None:
    file, info = network(name), read_info(stored(name))
    if not file.is_trained:
        return
    assert info.brevitas_accuracy >= file.least_accuracy()
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


@pytest.mark.slow
@pytest.mark.slow
def test_the_variety_that_users_have() -> None:
    """Each feature of the quantisers occurs somewhere in the zoo."""
    found: set[str] = set()
    for name in ZOO.networks:
        model = restored(name)
        for _, proxy in quantisers(model):
            found.add("signed" if proxy.is_signed else "unsigned")
            found.add(f"{int(proxy.bit_width())}-bit activations")
            if float(proxy.zero_point().detach()) != 0:
                found.add("zero point")
            if float(proxy.scale().detach()).hex().startswith("0x1.0000000000000p"):
                found.add("power-of-two scale")
        for layer in model.modules():
            if isinstance(layer, (QuantConv1d, QuantConv2d, QuantLinear)):
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
