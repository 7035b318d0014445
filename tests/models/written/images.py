"""Pictures to classes, and what else is one vector in the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import brevitas.nn as qnn
import torch
import torch.nn.functional as F
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat, Int32Bias
from torch import nn

from tests.models.written.parts import Network, conv2d, quant, quants, relu


class KeywordSpotting(nn.Module):
    """DS-CNN on a spectrogram, with Brevitas' truncating average."""

    def __init__(self) -> None:
        super().__init__()
        per_channel = {"weight_quant": Int8WeightPerChannelFloat}
        blocks = [conv2d(1, 16, (10, 4), stride=(2, 2), padding=(5, 1), **per_channel)]
        for _ in range(2):
            blocks += [conv2d(16, 16, 3, padding=1, groups=16, **per_channel)]
            blocks += [conv2d(16, 16, 1, **per_channel)]
        self.features = nn.Sequential(quant(), *blocks)
        self.pool = qnn.TruncAvgPool2d((25, 5), 1)
        self.head = qnn.QuantLinear(16, 12, bias=True, bias_quant=Int32Bias)

    def forward(self, x: Any) -> Any:
        return self.head(self.pool(self.features(x)).view(x.shape[0], -1))


class Steering(nn.Module):
    """PilotNet: arithmetic in front of the input's quantiser, one number at the end."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [quant()]
        channels = 3
        for filters, kernel, stride in ((8, 5, 2), (12, 5, 2), (16, 5, 2), (16, 3, 1), (16, 3, 1)):
            layers += [qnn.QuantConv2d(channels, filters, kernel, stride=stride), relu()]
            channels = filters
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            qnn.QuantLinear(80, 32, bias=True), relu(), qnn.QuantLinear(32, 1, bias=True)
        )

    def forward(self, x: Any) -> Any:
        return self.head(torch.flatten(self.features(2.0 * x - 1.0), 1))


class FourBitLeNet(nn.Module):
    """Four bits everywhere but in the head; functions of torch for the pooling."""

    def __init__(self) -> None:
        super().__init__()
        few = {"bias": True, "weight_bit_width": 4}
        self.quant = quant(bit_width=4)
        self.conv1, self.relu1 = qnn.QuantConv2d(1, 6, 5, **few), relu(bit_width=4)
        self.conv2 = qnn.QuantConv2d(6, 16, 5, bias_quant=Int32Bias, **few)
        self.relu2 = relu(bit_width=4)
        self.fc1, self.relu3 = qnn.QuantLinear(256, 32, **few), relu(bit_width=4)
        self.fc2 = qnn.QuantLinear(32, 10, bias=True)

    def forward(self, x: Any) -> Any:
        x = F.max_pool2d(self.relu1(self.conv1(self.quant(x))), 2)
        x = F.max_pool2d(self.relu2(self.conv2(x)), 2)
        x = x.reshape(x.shape[0], -1)
        return self.fc2(self.relu3(self.fc1(x)))


class LogProbabilities(FourBitLeNet):
    """The same as its authors train it: what comes last belongs on the host."""

    def forward(self, x: Any) -> Any:
        return F.log_softmax(super().forward(x), dim=1)


class _Shuffle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            conv2d(8, 8, 1),
            *(qnn.QuantConv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8)),
            *(quant(), qnn.QuantConv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        )
        self.joined = qnn.QuantIdentity()

    def forward(self, x: Any) -> Any:
        a, b = x.chunk(2, dim=1)
        y = torch.cat((self.joined(a), self.joined(self.branch(b))), dim=1)
        batch, channels, height, width = y.size()
        y = y.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return y.view(batch, channels, height, width)


class ShuffleNet(nn.Module):
    """Channels shuffled by view and transpose; the mean meets the head's own input quantiser."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(quant(), qnn.QuantConv2d(3, 16, 3, padding=1), qnn.QuantReLU())
        self.blocks = nn.Sequential(_Shuffle(), _Shuffle())
        self.head = qnn.QuantLinear(16, 4, bias=True, input_quant=Int8ActPerTensorFloat)

    def forward(self, x: Any) -> Any:
        return self.head(self.blocks(self.stem(x)).mean([2, 3]))


