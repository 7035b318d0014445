"""Token ids in real models: embeddings, positions, and the cases that a golden makes of them (N17)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from torch import nn
from typer.testing import CliRunner

from ares.cli.app import app
from ares.emit import emit
from ares.extract import analyse, extract
from ares.golden.cases import make_cases
from ares.ir import DType, Graph, save_graph
from ares.nn.embedding import PositionalEmbedding
from ares.ops import read_graph, run_reference
from ares.plan import plan
from ares.toolchain import build, run
from ares.witness import Witness
from tests.extract.models import (
    Net,
    fast_target,
    identity,
    kinds,
    linear,
    plain_identity,
    relu,
    seeded,
    set_scale,
    tensor_quant,
)

VOCABULARY, DIM, LENGTH = 31, 6, 5


def ids_of(batch: int = 2, kind: torch.dtype = torch.int64) -> torch.Tensor:
    draw = torch.Generator().manual_seed(7)
    return torch.randint(0, VOCABULARY, (batch, LENGTH), generator=draw, dtype=kind)


def calibrated(model: nn.Module, inputs: torch.Tensor) -> nn.Module:
    with torch.no_grad():
        model.train()
        for _ in range(3):
            model(inputs)
    return model.eval()


def checked(model: nn.Module, kind: torch.dtype = torch.int64, c: bool = True) -> Graph:
    """The Graph, after all witnesses and the C have agreed on the three golden cases."""
    ids = ids_of(3, kind)
    calibrated(model, ids)
    graph = extract(model, [ids], "net")
    assert save_graph(read_graph(save_graph(graph))) == save_graph(graph)
    cases = make_cases(graph, [ids[:1].numpy()])
    references = [run_reference(graph, case.inputs) for case in cases]
    witness = Witness(model, graph)
    for case, reference in zip(cases, references, strict=True):
        judgements = witness.judge(case.inputs, reference)
        assert judgements
        assert all(judgement.accepted for judgement in judgements)
    stacked = {
        tensor.name: np.concatenate([reference[tensor.name] for reference in references])
        for _, tensor in graph.produced()
    }
    batch = [np.concatenate([case.inputs[0] for case in cases])]
    assert all(judgement.accepted for judgement in witness.judge(batch, stacked))
    if c:
        project = emit(plan(graph))
        traces = run(build(project, fast_target()), project, [case.inputs for case in cases])
        for reference, trace in zip(references, traces, strict=True):
            for name, array in trace.tensors.items():
                assert (array == reference[name]).all(), name
    return graph


def refusal(model: nn.Module, inputs: torch.Tensor) -> str:
    analysis = analyse(model.eval(), [inputs], "net", allow_uncalibrated=True)
    assert len(analysis.errors) == 1, analysis.errors
    assert analysis.errors[0].suggestion
    return analysis.errors[0].reason


def embedded(layer: nn.Module, quant: nn.Module) -> Net:
    return Net(
        lambda m, x: m.head(m.quant(m.table(x))), table=layer, quant=quant, head=linear(DIM, 3)
    )


QUANTIZERS: dict[str, Callable[[], nn.Module]] = {
    "signed": identity,
    "plain": plain_identity,
    "four bits": lambda: identity(bit_width=4),
    "relu": relu,
}


@pytest.mark.parametrize("kind", [torch.int64, torch.int32])
@pytest.mark.parametrize("name", QUANTIZERS)
def test_float_table(name: str, kind: torch.dtype) -> None:
    model = seeded(lambda: embedded(nn.Embedding(VOCABULARY, DIM), QUANTIZERS[name]()))
    graph = checked(model, kind, c=kind is torch.int64)
    assert kinds(graph) == ["embedding", "linear_fp32"]
    ids = graph.tensor(graph.inputs[0])
    assert (ids.dtype, ids.scale, ids.lo, ids.hi) == (DType.S32, 1.0, 0, VOCABULARY - 1)
    weight = model.table.weight.detach().double().numpy()
    scale = graph.tensor("table").scale or 0.0
    table = graph.operations[0].table
    clipped = np.clip(weight / scale, graph.tensor("table").lo, graph.tensor("table").hi)
    assert (np.abs(table - clipped) <= 0.5).all()
    assert len(np.unique(table)) > 5


def test_ties_go_to_the_even_code() -> None:
    """A table of halves with a scale of one: the quantiser's rounding, at extraction."""
    model = embedded(nn.Embedding(VOCABULARY, DIM), identity())
    calibrated(model, ids_of())
    set_scale(model, "quant.act_quant", 128.0)
    assert float(tensor_quant(model, "quant.act_quant")(torch.zeros(()))[1]) == 1.0
    halves = torch.arange(VOCABULARY * DIM).reshape(VOCABULARY, DIM) - 90.5
    model.table.weight.data.copy_(halves)
    graph = extract(model, [ids_of()], "net")
    expected = [[round(float(value)) for value in row] for row in halves]
    assert graph.operations[0].table.tolist() == expected
    assert all(value % 2 == 0 for row in expected for value in row)
    ids = np.arange(VOCABULARY, dtype=np.int32)[None]
    arrays = run_reference(extract(model, [torch.from_numpy(ids)], "net"), [ids])
    judged = Witness(model, extract(model, [torch.from_numpy(ids)], "net")).judge([ids], arrays)
    assert all(judgement.accepted for judgement in judged)


