"""The zoo's files: dimensions as promised, states complete, quantisers calibrated and in use."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from brevitas.nn import QuantConv1d, QuantConv2d, QuantLinear
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

from ares.nn import Permute, QuantSelfAttention, Reshape, RFFTFeatures, Squeeze
from ares.nn.leaves.spectrum import JoinSpectrum
from ares.nn.slices import Flip, Slice
from ares.zoo.network_file import NetworkFile, load_network_file
from ares.zoo.state import read_info, restore
from ares.zoo.training import accuracy

ROOT = Path(__file__).parents[2]
PICTURE = [(1, 1, 28, 28)]
EEG = [(1, 1, 22, 1280)]

# Input shapes, output shape, multiply-accumulates of convolutions and linear layers (one a weight use),
# parameters (norms, tables, queries and state spaces included, quantisers not). Counted by hand from the descriptions
# of the networks. Linear with a bias: (in + 1) out; LayerNorm 2 D; RMSNorm D; attention 4 (D + 1) D; MLP
# (D + 1) H + (H + 1) D; Mamba block of d features, inner i, n states, rank r: 2 d i + 5 i + i r + (r + 1) i + 2 i n
# + i n + i + i d.
DIMENSIONS = {
    "test_1_simplecnn": ("SimpleCNN", PICTURE, (1, 10), 1_031_744, 20_490),
    "test_2_tinycnn": ("TinyCNN", PICTURE, (1, 10), 172_480, 15_898),
    "test_3_mlp": ("MLP", PICTURE, (1, 10), 234_752, 235_146),
    "test_4_resnet_basic": ("ResNetBasic", PICTURE, (1, 10), 1_919_392, 2_618),
    "test_5_densenet_basic": ("DenseNetBasic", PICTURE, (1, 10), 967_456, 10_834),
    "test_6_multitilecnn": ("MultiTileCNN", [(1, 1, 96, 96)], (1, 10), 5_317_056, 13_378),
    "test_7_bottleneck": ("BottleneckNet", PICTURE, (1, 10), 1_028_928, 4_842),
    "test_8_stride2": ("Stride2Net", PICTURE, (1, 10), 3_048_352, 18_842),
    "test_9_padding": ("PaddingNet", PICTURE, (1, 10), 21_075_680, 35_226),
    "test_10_resnet18": ("ResNet18MNIST", PICTURE, (1, 10), 28_573_184, 699_978),
    # LN(784), 784-10
    "test_11_layernorm_basic": ("QuantLayerNormBasic", PICTURE, (1, 10), 7_840, 9_418),
    "test_12_gelu_basic": ("QuantGELUBasic", PICTURE, (1, 10), 50_816, 50_890),
    # 320 + (256 + 16,640 + 16,576) + 128 + 650; 196 (256 + 16,384 + 16,384) + 640
    "test_13_transformer_simple": ("SimpleTransformer", PICTURE, (1, 10), 6_473_344, 34_570),
    # 640 + 4 (512 + 66,048 + 65,920) + 256 + 1,290; 196 (512 + 4 * 131,072) + 1,280
    "test_14_multiblock_transformer": (
        "MultiBlockTransformer",
        PICTURE,
        (1, 10),
        102_862_080,
        532_106,
    ),
    # 4,032 + (768 + 148,224 + 295,872) + 384 + 1,351; 50 (3,840 + 442,368) + 1,344
    "test_15_tinymyo_tiny": ("TinyMyoTinyQuant", [(1, 1, 5, 200)], (1, 7), 22_311_744, 450_631),
    # 32 * 5 + 330; 64 * 32 * 4 + 320
    "test_16_mamba_conv1d": ("MambaConv1DTest", [(1, 32, 64)], (1, 10), 8_512, 490),
    # 64 + 96 + 2 * 128 + 128 + 32 + 330; 16 * 384 + 320
    "test_17_mamba_ssm": ("MambaSSMTest", [(1, 16, 32)], (1, 10), 6_464, 906),
    # A block: 4,096 + 320 + 128 + 192 + 512 + 256 + 64 + 2,048 = 7,616; 16 * 7,168 multiplications
    "test_18_mamba_block": ("MambaBlockTest", [(1, 16, 32)], (1, 10), 115_008, 7_946),
    "test_19_mamba_stacked": ("MambaStackedTest", [(1, 16, 32)], (1, 10), 344_384, 23_178),
    "test_20_bidirectional_mamba": (
        "BidirectionalMambaTest",
        [(1, 16, 32)],
        (1, 10),
        229_696,
        15_562,
    ),
    # 175 + 4 * 144,896 + 1,760
    "test_21_femba_patchembedder": (
        "FEMBAPatchEmbedderTest",
        [(1, 1, 10, 32)],
        (1, 10),
        9_171_606,
        581_519,
    ),
    # the same + table 16 * 175 + two LN(175)
    "test_22_femba_full": ("FEMBAFullTest", [(1, 1, 10, 32)], (1, 10), 9_171_606, 585_019),
    # 1,155 + 4 * 313,344 + table 30,800 + 1,540 + 772
    "test_23_femba_full_input": ("FEMBATinyFullInput", EEG, (1, 2), 100_683_010, 1_287_643),
    # 1,155 + 4 * 970,200 + 33,112
    "test_24_femba_full_expand2": ("FEMBATiny", EEG, (1, 2), 306_768_770, 3_915_067),
    # 1,155 + 4 * 1,940,400 + 33,112: the published 7.80 M
    "test_25_femba_tiny_int8": ("FEMBATinyInt8", EEG, (1, 2), 612_551_170, 7_795_867),
    # 4,032 + 8 * 444,864 + 384 + 1,158
    "test_26_tinymyo_8ch_400tok": (
        "TinyMyo8Ch400Quant",
        [(1, 1, 8, 1000)],
        (1, 6),
        1_417_114_752,
        3_564_486,
    ),
    "test_27_linear3d_bench": ("Linear3DBenchQuant", [(1, 400, 192)], (1, 7), 117_966_144, 297_223),
    "test_28_conv2d_remainder": ("Conv2DRemainderNet", PICTURE, (1, 10), 924_656, 5_072),
    # 18,040 + 128 + 1,408 + (8,192 + 16,640) + 8 * 789,760 + 512 + (256 + 263,168) + 1,285
    "test_29_luna_base": ("LUNABaseTest", [(1, 22, 1280)], (1, 5), 225_005_824, 6_627_709),
    "test_30_autotune_stress": ("AutotuneStressNet", [(1, 64)], (1, 5), 1_008_877, 1_011_296),
    # The published 7,101,371 without 16,897 that inference does not need: see the file.
    "test_31_luna_full": ("LUNAFullTest", [(1, 22, 1280)], (1, 2), 253_010_944, 7_084_474),
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
    "test_40_depthwise_conv": ("DepthwiseConvNet", PICTURE, (1, 10), 356_576, 3_946),
    "test_41_large_depthwise": ("LargeDepthwiseNet", [(1, 3, 64, 64)], (1, 10), 43_878_912, 52_426),
    # 16,640 + 33,088 + 3 * 64 + 260
    "test_42_llama_minimal": ("MinimalLlama", [(1, 32, 64)], (1, 4), 1_573_120, 50_180),
    # 37,800 + 6 (97,740 + 32,580 + 260,100 + 720) + 360 + 724
    "test_43_cerebro_original": ("CerebroOriginal", [(1, 14, 8)], (1, 4), 261_556_560, 2_385_724),
    # 16,640 + 3 * 64 * 172 + 3 * 64 + 260
    "test_44_llama_swiglu": ("LlamaSwiGLU", [(1, 16, 64)], (1, 4), 790_784, 50_116),
}
TRAINED = [name for name in DIMENSIONS if re.match(r"test_(\d|1[0-4]|40)_", name)]
# Below 97 %: two networks that see five or six pixels and then average over the image, two with 353 of 364 right (for
# test_9 another recipe did not improve it), and two transformers that see which strokes there are, not where.
EXPECTED_BELOW = {
    "test_4_resnet_basic": 0.88,
    "test_7_bottleneck": 0.92,
    "test_9_padding": 0.965,
    "test_11_layernorm_basic": 0.965,
    "test_13_transformer_simple": 0.61,
    "test_14_multiblock_transformer": 0.58,
}


def network(name: str) -> NetworkFile:
    return load_network_file(ROOT / "tests" / "test_networks" / f"{name}.py")


def stored(name: str) -> bytes:
    return (ROOT / "golden" / name / "state.safetensors").read_bytes()


def restored(name: str) -> nn.Module:
    return restore(network(name), stored(name))[0]


MOVES = (nn.MaxPool2d, nn.Flatten, nn.ZeroPad2d, Flip, Permute, Reshape, Slice, Squeeze)
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear)


def plain(x: Tensor | QuantTensor) -> Tensor:
    return x.value if isinstance(x, QuantTensor) else x


def multiplications(model: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    counts = []

    def count(layer: nn.Module, _: object, y: Tensor | QuantTensor) -> None:
        counts.append(plain(y).numel() * layer.weight[0].numel())

    for layer in model.modules():
        if isinstance(layer, WEIGHTED):
            layer.register_forward_hook(count)
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


def test_every_network_file_is_one_of_the_specification() -> None:
    """Tables A and B: 1 to 31 and 36 to 44, each with its file, and no other file."""
    files = {path.stem for path in (ROOT / "tests" / "test_networks").glob("test_*.py")}
    assert files == DIMENSIONS.keys()
    numbers = sorted(int(name.split("_")[1]) for name in files)
    assert numbers == [*range(1, 32), *range(36, 45)]


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
    assert count_parameters(model) == parameters
    assert file.is_trained == (name in TRAINED)


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
    """Every layer's input is codes; no quantiser is constant, or clips more than a tenth (of few values, eight)."""
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
        if (
            isinstance(module, ActQuantProxyFromInjectorBase) and module.is_quant_enabled
        ) or isinstance(module, JoinSpectrum):
            module.register_forward_hook(remember)
        elif isinstance(module, MOVES):
            module.register_forward_hook(moves)
        elif isinstance(module, (QuantConv1d, QuantConv2d, QuantLinear)):
            module.register_forward_pre_hook(needs_codes)
    with torch.no_grad():
        model(*network(name).example_inputs())

    # A spectrum of codes does not quantise them again.
    spare = {name for name, m in model.named_modules() if isinstance(m, RFFTFeatures)}
    unseen = {key for key, _ in quantisers(model)} - seen.keys()
    assert unseen <= {f"{name}.input.act_quant" for name in spare}
    for key, codes in seen.items():
        low, high = ends[key]
        assert len(codes.unique()) >= 8, key
        many = max(8, codes.numel() // 10)
        assert int((codes == high).sum()) <= many, key
        assert low == 0 or int((codes == low).sum()) <= many, key
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
