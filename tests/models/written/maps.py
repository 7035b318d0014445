"""Pictures to pictures, to boxes, to several results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import brevitas.nn as qnn
import torch
import torch.nn.functional as F
from torch import nn

from ares.nn import QuantConcatenate
from tests.models.written.parts import Network, conv2d, quant, quants, relu


class Autoencoder(nn.Module):
    """Transposed convolutions with output padding, a sigmoid at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *(quant(), qnn.QuantConv2d(1, 8, 3, stride=2, padding=1), relu()),
            *(qnn.QuantConv2d(8, 16, 3, stride=2, padding=1), relu()),
            *(qnn.QuantConv2d(16, 4, 7), relu()),
        )
        up: Any = {"stride": 2, "padding": 1, "output_padding": 1}
        self.decoder = nn.Sequential(
            *(qnn.QuantConvTranspose2d(4, 16, 7), relu()),
            *(qnn.QuantConvTranspose2d(16, 8, 3, **up), relu()),
            *(qnn.QuantConvTranspose2d(8, 1, 3, **up), qnn.QuantSigmoid()),
        )

    def forward(self, x: Any) -> Any:
        return self.decoder(self.encoder(x))


def _double(channels: int, filters: int) -> nn.Sequential:
    return nn.Sequential(
        conv2d(channels, filters, 3, padding=1), conv2d(filters, filters, 3, padding=1)
    )


class UNet(nn.Module):
    """Skips meet by `torch.cat` behind a shared quantiser."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = quant()
        self.down1, self.down2, self.middle = _double(1, 8), _double(8, 16), _double(16, 32)
        self.pool = nn.MaxPool2d(2)
        self.up2 = qnn.QuantConvTranspose2d(32, 16, 2, stride=2)
        self.up1 = qnn.QuantConvTranspose2d(16, 8, 2, stride=2)
        self.joined2, self.joined1 = quants(2)
        self.conv2, self.conv1 = _double(32, 16), _double(16, 8)
        self.out = qnn.QuantConv2d(8, 2, 1)

    def forward(self, x: Any) -> Any:
        a = self.down1(self.quant(x))
        b = self.down2(self.pool(a))
        y = self.middle(self.pool(b))
        y = self.conv2(torch.cat([self.joined2(self.up2(y)), self.joined2(b)], 1))
        y = self.conv1(torch.cat([self.joined1(self.up1(y)), self.joined1(a)], dim=1))
        return self.out(y)


def _leaky(channels: int, filters: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        qnn.QuantConv2d(channels, filters, kernel, padding=kernel // 2, bias=False),
        *(nn.BatchNorm2d(filters), nn.LeakyReLU(0.1), quant()),
    )


class TinyYolo(nn.Module):
    """Two heads with float outputs, one of a map that came up by nearest."""

    def __init__(self) -> None:
        super().__init__()
        self.shallow = nn.Sequential(
            *(quant(), _leaky(3, 8, 3), nn.MaxPool2d(2), _leaky(8, 16, 3), nn.MaxPool2d(2))
        )
        self.deep = nn.Sequential(_leaky(16, 16, 3), nn.MaxPool2d(2, 2), nn.MaxPool2d(5, 1, 2))
        self.lateral, self.up = _leaky(16, 8, 1), nn.Upsample(scale_factor=2, mode="nearest")
        self.join = QuantConcatenate(dim=1)
        self.head = _leaky(24, 16, 3)
        self.near, self.far = qnn.QuantConv2d(16, 18, 1), qnn.QuantConv2d(16, 18, 1)

    def forward(self, x: Any) -> Any:
        a = self.shallow(x)
        b = self.deep(a)
        return self.near(self.head(self.join([self.up(self.lateral(b)), a]))), self.far(b)


class PyramidHead(nn.Module):
    """An FPN: heads shared by two sizes, four results in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.lateral, self.merged = quants(3)
        self.conv2, self.relu2 = qnn.QuantConv2d(4, 8, 3, padding=1), qnn.QuantReLU()
        self.conv3, self.relu3 = qnn.QuantConv2d(8, 8, 3, stride=2, padding=1), qnn.QuantReLU()
        self.side2, self.side3 = qnn.QuantConv2d(8, 4, 1), qnn.QuantConv2d(8, 4, 1)
        self.classes = qnn.QuantConv2d(4, 3, 3, padding=1)
        self.boxes = qnn.QuantConv2d(4, 4, 3, padding=1)

    def forward(self, x: Any) -> Any:
        a = self.relu2(self.conv2(self.quant(x)))
        small = self.lateral(self.side3(self.relu3(self.conv3(a))))
        up = F.interpolate(small, size=a.shape[-2:], mode="nearest")
        large = self.merged(self.lateral(self.side2(a)) + up)
        return [self.classes(large), self.boxes(large), self.classes(small), self.boxes(small)]