@pytest.mark.parametrize("requantised", [False, True])
@pytest.mark.parametrize("bits", [8, 4])
def test_quantised_table(requantised: bool, bits: int) -> None:
    def make() -> Net:
        table = qnn.QuantEmbedding(
            VOCABULARY, DIM, weight_bit_width=bits, return_quant_tensor=not requantised
        )
        if requantised:
            return embedded(table, identity())
        return Net(lambda m, x: m.head(m.table(x)), table=table, head=linear(DIM, 3))

    graph = checked(seeded(make))
    assert kinds(graph) == ["embedding", *["requantize"] * requantised, "linear_fp32"]
    largest = 2 ** (bits - 1) - 1
    rows = graph.tensor("table")
    assert (rows.lo, rows.hi) == (-largest, largest)


def test_padding_and_sparse_change_nothing() -> None:
    table = nn.Embedding(VOCABULARY, DIM, padding_idx=0, sparse=True)
    graph = checked(embedded(table, identity()))
    assert (graph.operations[0].table[0] == 0).all()


@pytest.mark.parametrize("constant", [False, True])
def test_positions(constant: bool) -> None:
    def make() -> Net:
        positions = (
            PositionalEmbedding(table=torch.linspace(-2, 2, LENGTH * DIM).reshape(LENGTH, DIM))
            if constant
            else PositionalEmbedding(LENGTH, DIM)
        )
        return Net(
            lambda m, x: m.head(m.positions(m.quant(m.table(x)))),
            table=nn.Embedding(VOCABULARY, DIM),
            quant=identity(),
            positions=positions,
            head=linear(DIM, 3),
        )

    model = seeded(make)
    graph = checked(model)
    assert kinds(graph) == ["embedding", "constant", "add", "linear_fp32"]
    parameters = dict(model.named_parameters())
    assert ("positions.table" in parameters) != constant
    assert tuple(model(ids_of(4)).shape) == (4, LENGTH, 3)


def test_positions_that_do_not_fit() -> None:
    for arguments in (
        {},
        {"num_positions": 3},
        {"num_positions": 3, "dim": 2, "table": torch.zeros(3, 2)},
    ):
        with pytest.raises(ValueError, match="table"):
            PositionalEmbedding(**arguments)
    for shape in ((3,), (2, 3, 4), (1, 0, 2)):
        with pytest.raises(ValueError, match="expected \\[T, D\\]"):
            PositionalEmbedding(table=torch.zeros(shape))
    with pytest.raises(ValueError, match="3 positions of 2 features"):
        PositionalEmbedding(3, 2)(torch.zeros(1, 4, 2))


def test_golden_cases_hold_valid_ids() -> None:
    graph = checked(embedded(nn.Embedding(VOCABULARY, DIM), identity()), c=False)
    examples = np.array([[3, 1, 4, 1, 5]])
    realistic, random, edge = make_cases(graph, [examples])
    assert all(case.inputs[0].dtype == np.int32 for case in (realistic, random, edge))
    assert (realistic.inputs[0] == examples).all()
    assert set(edge.inputs[0].reshape(-1)) == {0, VOCABULARY - 1}
    assert len(np.unique(random.inputs[0])) > 2
    with pytest.raises(ValueError, match="do not fit s32"):
        make_cases(graph, [examples + 2**40])


def test_two_tables_share_their_ids() -> None:
    model = Net(
        lambda m, x: m.add(m.qa(m.a(x)), m.qb(m.b(x))),
        a=nn.Embedding(VOCABULARY, DIM),
        b=nn.Embedding(2 * VOCABULARY, DIM),
        qa=plain_identity(),
        qb=plain_identity(),
        add=_Sum(),
    )
    graph = checked(model)
    assert graph.tensor("input").hi == VOCABULARY - 1


