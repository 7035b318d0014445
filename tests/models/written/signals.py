"""One dimension: radio, heart, muscles, speech."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import brevitas.nn as qnn
import torch
import torch.nn.functional as F
from torch import nn

from ares.nn import QuantConcatenate
from tests.models.written.parts import Network, conv1d, quant, quants, relu


class RadioVgg(nn.Module):
    """Modulations of radio signals, after RadioML's VGG10: its input is a QuantHardTanh."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            qnn.QuantHardTanh(min_val=-2.0, max_val=2.0, return_quant_tensor=True)
        ]
        for channels in (2, 16, 16, 16):
            layers += [*conv1d(channels, 16, 3, padding=1), nn.MaxPool1d(2)]
        layers += [nn.Flatten(), qnn.QuantLinear(128, 32, bias=False), nn.BatchNorm1d(32), relu()]
        self.network = nn.Sequential(*layers, qnn.QuantLinear(32, 24, bias=True))

    def forward(self, x: Any) -> Any:
        return self.network(x)


class _Residual(nn.Module):
    def __init__(self, channels: int, filters: int, stride: int = 1) -> None:
        super().__init__()
        self.first = conv1d(channels, filters, 7, stride=stride, padding=3)
        self.second = qnn.QuantConv1d(filters, filters, 7, padding=3, bias=False)
        self.norm = nn.BatchNorm1d(filters)
        self.shared = quant()
        self.skip: nn.Module = nn.Identity()
        if (channels, stride) != (filters, 1):
            self.skip = nn.Sequential(
                qnn.QuantConv1d(channels, filters, 1, stride=stride, bias=False),
                nn.BatchNorm1d(filters),
            )
        self.relu = relu()

    def forward(self, x: Any) -> Any:
        y = self.shared(self.norm(self.second(self.first(x))))
        return self.relu(y + self.shared(self.skip(x)))


class HeartResnet(nn.Module):
    """Heart beats: residual blocks whose two branches share a quantiser."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = quant()
        self.stem = nn.Sequential(conv1d(1, 8, 15, stride=2, padding=7), nn.MaxPool1d(3, 2, 1))
        self.blocks = nn.Sequential(_Residual(8, 8), _Residual(8, 16, 2), _Residual(16, 16))
        self.pool = nn.AdaptiveAvgPool1d(1)
        self.quant_pool = quant()
        self.drop = nn.Dropout(0.5)
        self.head = qnn.QuantLinear(16, 5, bias=True)

    def forward(self, x: Any) -> Any:
        x = self.quant_pool(self.pool(self.blocks(self.stem(self.quant(x)))))
        return self.head(self.drop(x.flatten(1)))


class _Chomp(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Any) -> Any:
        return x[:, :, : -self.size].contiguous()


class _TemporalBlock(nn.Module):
    def __init__(self, channels: int, filters: int, dilation: int) -> None:
        super().__init__()
        pad = 2 * dilation
        self.network = nn.Sequential(
            *(qnn.QuantConv1d(channels, filters, 3, padding=pad, dilation=dilation), _Chomp(pad)),
            *(relu(), nn.Dropout(0.2)),
            *(qnn.QuantConv1d(filters, filters, 3, padding=pad, dilation=dilation), _Chomp(pad)),
            *(relu(), nn.Dropout(0.2)),
        )
        self.down = qnn.QuantConv1d(channels, filters, 1) if channels != filters else nn.Identity()
        self.add = qnn.QuantEltwiseAdd(return_quant_tensor=True)
        self.relu = qnn.QuantReLU()

    def forward(self, x: Any) -> Any:
        return self.relu(self.add(self.network(x), self.down(x)))


class TemporalNetwork(nn.Module):
    """A causal TCN as its authors write it: padded on both sides, the right end cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = qnn.QuantIdentity()
        blocks = [_TemporalBlock(3, 8, 1), _TemporalBlock(8, 8, 2), _TemporalBlock(8, 8, 4)]
        self.blocks = nn.Sequential(*blocks)
        self.head = qnn.QuantLinear(8, 4, bias=True)

    def forward(self, x: Any) -> Any:
        return self.head(self.blocks(self.quant(x))[:, :, -1])


class WaveNet(nn.Module):
    """Gated, dilated, causal by padding on the left; ends in a convolution with float outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = qnn.QuantIdentity()
        self.dilations = (1, 2, 4)
        convs = [[qnn.QuantConv1d(8, 8, 2, dilation=d) for d in self.dilations] for _ in range(2)]
        self.filters, self.gates = (nn.ModuleList(row) for row in convs)
        self.tanh = nn.ModuleList(qnn.QuantTanh() for _ in range(3))
        self.sigmoid = nn.ModuleList(qnn.QuantSigmoid() for _ in range(3))
        self.mixed, self.residual, self.sum = quants(3), quants(3), quants(3)
        self.mix = nn.ModuleList(qnn.QuantConv1d(8, 8, 1) for _ in range(3))
        self.out = qnn.QuantConv1d(8, 4, 1)

    def forward(self, x: Any) -> Any:
        x = self.quant(x)
        for i, dilation in enumerate(self.dilations):
            y = F.pad(x, (dilation, 0))
            gated = self.tanh[i](self.filters[i](y)) * self.sigmoid[i](self.gates[i](y))
            x = self.sum[i](x + self.residual[i](self.mix[i](self.mixed[i](gated))))
        return self.out(x)


class PointCloud(nn.Module):
    """PointNet without its transforms: the maximum over all points."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = quant()
        self.points = nn.Sequential(conv1d(3, 16, 1), qnn.QuantConv1d(16, 32, 1), qnn.QuantReLU())
        self.head = nn.Sequential(
            *(qnn.QuantLinear(32, 16, bias=True), nn.BatchNorm1d(16), relu()),
            qnn.QuantLinear(16, 10, bias=True),
        )

    def forward(self, x: Any) -> Any:
        x = torch.max(self.points(self.quant(x)), 2, keepdim=True)[0]
        return self.head(x.view(-1, 32))