class SingleShot(nn.Module):
    """SSD's heads: channels last, then rows; results by name."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(quant(), qnn.QuantConv2d(3, 8, 3, stride=2, padding=1), relu())
        )
        self.classes = qnn.QuantConv2d(8, 6, 3, padding=1)
        self.boxes = qnn.QuantConv2d(8, 8, 3, padding=1)

    def forward(self, x: Any) -> Any:
        y = self.features(x)
        classes = self.classes(y).permute(0, 2, 3, 1).contiguous().view(x.size(0), -1, 3)
        return {
            "classes": classes,
            "boxes": self.boxes(y).permute(0, 2, 3, 1).reshape(x.size(0), -1, 4),
        }


class SubPixel(nn.Module):
    """ESPCN: the last convolution's float results go to their places."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            *(
                quant(),
                qnn.QuantConv2d(1, 16, 5, padding=2),
                qnn.QuantTanh(return_quant_tensor=True),
            ),
            *(qnn.QuantConv2d(16, 8, 3, padding=1), relu()),
            *(qnn.QuantConv2d(8, 9, 3, padding=1), nn.PixelShuffle(3)),
        )

    def forward(self, x: Any) -> Any:
        return self.network(x)


class BilinearSkip(nn.Module):
    """Super-resolution that adds to its bilinear input."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.quant2, self.quant_up, self.quant_out = quants(4)
        self.conv1, self.relu = qnn.QuantConv2d(3, 16, 3, padding=1), qnn.QuantReLU()
        self.conv2, self.shuffle = qnn.QuantConv2d(16, 12, 3, padding=1), nn.PixelShuffle(2)

    def forward(self, x: Any) -> Any:
        x = self.quant(x)
        up = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        y = self.shuffle(self.quant2(self.conv2(self.relu(self.conv1(x)))))
        return self.quant_out(y + self.quant_up(up))


class StyleTransfer(nn.Module):
    """Reflected and replicated borders, InstanceNorm, nearest upsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            *(quant(), nn.ReflectionPad2d(4), qnn.QuantConv2d(3, 8, 9), quant()),
            *(nn.InstanceNorm2d(8, affine=True), relu()),
            *(nn.ReflectionPad2d(1), qnn.QuantConv2d(8, 8, 3, stride=2), relu()),
            *(nn.Upsample(scale_factor=2), nn.ReplicationPad2d(1)),
            *(qnn.QuantConv2d(8, 3, 3), qnn.QuantTanh()),
        )

    def forward(self, x: Any) -> Any:
        return self.network(x)


class Hourglass(nn.Module):
    """Down and up again, added."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.sum = quants(2)
        self.conv, self.relu = qnn.QuantConv2d(4, 4, 3, padding=1), qnn.QuantReLU()
        self.low, self.relu_low = qnn.QuantConv2d(4, 4, 3, padding=1), qnn.QuantReLU()
        self.out = qnn.QuantConv2d(4, 6, 1)

    def forward(self, x: Any) -> Any:
        x = self.relu(self.conv(self.quant(x)))
        y = self.relu_low(self.low(F.max_pool2d(x, 2)))
        return self.out(self.sum(x + F.interpolate(y, scale_factor=2)))


class PyramidPooling(nn.Module):
    """PSPNet: averages into 1, 2 and 3 parts of a side that none divides, brought back by nearest."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = qnn.QuantIdentity()
        self.conv, self.relu = qnn.QuantConv2d(3, 8, 3, padding=1), qnn.QuantReLU()
        self.pools = nn.ModuleList(nn.AdaptiveAvgPool2d(size) for size in (1, 2, 3))
        self.quants = quants(3)
        self.narrow = nn.ModuleList(qnn.QuantConv2d(8, 4, 1) for _ in range(3))
        self.relus = nn.ModuleList(qnn.QuantReLU() for _ in range(3))
        self.join = QuantConcatenate(dim=1)

    def forward(self, x: Any) -> Any:
        x = self.relu(self.conv(self.quant(x)))
        parts = [x]
        branches = zip(self.pools, self.quants, self.narrow, self.relus, strict=True)
        for pool, quantizer, narrow, activation in branches:
            y = activation(narrow(quantizer(pool(x))))
            parts.append(F.interpolate(y, size=x.shape[2:], mode="nearest"))
        return self.join(parts)


NETWORKS: Mapping[str, Network] = {
    "autoencoder": (Autoencoder, (1, 28, 28)),
    "unet": (UNet, (1, 32, 32)),
    "tiny_yolo": (TinyYolo, (3, 48, 48)),
    "pyramid_head": (PyramidHead, (4, 12, 12)),
    "single_shot": (SingleShot, (3, 20, 20)),
    "sub_pixel": (SubPixel, (1, 16, 16)),
    "bilinear_skip": (BilinearSkip, (3, 16, 16)),
    "style_transfer": (StyleTransfer, (3, 16, 16)),
    "hourglass": (Hourglass, (4, 16, 16)),
    "pyramid_pooling": (PyramidPooling, (3, 17, 23)),
}
