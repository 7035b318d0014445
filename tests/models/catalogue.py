"""Networks that people really have, by name: how each is built, and on what it is judged.

`mobilenet_v2` is what Brevitas makes of it; a name with `+advice` is the same network after the advice that
`ares check` gives for it was followed. `@224` is the size of the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from torch import nn

from tests.models import brevitas_networks as examples
from tests.models import torchvision_networks as vision
from tests.models import written_networks as written

_SMALL = (3, 64, 64)
_LARGE = (3, 224, 224)
# How many pictures a network is judged on: fewer where one takes seconds.
_MANY = 8
_SOME = 4
_FEW = 2


@dataclass(frozen=True, slots=True)
class Model:
    """One row of the table.

    `group`: where the network is from; `shape`: of one input, without the batch; `build`: the network, ready to be
    checked; `advice`: what was changed of it, "" for nothing; `samples`: how many pictures it is judged on.
    """

    name: str
    group: str
    shape: tuple[int, ...]
    build: Callable[[], nn.Module]
    advice: str = ""
    samples: int = _MANY


_OBSERVERS = "observer_only cleared"
_OUTPUT = f"{_OBSERVERS}; the result quantised"
_ACTIVATIONS = "a quantiser behind each Hardswish, Hardsigmoid and SiLU that had none"
_PLAIN = "return_quant_tensor=False in front of each cat"
_INPUT = "the input quantised"


def _vision(
    name: str,
    recipe: vision.Recipe = vision.by_graph,
    advice: str = "",
    shape: tuple[int, int, int] = _SMALL,
    **options: bool,
) -> Model:
    at = "" if shape == _SMALL else f"@{shape[1]}"
    return Model(
        name=f"{name}{at}{'+advice' if advice else ''}",
        group="torchvision",
        shape=shape,
        build=partial(vision.build, name, shape[1], recipe, observed=not advice, **options),
        advice=advice,
        samples=_SOME if shape == _SMALL else _FEW,
    )


def _example(
    family: examples.Family,
    name: str,
    shape: tuple[int, ...],
    advice: str = "",
) -> Model:
    return Model(
        name=f"{name}{'+advice' if advice else ''}",
        group=f"brevitas_examples.{_GROUPS[family]}",
        shape=shape,
        build=partial(examples.build, family, name, shape, advised=bool(advice)),
        advice=advice,
        samples=_FEW if shape[1] >= _LARGE[1] else _MANY,
    )


_GROUPS: Mapping[examples.Family, str] = {
    examples.bnn_pynq: "bnn_pynq",
    examples.imagenet: "imagenet_classification",
    examples.super_resolution: "super_resolution",
    examples.text_to_speech: "text_to_speech",
}


def _torchvision() -> list[Model]:
    googlenet = {"aux_logits": False, "init_weights": False}
    return [
        _vision("resnet18"),
        _vision("mobilenet_v2"),
        _vision("mobilenet_v3_small"),
        _vision("mobilenet_v3_small", vision.with_quantised_activations, _ACTIVATIONS),
        _vision("regnet_x_400mf"),
        _vision("mnasnet0_5"),
        _vision("googlenet", **googlenet),
        _vision("googlenet", advice=_OBSERVERS, **googlenet),
        _vision("squeezenet1_1"),
        _vision("squeezenet1_1", vision.with_quantised_output, _OUTPUT),
        _vision("efficientnet_b0"),
        _vision("efficientnet_b0", vision.with_quantised_activations, _ACTIVATIONS),
        _vision("densenet121"),
        _vision("densenet121", advice=_OBSERVERS),
        _vision("shufflenet_v2_x0_5"),
        _vision("shufflenet_v2_x0_5", vision.with_plain_concatenations, _PLAIN),
        _vision("resnet18", shape=_LARGE),
        _vision("mobilenet_v2", shape=_LARGE),
    ]


def _bnn_pynq() -> list[Model]:
    digits, photos = (1, 28, 28), (3, 32, 32)
    dense = [f"{size}_{bits}" for size in ("tfc", "sfc", "lfc") for bits in ("1w1a", "1w2a")]
    dense += ["tfc_2w2a", "sfc_2w2a"]  # there is no lfc_2w2a
    convolutional = ["cnv_1w1a", "cnv_1w2a", "cnv_2w2a"]
    return [
        *(_example(examples.bnn_pynq, name, digits) for name in sorted(dense)),
        *(_example(examples.bnn_pynq, name, photos) for name in convolutional),
        _example(examples.bnn_pynq, "resnet18_4w4a", photos),
        _example(examples.bnn_pynq, "resnet18_4w4a", photos, _INPUT),
    ]


def _imagenet() -> list[Model]:
    names = [
        "quant_mobilenet_v1",
        "quant_mobilenet_v1_4b",
        "quant_mobilenet_v1_4b_round_avgpool",
        "quant_proxylessnas_mobile14_4b",
        "quant_proxylessnas_mobile14_4b_round_avgpool",
        "quant_proxylessnas_mobile14_4b5b",
        "quant_proxylessnas_mobile14_hadamard_4b",
    ]
    advised = [*names[:4], names[5]]
    # Its pooling (7 x 7, stride 1) leaves the 7 x 7 that the classifier wants only of 13 x 13, 32 times smaller.
    vgg = ("quant_vgg11", "quant_vgg11_bn")
    return [
        *(_example(examples.imagenet, name, _LARGE) for name in names),
        *(_example(examples.imagenet, name, _LARGE, _INPUT) for name in advised),
        *(_example(examples.imagenet, name, (3, 416, 416)) for name in vgg),
    ]


def _super_resolution() -> list[Model]:
    names = [
        "quant_espcn_x2_w8a8_base",
        "quant_espcn_x2_w8a8_a2q_32b",
        "quant_espcn_x2_w8a8_a2q_16b",
        "quant_espcn_x2_w8a8_a2q_plus_16b",
        "quant_espcn_x2_w4a4_base",
        "quant_espcn_x2_w4a4_a2q_32b",
        "quant_espcn_x2_w4a4_a2q_13b",
        "quant_espcn_x2_w4a4_a2q_plus_13b",
    ]
    return [_example(examples.super_resolution, name, (3, 32, 32)) for name in names]


def _text_to_speech() -> list[Model]:
    name, shape = "quant_melgan_8b", (80, 6)
    return [
        _example(examples.text_to_speech, name, shape),
        _example(examples.text_to_speech, name, shape, _INPUT),
    ]


def _written() -> list[Model]:
    return [
        Model(name, "written", shape, partial(written.build, name), samples=_SOME)
        for name, (_, shape) in written.WRITTEN.items()
    ]


MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        *(*_torchvision(), *_bnn_pynq(), *_imagenet(), *_super_resolution()),
        *(*_text_to_speech(), *_written()),
    )
}