class SqueezeNet(nn.Module):
    """A fire module, and an average of codes at the end, quantised."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.quant_out = quants(2)
        self.conv, self.relu = qnn.QuantConv2d(3, 16, 3, stride=2), qnn.QuantReLU()
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.squeeze, self.relu_squeeze = qnn.QuantConv2d(16, 4, 1), qnn.QuantReLU()
        self.expand1 = qnn.QuantConv2d(4, 8, 1)
        self.expand3 = qnn.QuantConv2d(4, 8, 3, padding=1)
        self.relu_expand = qnn.QuantReLU()
        self.last, self.relu_last = qnn.QuantConv2d(16, 10, 1), qnn.QuantReLU()
        self.average = nn.AdaptiveAvgPool2d((1, 1))

    def forward(self, x: Any) -> Any:
        x = self.pool(self.relu(self.conv(self.quant(x))))
        x = self.relu_squeeze(self.squeeze(x))
        x = torch.cat([self.relu_expand(e(x)) for e in (self.expand1, self.expand3)], 1)
        return self.quant_out(torch.flatten(self.average(self.relu_last(self.last(x))), 1))


class NetworkInNetwork(nn.Module):
    """The average right behind a convolution and its BatchNorm, without a quantiser between."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            *(quant(), qnn.QuantConv2d(3, 16, 5, padding=2), relu()),
            *(nn.AvgPool2d(3, 2, 1, count_include_pad=False), quant()),
            *(qnn.QuantConv2d(16, 10, 1), nn.BatchNorm2d(10), nn.AvgPool2d(4), relu()),
            *(nn.Flatten(), qnn.QuantLinear(40, 10, bias=True)),
        )

    def forward(self, x: Any) -> Any:
        return self.network(x)


class AverageOfLogits(nn.Module):
    """An average of a convolution's results is the network's."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            *(quant(), qnn.QuantConv2d(3, 16, 3, stride=2), relu()),
            *(qnn.QuantConv2d(16, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )

    def forward(self, x: Any) -> Any:
        return self.network(x)


class BroadcastResidual(nn.Module):
    """BC-ResNet: the mean over frequencies goes through layers and is added back to all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.quant_f, self.quant_m, self.quant_p, self.quant_pool = quants(5)
        self.stem, self.relu = qnn.QuantConv2d(1, 8, 5, stride=(2, 1), padding=2), qnn.QuantReLU()
        self.frequency = qnn.QuantConv2d(8, 8, (3, 1), padding=(1, 0), groups=8)
        self.norm = nn.BatchNorm2d(8)
        self.time = qnn.QuantConv2d(8, 8, (1, 3), padding=(0, 2), dilation=(1, 2), groups=8)
        self.relu_time, self.relu_sum = qnn.QuantReLU(), qnn.QuantReLU()
        self.point = qnn.QuantConv2d(8, 8, 1)
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.head = qnn.QuantConv2d(8, 12, 1)

    def forward(self, x: Any) -> Any:
        x = self.relu(self.stem(self.quant(x)))
        wide = self.quant_f(self.norm(self.frequency(x)))
        narrow = self.relu_time(self.time(self.quant_m(wide.mean(2, keepdim=True))))
        x = self.relu_sum(wide + self.quant_p(self.point(narrow)))
        return self.head(self.quant_pool(self.pool(x))).squeeze(-1).squeeze(-1)


class Ghost(nn.Module):
    """GhostNet: half of the channels are cheap ones of the other half; a slice drops some."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = quant()
        self.primary = conv2d(8, 8, 1)
        self.cheap = conv2d(8, 8, 3, padding=1, groups=8)
        self.relu = qnn.QuantReLU()
        self.last = qnn.QuantConv2d(12, 4, 1, input_quant=Int8ActPerTensorFloat)

    def forward(self, x: Any) -> Any:
        a = self.primary(self.quant(x))
        parts = [self.relu(a), self.relu(self.cheap(a))]
        return self.last(torch.cat(parts, dim=1)[:, :12, :, :])


class ChannelScales(nn.Module):
    """A scale for each channel in front of depthwise layers and pools."""

    def __init__(self) -> None:
        super().__init__()
        apart = {
            "per_channel_broadcastable_shape": (1, 8, 1, 1),
            "scaling_stats_permute_dims": (1, 0, 2, 3),
            "scaling_per_output_channel": True,
        }
        self.network = nn.Sequential(
            *(quant(**apart), qnn.QuantConv2d(8, 8, 3, padding=1, groups=8), relu(**apart)),
            *(nn.MaxPool2d(2), qnn.QuantConv2d(8, 8, 3, padding=1, groups=8), relu(**apart)),
            *(nn.AvgPool2d(2), quant(), nn.Flatten(), qnn.QuantLinear(32, 3, bias=True)),
        )

    def forward(self, x: Any) -> Any:
        return self.network(x)


NETWORKS: Mapping[str, Network] = {
    "keyword_spotting": (KeywordSpotting, (1, 49, 10)),
    "steering": (Steering, (3, 66, 100)),
    "four_bit_lenet": (FourBitLeNet, (1, 28, 28)),
    "log_probabilities": (LogProbabilities, (1, 28, 28)),
    "shufflenet": (ShuffleNet, (3, 16, 16)),
    "squeezenet": (SqueezeNet, (3, 32, 32)),
    "network_in_network": (NetworkInNetwork, (3, 16, 16)),
    "average_of_logits": (AverageOfLogits, (3, 16, 16)),
    "broadcast_residual": (BroadcastResidual, (1, 40, 101)),
    "ghost": (Ghost, (8, 12, 12)),
    "channel_scales": (ChannelScales, (8, 9, 9)),
}
