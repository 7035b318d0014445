"""Networks for the faults of `docs/pitfalls.md`, and how a fault on both sides is judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ares.ir import Project
from ares.pipeline.network import NetworkSubject
from ares.verdict import REFERENCE
from tests.toolchain.tiny_network import portable_target
from tests.witness.planting import BLAMES_EXTRACTION, BLAMES_REFERENCE, PROBE, assert_red, c_verdict

Good = Callable[[str], NetworkSubject]

HEAD = '''"""A network for planted faults."""

import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8ActPerTensorFloat, Uint8ActPerTensorFloat
from torch import Tensor, nn

from ares.nn import (
    GroupNorm,
    LayerNorm,
    Permute,
    QuantMambaBlock,
    QuantRoPESelfAttention,
    QuantSSM,
    fold_batch_norm,
)
from ares.zoo import signals, weights


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(act_quant=Int8ActPerTensorFloat)
'''

TAIL = """

def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.{inputs},)
"""


def text(members: Sequence[str], result: str, inputs: str, after: str = "") -> str:
    """A network file: members set in the constructor, what `forward` returns of x, and its input."""
    lines = [f"        self.{member}\n" for member in members]
    forward = f"\n    def forward(self, x: Tensor) -> Tensor:\n        return {result}\n"
    return HEAD + "".join(lines) + after + forward + TAIL.format(inputs=inputs)


OUT = "quant_out = QuantIdentity(act_quant=Int8ActPerTensorFloat)"
# One row of equal scores, one with a score far above the others.
SOFTMAX = text(
    [
        "softmax = nn.Softmax(dim=-1)",
        "quant_out = QuantIdentity(act_quant=Uint8ActPerTensorFloat)",
    ],
    "self.quant_out(self.softmax(self.quant_in(x)))",
    "tokens(6, KEYS, sample)",
).replace(
    "    return (signals.tokens(6, KEYS, sample),)",
    "    x = signals.tokens(6, KEYS, sample)\n    x[0, 0] = 0.0\n    x[0, 1, 3] = 16.0\n    return (x,)",
)
BATCH_NORM = text(
    [
        "conv = QuantConv2d(1, 4, 3, bias=True)",
        "norm = nn.BatchNorm2d(4)",
        OUT,
    ],
    "self.quant_out(self.norm(self.conv(self.quant_in(x))))",
    "eeg(8, 24, sample)",
    after='        weights.initialise(self, "batch_norm")\n',
)
BATCH_NORM += "\n\ndef initialise(model: nn.Module) -> None:\n    del model  # has its weights\n"

TEXTS = {
    "probe": PROBE,
    "attention": text(
        ['attention = QuantRoPESelfAttention(16, 2, 12, pool_sequence="none")'],
        "self.attention(self.quant_in(x))",
        "tokens(12, 16, sample)",
    ),
    "softmax196": SOFTMAX.replace("KEYS", "196"),
    "softmax256": SOFTMAX.replace("KEYS", "256"),
    "layer_norm": text(
        ["norm = LayerNorm(32)", OUT],
        "self.quant_out(self.norm(self.quant_in(x)))",
        "tokens(12, 32, sample)",
    ),
    "group_norm": text(
        ["rows = Permute(0, 2, 1)", "norm = GroupNorm(4, 32)", OUT],
        "self.quant_out(self.norm(self.rows(self.quant_in(x))))",
        "tokens(12, 32, sample)",
    ),
    "ssm": text(
        ["ssm = QuantSSM(16, d_state=16, dt_rank=2)"],
        "self.ssm(self.quant_in(x))",
        "tokens(24, 16, sample)",
    ),
    "mamba": text(
        ["block = QuantMambaBlock(32, d_inner=64, d_state=2)"],
        "self.block(self.quant_in(x))",
        "tokens(16, 32, sample)",
    ),
    "relu": text(
        [
            "conv = QuantConv2d(1, 6, 3, bias=True)",
            "relu = QuantReLU()",
            "flatten = nn.Flatten()",
            "fc = QuantLinear(6 * 6 * 22, 10, bias=True, output_quant=Int8ActPerTensorFloat)",
        ],
        "self.fc(self.flatten(self.relu(self.conv(self.quant_in(x)))))",
        "eeg(8, 24, sample)",
    ),
    # Few products of small weights: a code is worth few units of the accumulator.
    "coarse": text(
        ["conv = QuantConv2d(1, 16, 1, bias=True, weight_bit_width=3)", OUT],
        "self.quant_out(self.conv(self.quant_in(x)))",
        "eeg(16, 64, sample)",
    ),
    "batch_norm": BATCH_NORM,
    "folded": BATCH_NORM.replace('m")\n', 'm")\n        fold_batch_norm(self)\n'),
}


def assert_red_together(
    network: NetworkSubject,
    layer: str,
    in_c: Callable[[Project], Project] = lambda project: project,
) -> None:
    """Beside the golden of the right integers: reference and C are red at the same layer, and torch is not."""
    __tracebackhide__ = True
    session = NetworkSubject(network.paths)
    assert_red(session.stage(REFERENCE), layer=layer, says=(BLAMES_REFERENCE,))
    verdict = c_verdict(session, in_c(session.project), portable_target())
    assert_red(verdict, layer=layer, says=(BLAMES_EXTRACTION,))
