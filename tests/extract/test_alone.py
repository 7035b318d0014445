"""What is wrong with a layer in itself is said although its neighbour is refused: all true reasons in one round."""

from __future__ import annotations

from pathlib import Path

import pytest

from ares.extract import Status, analyse
from ares.zoo.network_file import load_network_file
from tests.checker.models import model_source, write

UP = "self.up = nn.Upsample(scale_factor=1, mode='bicubic')"
REFUSED = {
    "bits of a quantiser": ("QuantIdentity(bit_width=16)", "has 16 bits"),
    "bits of weights": ("QuantConv2d(4, 4, 1, weight_bit_width=16)", "its weights have 16 bits"),
    "no weight quantiser": ("QuantConv2d(4, 4, 1, weight_quant=None)", "its weights are not quantised"),
    "a setting": ("nn.ConstantPad2d(0, 1.0)", "it pads with 1.0"),
}  # fmt: skip


def findings(
    folder: Path, init: list[str], body: list[str], **options: bool
) -> list[tuple[str, str]]:
    network = load_network_file(write(folder, model_source(init, body)))
    analysis = analyse(network.create_model().eval(), network.example_inputs(), "net", **options)
    return [(error.layer, error.reason) for error in analysis.errors]


@pytest.mark.parametrize("name", REFUSED)
def test_behind_a_layer_that_is_refused(name: str, tmp_path: Path) -> None:
    layer, reason = REFUSED[name]
    found = findings(tmp_path, [UP, f"self.mine = {layer}"], ["x = self.mine(self.up(x.value))"])
    assert [where for where, _ in found] == ["up", "mine"]
    assert reason in found[1][1]


def test_behind_a_value_that_is_not_quantised(tmp_path: Path) -> None:
    """Both have to be changed: what comes in, and the layer."""
    layer = "self.mine = QuantConv2d(4, 4, 1, weight_bit_width=16)"
    found = findings(tmp_path, [layer], ["x = self.mine(F.gelu(x.value))"])
    assert [where for where, _ in found if where == "mine"] == ["mine", "mine"]
    assert "which is not quantised" in found[0][1]
    assert "its weights have 16 bits" in found[1][1]


@pytest.mark.parametrize(
    "body",
    ["x = torch.flatten(self.up(x.value), 1).reshape(1, 4, 8, 8)", "x = self.up(x.value) + self.up(x.value)",
     "x = F.gelu(self.up(x.value))", "x = F.max_pool2d(self.up(x.value), 1)", "x = 2 * self.up(x.value)",
     "x = torch.cat([self.up(x.value), x.value], 1)[:, :4]"],
)  # fmt: skip
def test_nothing_is_said_that_depends_on_the_neighbour(body: str, tmp_path: Path) -> None:
    found = findings(tmp_path, [UP], [body])
    assert {where.partition("#")[0] for where, _ in found} == {"up"}


def test_every_quantiser_that_was_never_calibrated(tmp_path: Path) -> None:
    found = findings(
        tmp_path,
        [UP, "self.q = QuantIdentity()"],
        ["x = self.q(self.up(x.value))"],
        allow_uncalibrated=False,
    )
    assert [where for where, _ in found] == ["quant_in", "relu", "up", "q"]


def test_warnings_too_and_once(tmp_path: Path) -> None:
    source = model_source([UP, "self.q = QuantIdentity()"], ["x = self.q(self.up(x.value))"])
    network = load_network_file(write(tmp_path, source))
    analysis = analyse(network.create_model().eval(), network.example_inputs(), "net")
    warned = [f.layer for f in analysis.findings if f.status is Status.WARNING]
    assert warned == ["quant_in", "relu", "q"]