class _Sum(nn.Module):
    """A quantised sum."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = identity()

    def forward(self, a: Any, b: Any) -> Any:
        return self.quant(a + b)


def test_refusals() -> None:
    ids = ids_of()
    limited = embedded(nn.Embedding(VOCABULARY, DIM, max_norm=1.0), identity())
    assert "max_norm=1" in refusal(limited, ids)
    broken = embedded(nn.Embedding(VOCABULARY, DIM), identity())
    broken.table.weight.data[3, 2] = float("nan")
    assert "NaN" in refusal(broken, ids)
    per_row = embedded(
        qnn.QuantEmbedding(VOCABULARY, DIM, weight_scaling_per_output_channel=True), identity()
    )
    assert "per-tensor" in refusal(per_row, ids)
    unquantised = embedded(qnn.QuantEmbedding(VOCABULARY, DIM, weight_quant=None), identity())
    assert "not quantised" in refusal(unquantised, ids)
    bare = Net(
        lambda m, x: m.head(m.table(x)), table=nn.Embedding(VOCABULARY, DIM), head=linear(DIM, 3)
    )
    assert "not quantised" in refusal(bare, ids)


# What ids may meet on their way to a table -> the Graph's operations before it.
MOVED: dict[str, tuple[Callable[[Any], Any], list[str]]] = {
    "slice": (lambda x: x[:, 1:4], ["slice"]),
    "every second": (lambda x: x[:, ::2], ["slice"]),
    "one": (lambda x: x[:, 2:3], ["slice"]),
    "narrow": (lambda x: x.narrow(1, 1, 3), ["slice"]),
    "select": (lambda x: x.select(1, 2).unsqueeze(1), ["slice", "squeeze", "squeeze"]),
    "chunk": (lambda x: x.chunk(2, 1)[1], ["slice"]),
    "unbind": (lambda x: torch.stack(x.unbind(1)[1:4], 1), ["slice", "squeeze"] * 3 + ["squeeze"] * 3 + ["concat"]),
    "reshape": (lambda x: x[:, :4].reshape(-1, 2, 2).flatten(1), ["slice", "reshape", "flatten"]),
    "transpose": (
        lambda x: x[:, :4].view(-1, 2, 2).transpose(1, 2).reshape(-1, 4),
        ["slice", "reshape", "permute", "reshape"],
    ),
    "flip": (lambda x: torch.flip(x, (1,)), ["flip"]),
    "roll": (lambda x: x.roll(2, 1), ["slice", "slice", "concat"]),
    "cat": (lambda x: torch.cat([x[:, :2], x, x], dim=1), ["slice", "concat"]),
    "stack": (lambda x: torch.stack([x, x], 2).flatten(1), ["squeeze", "squeeze", "concat", "flatten"]),
    "repeat": (lambda x: x.repeat(1, 2), ["concat"]),
    "expand": (lambda x: x.unsqueeze(1).expand(-1, 3, -1).flatten(1), ["squeeze", "concat", "flatten"]),
    "long": (lambda x: x.long(), []),
    "int": (lambda x: x.int(), []),
    "to": (lambda x: x.to(torch.int64), []),
    "type": (lambda x: x.type(torch.int32), []),
    "clone": (lambda x: x.clone().contiguous().detach(), []),
    "no move": (lambda x: x.reshape(x.shape), []),
}  # fmt: skip


@pytest.mark.parametrize("kind", [torch.int64, torch.int32])
@pytest.mark.parametrize("case", MOVED)
def test_moved_ids(case: str, kind: torch.dtype) -> None:
    move, expected = MOVED[case]
    model = seeded(
        lambda: Net(
            lambda m, x: m.head(m.quant(m.table(move(x)))),
            table=nn.Embedding(VOCABULARY, DIM),
            quant=identity(),
            head=linear(DIM, 3),
        )
    )
    graph = checked(model, kind, c=kind is torch.int64)
    assert kinds(graph) == [*expected, "embedding", "linear_fp32"]
    ids = [t for t in graph.tensors if t.dtype is DType.S32]
    assert len(ids) == len(expected) + 1
    assert all((t.scale, t.zero_point, t.lo, t.hi) == (1.0, 0, 0, VOCABULARY - 1) for t in ids)


def test_every_part_of_the_ids_has_a_table_of_its_own() -> None:
    """An id of the input is one of all tables that it may come to."""
    model = Net(
        lambda m, x: m.add(m.qa(m.a(x[:, :2])), m.qb(m.b(x[:, 3:]))),
        a=nn.Embedding(VOCABULARY, DIM),
        b=nn.Embedding(2 * VOCABULARY, DIM),
        qa=plain_identity(),
        qb=plain_identity(),
        add=_Sum(),
    )
    graph = checked(model)
    assert graph.tensor("input").hi == VOCABULARY - 1


POSITIONS: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "a float table": (
        lambda m, x: m.add(m.quant(m.table(x)), m.qb(m.b(m.places[:, : x.shape[1]]))),
        ["embedding", "constant", "add"],
    ),
    "made in forward": (
        lambda m, x: m.add(m.quant(m.table(x)), m.qb(m.b(torch.arange(LENGTH)[None]))),
        ["embedding", "constant", "add"],
    ),
    "a quantised table": (
        lambda m, x: m.add(m.quant(m.table(x)), m.c(m.places)),
        ["embedding", "constant", "add"],
    ),
}


@pytest.mark.parametrize("case", POSITIONS)
def test_constant_ids(case: str) -> None:
    """Positions: their rows are looked up at extraction."""
    forward, expected = POSITIONS[case]

    def make() -> Net:
        return Net(
            forward,
            table=nn.Embedding(VOCABULARY, DIM),
            b=nn.Embedding(9, DIM),
            c=qnn.QuantEmbedding(9, DIM, return_quant_tensor=False),
            quant=plain_identity(),
            qb=plain_identity(),
            add=_Sum(),
        )

    model = seeded(make)
    model.register_buffer("places", torch.arange(LENGTH)[None])
    graph = checked(model)
    assert kinds(graph) == expected
    assert len(np.unique(graph.operations[1].codes)) > 5


def test_constant_ids_without_a_batch() -> None:
    model = Net(
        lambda m, x: m.quant(m.table(m.places)), table=nn.Embedding(9, DIM), quant=identity()
    )
    model.register_buffer("places", torch.arange(LENGTH))
    assert "a constant of shape [5]" in refusal(model, ids_of())


NOT_MOVED: dict[str, tuple[Callable[..., Any], str]] = {
    "quantised": (lambda m, x: m.quant(x), "s32, expected s8 or u8"),
    "added": (lambda m, x: m.quant(x + x), "makes int64 of token ids"),
    "counted": (lambda m, x: m.quant(m.table(x + 1)), "makes int64 of token ids"),
    "taken away": (lambda m, x: m.quant(m.table(VOCABULARY - x)), "makes int64 of token ids"),
    "real": (lambda m, x: m.quant(x.double()), "makes float64 of token ids"),
    "short": (lambda m, x: m.quant(m.table(x.short().long())), "short cannot be mapped"),
    "padded": (lambda m, x: m.quant(m.table(torch.nn.functional.pad(x, (1, 0)))), "s32, expected"),
    "an output": (lambda m, x: (m.quant(m.table(x)), x), "the network's output are its token ids"),
    "moved, an output": (lambda m, x: (m.quant(m.table(x)), x[:, 1:]), "are its token ids"),
    "alone": (lambda m, x: x, "the network's output are its token ids"),
}


@pytest.mark.parametrize("case", NOT_MOVED)
def test_ids_that_meet_something_else(case: str) -> None:
    forward, reason = NOT_MOVED[case]
    model = Net(forward, quant=identity(), table=nn.Embedding(VOCABULARY + 1, DIM))
    assert reason in refusal(model, ids_of())


FILE = """\
import torch
from torch import nn
from brevitas.nn import QuantIdentity, QuantLinear

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = QuantIdentity()
        self.table = nn.Embedding(9, 4)
        self.quant = QuantIdentity(return_quant_tensor=True)
        self.head = QuantLinear(4, 2)

    def forward(self, {signature}):
        {lines}
        return self.head(self.quant(self.table(ids)))
"""


@pytest.mark.parametrize(
    ("signature", "options"),
    [
        ("ids", ("--input-shape", "1,7")),
        ("ids", ()),
        ("ids, x", ("--input-shape", "1,7", "--input-shape", "1,3")),
        ("x, ids", ("--input-shape", "1,3", "--input-shape", "1,7")),
    ],
)
def test_check_finds_integer_inputs(
    signature: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "model.py"
    lines = "x = self.scale(x)" if "x" in signature else "pass"
    path.write_text(FILE.format(signature=signature, lines=lines))
    result = CliRunner().invoke(app, ["check", "--model-file", str(path), *options])
    assert result.exit_code == 0, result.output


def test_check_takes_integers_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    example = "\ndef example_inputs():\n    return (torch.tensor([[0, 8, 3]]),)\n"
    path.write_text(FILE.format(signature="ids", lines="pass") + example)
    result = CliRunner().invoke(app, ["check", "--model-file", str(path)])
    assert result.exit_code == 0, result.output