class InceptionTime(nn.Module):
    """Three kernels and a pooled branch side by side, `padding="same"`."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.quant_narrow, self.joined, self.quant_pool = quants(4)
        self.narrow = qnn.QuantConv1d(2, 8, 1, bias=False)
        self.convs = nn.ModuleList(
            qnn.QuantConv1d(8, 4, size, padding="same", bias=False) for size in (9, 19, 39)
        )
        self.pool = nn.MaxPool1d(3, stride=1, padding=1)
        self.pooled = qnn.QuantConv1d(2, 4, 1, bias=False)
        self.norm = nn.BatchNorm1d(16)
        self.relu = qnn.QuantReLU()
        self.average = nn.AdaptiveAvgPool1d(1)
        self.head = qnn.QuantLinear(16, 3, bias=True)

    def forward(self, x: Any) -> Any:
        x = self.quant(x)
        y = self.quant_narrow(self.narrow(x))
        parts = [*(conv(y) for conv in self.convs), self.pooled(self.pool(x))]
        y = torch.cat([self.joined(part) for part in parts], dim=1)
        y = self.average(self.relu(self.norm(y)))
        return self.head(self.quant_pool(y).squeeze(-1))


class SignalAutoencoder(nn.Module):
    """Strided convolutions, then nearest upsampling and a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            *(quant(), qnn.QuantConv1d(4, 8, 4, stride=2, padding=1), relu()),
            *(qnn.QuantConv1d(8, 8, 4, stride=2, padding=1), relu(), nn.Upsample(scale_factor=2)),
            *(qnn.QuantConv1d(8, 8, 3, padding=1), relu()),
            *(qnn.QuantConvTranspose1d(8, 4, 4, stride=2, padding=1), qnn.QuantIdentity()),
        )

    def forward(self, x: Any) -> Any:
        return self.network(x)


class PooledFeatures(nn.Module):
    """The largest and the mean over time, joined."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.quant_mean = quants(2)
        self.conv = qnn.QuantConv1d(6, 12, 5, padding=2)
        self.relu = qnn.QuantReLU()
        self.largest, self.mean = nn.AdaptiveMaxPool1d(1), nn.AvgPool1d(24)
        self.join = QuantConcatenate(dim=1)
        self.head = qnn.QuantLinear(24, 4, bias=True)

    def forward(self, x: Any) -> Any:
        x = self.relu(self.conv(self.quant(x)))
        parts = [self.largest(x).flatten(1), self.quant_mean(self.mean(x)).flatten(1)]
        return self.head(self.join(parts))


class BrainSignals(nn.Module):
    """EEGNet: convolutions over time, then over electrodes, ELU, average pools."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Sequential(
            *(quant(), qnn.QuantConv2d(1, 8, (1, 65), padding=(0, 32), bias=False)),
            *(nn.BatchNorm2d(8), quant()),
            *(qnn.QuantConv2d(8, 16, (22, 1), groups=8, bias=False), nn.BatchNorm2d(16)),
            *(nn.ELU(), quant(), nn.AvgPool2d((1, 4)), quant(), nn.Dropout(0.25)),
        )
        self.separable = nn.Sequential(
            *(qnn.QuantConv2d(16, 16, (1, 16), padding=(0, 8), groups=16, bias=False), quant()),
            *(qnn.QuantConv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ELU(), quant()),
            *(nn.AvgPool2d((1, 8)), quant()),
        )
        self.head = qnn.QuantLinear(64, 4, bias=True)

    def forward(self, x: Any) -> Any:
        return self.head(self.separable(self.time(x)).flatten(1))


NETWORKS: Mapping[str, Network] = {
    "radio_vgg": (RadioVgg, (2, 128)),
    "heart_resnet": (HeartResnet, (1, 187)),
    "temporal_network": (TemporalNetwork, (3, 61)),
    "wavenet": (WaveNet, (8, 40)),
    "point_cloud": (PointCloud, (3, 64)),
    "inception_time": (InceptionTime, (2, 50)),
    "signal_autoencoder": (SignalAutoencoder, (4, 32)),
    "pooled_features": (PooledFeatures, (6, 24)),
    "brain_signals": (BrainSignals, (1, 22, 128)),
}
