"""Activations with a scale for each channel, refused where they are not exact, with advice that works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from brevitas.quant import (
    Uint8ActPerTensorFloat,
)
from torch import nn

from ares.nn import QuantAdd, QuantConcatenate
from ares.nn.leaves.attention import AttentionWeights
from tests.extract.channel_scales import (
    CHANNELS,
    WIDE,
    by_channel,
    depthwise,
    on_depthwise,
    set_scales,
)
from tests.extract.models import (
    Net,
    calibrated,
    checked,
    conv,
    identity,
    linear,
    plain_identity,
    refused,
    seeded,
    tensor_quant,
)
from tests.slow import one_in


class _Columns(nn.Module):
    """A factor for each column of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("values", torch.tensor([[[[1.0, 0.5, 2.0, 1.5, 3.0]]]]))


def _net(body: Callable[..., Any], mend: str = "", **layers: nn.Module) -> nn.Module:
    """`act` has a scale for each channel; `mend` follows an advice: `tensor`, or `identity` behind it."""
    options = {} if mend == "tensor" else by_channel()
    more = plain_identity() if mend == "identity" else nn.Identity()
    return Net(
        lambda m, x: body(m, m.more(m.act(m.q(x)))),
        **{"q": plain_identity(), "act": plain_identity(**options), "more": more, **layers},
    )


SCALES = "has 6 scales, one for each channel"
EITHER = (
    "drop scaling_per_output_channel=True from the quantiser of act, "
    "or put a QuantIdentity with one scale behind it"
)
BEFORE = "put a QuantIdentity with one scale before it"
TENSOR, BETWEEN = "tensor", "identity"
# What is refused: the model, as it is and as an advice makes it; the layer, the reason, the advice, what follows it.
REFUSED: dict[str, tuple[Callable[[str], nn.Module], str, str, str, tuple[str, ...]]] = {
    "convolution": (
        lambda mend: _net(
            lambda m, x: m.out(m.conv(x)), mend, conv=conv(CHANNELS, 3), out=identity()
        ),
        *("conv", f"its input {SCALES}: only depthwise", EITHER),
        (TENSOR, BETWEEN),
    ),
    "linear": (
        lambda mend: _net(lambda m, x: m.fc(x.flatten(1)), mend, fc=linear(CHANNELS * 30, 3)),
        *("fc", "its input has 180 scales, one for each channel", "drop scaling_per_output"),
        (TENSOR, BETWEEN),
    ),
    "sum": (
        lambda mend: _net(
            lambda m, x: m.out(x + m.one(x)), mend, one=plain_identity(), out=identity()
        ),
        *("add", f"its first operand {SCALES}", EITHER),
        (TENSOR, BETWEEN),
    ),
    "QuantAdd": (
        lambda mend: _net(lambda m, x: m.out(x, x), mend, out=QuantAdd()),
        *("out", f"its first operand {SCALES}", EITHER),
        (TENSOR, BETWEEN),
    ),
    "product": (
        lambda mend: _net(
            lambda m, x: m.out(m.one(x) * x), mend, one=plain_identity(), out=identity()
        ),
        *("mul", f"its second factor {SCALES}", EITHER),
        (TENSOR, BETWEEN),
    ),
    "normalisation": (
        lambda mend: _net(
            lambda m, x: m.out(m.norm(x)), mend, norm=nn.LayerNorm(5), out=identity()
        ),
        *("norm", f"its input {SCALES}", EITHER),
        (TENSOR, BETWEEN),
    ),
    "softmax": (
        lambda mend: _net(
            lambda m, x: m.out(x.softmax(-1)), mend, out=identity(act_quant=Uint8ActPerTensorFloat)
        ),
        *("softmax", f"its input {SCALES}", EITHER),
        (TENSOR, BETWEEN),
    ),
    "concatenation": (
        lambda mend: _net(
            lambda m, x: m.out(m.conv(m.join([x, x]) if mend else torch.cat([x, x], 1))),
            *("",),
            join=QuantConcatenate(),
            conv=conv(2 * CHANNELS, 3),
            out=identity(),
        ),
        *("conv", "its input is the concatenation cat of different scales", "QuantConcatenate"),
        ("join",),
    ),
    "channels in turn": (
        lambda mend: _net(
            lambda m, x: m.out(m.conv(x.reshape(-1, 3, 12, 5))),
            *(mend,),
            conv=conv(3, 3),
            out=identity(),
        ),
        *("reshape", "it mixes the channels of act, codes with a scale for each channel", BEFORE),
        (TENSOR, BETWEEN),
    ),
    "a number for each column": (
        lambda mend: _net(
            lambda m, x: m.out(
                m.one(x) * m.two(m.columns.values) if mend else x * m.columns.values
            ),
            out=identity(),
            columns=_Columns(),
            two=plain_identity(),
            one=plain_identity(),
        ),
        *("mul", "its constants are not one for each channel of act", "quantise both"),
        ("both",),
    ),
    "output": (
        lambda mend: _net(lambda m, x: x, mend),
        *("more", f"the network's output {SCALES}", EITHER),
        (TENSOR, BETWEEN),
    ),
}


