"""MLPerf Tiny's five networks against what is published: sizes, and padding as TensorFlow means it."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from tests.zoo.test_networks import count_parameters, multiplications, network, plain, restored


@dataclass(frozen=True)
class Published:
    """Parameters with BatchNorm folded; millions of multiply-accumulates, with the digits that are published."""

    input: tuple[int, ...]
    parameters: int
    macs: str
    padding: str


PUBLISHED = {
    "test_52_mlperf_resnet8": Published((1, 3, 32, 32), 77_706, "12.50", "SAME"),
    "test_53_mlperf_mobilenet": Published((1, 3, 96, 96), 210_850, "7.49", "SAME"),
    "test_54_mlperf_dscnn": Published((1, 1, 49, 10), 22_604, "2.657", "SAME"),
    "test_55_mlperf_autoencoder": Published((1, 640), 265_864, "0.264", "VALID"),
    "test_56_mlperf_wakeword": Published((1, 40, 1, 30), 46_883, "0.826", "VALID"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_are_the_published_ones(name: str) -> None:
    published, model, inputs = PUBLISHED[name], restored(name), network(name).example_inputs()
    assert [tuple(x.shape) for x in inputs] == [published.input]
    assert count_parameters(model) == published.parameters
    decimals = len(published.macs.partition(".")[2])
    assert f"{multiplications(model, inputs) / 1e6:.{decimals}f}" == published.macs


def tensorflow_padding(size: int, kernel: int, stride: int, padding: str) -> tuple[int, int]:
    """Before and after; SAME gives ceil(size / stride) outputs, and an odd zero goes behind."""
    if padding == "VALID":
        return 0, 0
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


@dataclass(frozen=True)
class Seen:
    """What a convolution is given on one axis: the size in front of all padding, and the padding."""

    size: int
    kernel: int
    stride: int
    pads: tuple[int, int]


def padded_axes(model: nn.Module, inputs: tuple[Tensor, ...]) -> list[Seen]:
    """Both axes of every convolution; a ZeroPad2d counts for the convolution that reads its result."""
    seen: list[Seen] = []
    pads: dict[int, tuple[int, int, int, int]] = {}
    kept = []  # so that no address is used twice

    def pad(layer: nn.ZeroPad2d, _: object, y: Tensor) -> None:
        kept.append(plain(y))
        pads[plain(y).data_ptr()] = layer.padding

    def conv(layer: nn.Conv2d, given: tuple[Tensor, ...]) -> None:
        x = plain(given[0])
        left, right, top, bottom = pads.get(x.data_ptr(), (0, 0, 0, 0))
        for axis, (low, high) in enumerate(((top, bottom), (left, right))):
            own = layer.padding[axis]
            seen.append(
                Seen(
                    x.shape[2 + axis] - low - high,
                    layer.kernel_size[axis],
                    layer.stride[axis],
                    (low + own, high + own),
                )
            )

    for module in model.modules():
        if isinstance(module, nn.ZeroPad2d):
            module.register_forward_hook(pad)
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(conv)
    with torch.no_grad():
        model(*inputs)
    return seen


@pytest.mark.parametrize("name", PUBLISHED)
def test_padding_is_tensorflows(name: str) -> None:
    model, padding = restored(name), PUBLISHED[name].padding
    axes = padded_axes(model, network(name).example_inputs())
    assert len(axes) == 2 * sum(isinstance(m, nn.Conv2d) for m in model.modules())
    for axis in axes:
        assert axis.pads == tensorflow_padding(axis.size, axis.kernel, axis.stride, padding), axis
    if padding == "SAME":
        assert any(low != high for low, high in (axis.pads for axis in axes))  # one-sided


@pytest.mark.parametrize("name", PUBLISHED)
def test_nothing_is_left_to_fold_and_examples_matter(name: str) -> None:
    """Untrained as they are, the networks answer to what they see."""
    model, file = restored(name), network(name)
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
    with torch.no_grad():
        answers = torch.cat([plain(model(*file.example_inputs(sample))) for sample in range(6)])
    assert all(len(output.unique()) >= 4 for output in answers.T)
