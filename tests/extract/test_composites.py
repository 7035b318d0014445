"""Constants that meet a quantiser, calls with several outputs, and composites as one layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.extract.models import Net, calibrated, checked, identity, kinds, linear, refused

TOKENS = (1, 5, 6)


class Positions(nn.Module):
    """x + table, as a learned position table is."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.linspace(-1.0, 2.0, torch.Size(shape).numel()).view(shape))
        self.table_quant = identity()
        self.quant_in = identity()
        self.quant = identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_in(x).value
        result: Tensor = self.quant(x + self.table_quant(self.table).value)
        return result


def test_a_quantised_parameter_is_a_constant() -> None:
    graph = checked(Positions(1, 5, 6), TOKENS, c=True)
    assert kinds(graph) == ["quantize", "constant", "add"]
    assert graph.tensor("table_quant").shape == (1, 5, 6)


def test_a_constant_may_be_smaller_than_what_it_is_added_to() -> None:
    checked(Positions(1, 1, 6), TOKENS, c=True)


def test_a_constant_may_be_an_output_and_an_operand_of_a_linear_layer() -> None:
    def forward(m: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        table = m.table_quant(m.positions.table)
        return m.quant(x), table, m.after(m.fc(table))

    model = Net(
        forward,
        positions=Positions(1, 3, 6),
        table_quant=identity(),
        quant=identity(),
        fc=linear(6, 4),
        after=identity(),
    )
    graph = checked(model, TOKENS, c=True)
    assert kinds(graph) == ["constant", "quantize", "linear"]


def test_a_constant_without_batch_axis_is_refused() -> None:
    finding = refused(calibrated(Positions(6), TOKENS), TOKENS)
    assert "the constant 'table' of shape [6]" in finding.reason
    assert "[1, ...]" in finding.suggestion