@pytest.mark.parametrize("name", one_in(3, REFUSED))
def test_refused_elsewhere(name: str) -> None:
    """With one true reason; and what the advice makes of the model is taken."""
    make, layer, reason, advice, mends = REFUSED[name]
    finding = refused(calibrated(seeded(lambda: make("")), WIDE), WIDE)
    assert finding.layer == layer
    assert finding.reason.startswith(reason)
    assert advice in finding.suggestion
    for mend in mends:
        checked(seeded(lambda mend=mend: make(mend)), WIDE, c=True)


INTO: dict[str, tuple[Callable[[nn.Module], nn.Module], str]] = {
    "sum": (
        lambda more: Net(
            lambda m, x: m.act(m.more(m.q(x) + m.q2(x))),
            q=plain_identity(),
            q2=plain_identity(),
            more=more,
            act=identity(**by_channel()),
        ),
        "the sum add",
    ),
    "normalisation": (
        lambda more: Net(
            lambda m, x: m.act(m.more(m.norm(m.q(x)))),
            q=plain_identity(),
            norm=nn.LayerNorm(5),
            more=more,
            act=identity(**by_channel()),
        ),
        "the real output of norm (LayerNorm)",
    ),
}


@pytest.mark.parametrize("name", INTO)
def test_what_rounds_on_one_scale_only(name: str) -> None:
    make, what = INTO[name]
    finding = refused(calibrated(seeded(lambda: make(nn.Identity())), WIDE), WIDE)
    assert finding.layer == "act"
    assert finding.reason == (
        f"its quantiser has a scale for each channel, and {what} takes one for all"
    )
    assert finding.suggestion == BEFORE

    def mended() -> nn.Module:
        net: Any = make(plain_identity())
        channels = tensor_quant(net, "act.act_quant").scaling_impl.buffer.shape[1]
        return nn.Sequential(net, depthwise(channels), identity())

    checked(seeded(mended), WIDE, c=True)


FUNCTIONS_OF_THE_INPUT: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "silu": (nn.SiLU, "it comes behind silu of the network's input"),
    "relu6": (
        nn.ReLU6,
        "clip(0, 6) of the network's input 'input' is another limit in the codes of every channel",
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS_OF_THE_INPUT)
def test_functions_of_the_networks_input(name: str) -> None:
    make, reason = FUNCTIONS_OF_THE_INPUT[name]

    def net(before: nn.Module) -> nn.Module:
        act = nn.Sequential(before, make(), identity(**by_channel()))
        model = calibrated(on_depthwise(act=act), WIDE, spread=3.0)
        set_scales(model, "act.2.act_quant", [1.0, 2.0, 3.0, 9.0, 10.0, 12.0])
        return model

    finding = refused(seeded(lambda: net(nn.Identity())), WIDE)
    assert finding.layer == "act.2"
    assert finding.reason.startswith(reason)
    assert finding.suggestion == "insert a QuantIdentity between the two"
    checked(seeded(lambda: net(identity())), WIDE, c=True, calibrate=False)


def test_a_quantiser_inside_a_module_of_ares() -> None:
    """What computes with its own quantiser's scale takes one that has one."""

    class PerChannel(Uint8ActPerTensorFloat):
        scaling_per_output_channel = True
        per_channel_broadcastable_shape = (1, CHANNELS, 1, 1)
        scaling_stats_permute_dims = (1, 0, 2, 3)

    for quantizer, expected in ((PerChannel, True), (Uint8ActPerTensorFloat, False)):
        net = seeded(
            lambda quantizer=quantizer: Net(
                lambda m, x: m.weights(m.q(x)),
                q=identity(),
                weights=AttentionWeights(act_quant=quantizer),
            )
        )
        if not expected:
            checked(net, WIDE, c=True)
            continue
        finding = refused(calibrated(net, WIDE), WIDE)
        assert finding.layer == "weights"
        assert f"weights.quant.act_quant {SCALES}" in finding.reason
        assert finding.suggestion == "drop scaling_per_output_channel=True"


def test_scales_along_two_axes() -> None:
    def net(shape: tuple[int, ...], dims: tuple[int, ...]) -> nn.Module:
        return on_depthwise(
            act=plain_identity(
                scaling_per_output_channel=True,
                per_channel_broadcastable_shape=shape,
                scaling_stats_permute_dims=dims,
                scaling_stats_reduce_dim=None,
                scaling_impl_type="const",
                scaling_init=torch.linspace(0.5, 3.0, int(np.prod(shape))).reshape(shape),
            )
        )

    finding = refused(calibrated(seeded(lambda: net((1, 6, 6, 1), (1, 2, 0, 3))), WIDE), WIDE)
    assert finding.layer == "act"
    assert "has scales of shape [1, 6, 6, 1], expected one for each channel" in finding.reason
    checked(seeded(lambda: net((1, 6, 1, 1), (1, 0, 2, 3))), WIDE, c=True)
    # One for each row: no channels of a convolution.
    finding = refused(calibrated(seeded(lambda: net((1, 1, 6, 1), (2, 0, 1, 3))), WIDE), WIDE)
    assert finding.layer == "dw"
    assert finding.reason.startswith(f"its input {SCALES}")
