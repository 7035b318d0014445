"""The torch witness judges each code on its own, accepts what the model means and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ares.ir import Graph
from ares.pipeline.network import NetworkSubject
from ares.witness import (
    EXACT_BITS,
    WEIGHT_EPS,
    Judgement,
    Witness,
    WitnessError,
    _true_ties,
    as_real,
)
from ares.witness_float32 import free_running
from tests.witness.planting import (
    copy_network,
    one_code_changed,
    prepared,
    with_golden,
    write_network,
)

Array = np.ndarray


@pytest.fixture(scope="module")
def simple(tmp_path_factory: pytest.TempPathFactory) -> NetworkSubject:
    return prepared(copy_network("test_1_simplecnn", tmp_path_factory.mktemp("simple")))


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> NetworkSubject:
    return prepared(with_golden(write_network(tmp_path_factory.mktemp("probe"))))


def test_an_input_turned_round_in_an_axis_of_one() -> None:
    """numpy calls it contiguous, with its negative stride, which torch does not take."""
    turned = np.arange(4, dtype=np.float32).reshape(1, 1, 4)[:, ::-1]
    assert np.ascontiguousarray(turned).strides[1] < 0
    assert as_real(turned, torch.float64).tolist() == [[[0.0, 1.0, 2.0, 3.0]]]


def test_eps_of_weights_is_what_a_division_in_float32_may_round() -> None:
    """Of the largest codes, and not many times as much."""
    draw = np.random.Generator(np.random.Philox(5))
    scale = draw.uniform(0.001, 1.0, 100_000).astype(np.float32)
    weight = (scale * draw.uniform(64.0, 127.5, scale.size)).astype(np.float32)
    exact = weight.astype(np.float64) / scale.astype(np.float64)
    largest = float(np.abs((weight / scale).astype(np.float64) - exact).max())
    assert WEIGHT_EPS / 4 < largest < WEIGHT_EPS


def _judge(
    session: NetworkSubject,
    changes: Mapping[str, Array] | None = None,
    graph: Graph | None = None,
    model: Any = None,
    case: int = 0,
) -> tuple[Judgement, ...]:
    """The witness on one case, with other arrays for some tensors."""
    inputs = session.golden.cases[case].inputs
    tensors = {**session.expected(case), **(changes or {})}
    witness = Witness(model or session.model, graph or session.graph)
    return witness.judge(inputs, tensors)


def _rejected(judgements: tuple[Judgement, ...]) -> list[str]:
    return [judgement.tensor for judgement in judgements if not judgement.accepted]


# --- accepts what is right


def test_every_tensor_and_every_weight_is_judged(simple: NetworkSubject) -> None:
    judgements = _judge(simple)
    assert _rejected(judgements) == []
    produced = [tensor.name for _, tensor in simple.graph.produced()]
    assert {judgement.tensor for judgement in judgements} == set(produced)
    weights = [judgement.tensor for judgement in judgements if judgement.of_weights]
    assert weights == ["conv1", "conv2", "fc"]
    assert Witness(simple.model, simple.graph).unjudged() == ()


def test_cases_judged_together_as_alone(simple: NetworkSubject) -> None:
    alone = [_judge(simple, case=case) for case in range(3)]
    for judgement, *apart in zip(simple.judgements, *alone, strict=True):
        assert {(one.tensor, one.event) for one in apart} == {(judgement.tensor, judgement.event)}
        if judgement.tensor != "fc":  # logits: torch sums a batch in another order
            assert judgement.deviation == max(one.deviation for one in apart)


def test_judging_changes_neither_model_nor_goldens(simple: NetworkSubject) -> None:
    model = simple.model
    before = {key: value.clone() for key, value in model.state_dict().items()}
    inputs = simple.network.example_inputs()
    output = model(*inputs)
    stored = {name: array.tobytes() for name, array in simple.expected(0).items()}
    _judge(simple)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert torch.equal(model(*inputs), output)
    assert {name: array.tobytes() for name, array in simple.expected(0).items()} == stored
    assert next(model.parameters()).dtype == torch.float32


# --- rejects what is wrong


@pytest.mark.parametrize("name", ["quant_in", "conv1", "pool1", "conv2", "pool2", "flatten"])
@pytest.mark.parametrize("by", [1, -1])
def test_a_code_off_by_one_is_rejected_where_it_is(
    simple: NetworkSubject, name: str, by: int
) -> None:
    """And where it is used: what follows was computed from another code, but is not drawn along."""
    array = simple.expected(0)[name]
    index = tuple(int(i) for i in np.argwhere((array > 1) & (array < 126))[0])
    judgements = _judge(simple, {name: one_code_changed(array, index, by)})
    rejected = _rejected(judgements)
    assert rejected[0] == name
    first = next(judgement for judgement in judgements if not judgement.accepted)
    assert first.index == index
    assert first.code == array[index].item() + by
    order = [tensor.name for _, tensor in simple.graph.produced()]
    consumer = order[order.index(name) + 1]
    assert set(rejected) <= {name, consumer}


def test_a_float_output_off_by_little(simple: NetworkSubject) -> None:
    array = simple.expected(0)["fc"]
    index = (0, int(np.abs(array[0]).argmax()))
    factor = np.ones_like(array)
    factor[index] += np.float32(2.0**-20)
    assert _rejected(_judge(simple, {"fc": array * factor})) == ["fc"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_float_output_that_is_no_number(simple: NetworkSubject, value: float) -> None:
    array = simple.expected(0)["fc"].copy()
    array[0, 3] = value
    judgements = _judge(simple, {"fc": array})
    assert _rejected(judgements) == ["fc"]
    assert judgements[-1].index == (0, 3)


def test_a_model_that_gives_no_number(simple: NetworkSubject) -> None:
    model = copy.deepcopy(simple.model)
    with torch.no_grad():
        model.fc.bias[4] = float("nan")
        model.conv1.bias[2] = float("nan")
    judgements = _judge(simple, model=model)
    assert _rejected(judgements) == ["conv1", "fc"]
    assert next(j for j in judgements if not j.accepted).index[1] == 2


def test_nothing_that_is_no_number_is_accepted() -> None:
    for deviation in (float("nan"), float("inf")):
        assert not Judgement("t", "e", 1, deviation, 0.5, (0,), 0.0, 0.0).accepted
    assert Judgement("t", "e", 1, 0.5, 0.5, (0,), 0.0, 0.0).accepted


# --- ties


def test_only_the_even_code_of_a_true_tie(probe: NetworkSubject) -> None:
    """Both neighbours are half a code away; the model rounds to the even one."""
    wrong = _other_neighbour(probe)
    assert wrong
    for case, index, code in wrong:
        array = probe.expected(case)["average"].copy()
        array[index] = code
        judgements = _judge(probe, {"average": array}, case=case)
        first = next(judgement for judgement in judgements if not judgement.accepted)
        assert (first.tensor, first.index, first.deviation) == ("average", index, 0.5)
        assert first.real % 1.0 == 0.5


def _other_neighbour(probe: NetworkSubject) -> list[tuple[int, tuple[int, ...], int]]:
    """Case, place and the odd code of one tie upwards and one downwards, computed here."""
    found: dict[int, tuple[int, tuple[int, ...], int]] = {}
    source, result = probe.graph.tensor("conv"), probe.graph.tensor("average")
    assert source.scale is not None
    assert result.scale is not None
    for case in range(3):
        conv = probe.expected(case)["conv"].astype(np.int64)
        sums = conv.reshape(1, 6, 4, 2, 6, 2).sum(axis=(3, 5))
        eighths = (sums * (source.scale / result.scale) / 4 * 8).astype(np.int64)
        for place in np.argwhere((eighths % 8 == 4) & (np.abs(eighths) < 8 * 120)):
            index = tuple(int(i) for i in place)
            below = int(eighths[index]) // 8
            odd = below if below % 2 else below + 1
            found.setdefault(odd - below, (case, index, odd))
    return list(found.values())


def test_what_counts_as_a_true_tie() -> None:
    argument = np.array([0.5, 0.25, 0.75, -0.5, 0.0, 12.5])
    meant = argument / 0.5
    assert _true_ties(argument, 0.5, meant).tolist() == [False, True, True, False, False, False]
    # No power of two, or something was rounded on the way: a tie may be an accident.
    assert not _true_ties(argument, 0.3, np.full(6, 0.5)).any()
    rounded = argument + np.array([0, 0, 0, 0, 0.1, 0])
    assert not _true_ties(rounded, 0.5, meant).any()
    long = np.array([0.25, 1.0 + 2.0 ** -(EXACT_BITS + 1)])
    assert not _true_ties(long, 0.5, long / 0.5).any()
    # A small number has few bits, however small it is; infinity is none to stumble over.
    extremes = np.array([0.25, 1e-45, -1e30, np.inf], np.float32).astype(np.float64)
    meant = np.clip(extremes / 0.5, -128, 127)
    assert _true_ties(extremes, 0.5, meant).tolist() == [True, False, False, False]
    extremes[3] = np.nan
    assert not _true_ties(extremes, 0.5, extremes / 0.5).any()


# --- cannot do its work


@pytest.mark.parametrize(
    "origin", ["quantizer:nowhere#0", "quantizer:relu1.act_quant#1", "node:no#0"]
)
def test_an_event_that_does_not_happen(simple: NetworkSubject, origin: str) -> None:
    tensors = tuple(
        replace(tensor, origins=(*tensor.origins, origin)) if tensor.name == "conv1" else tensor
        for tensor in simple.graph.tensors
    )
    with pytest.raises(WitnessError, match=f"{origin} did not happen in the forward pass"):
        _judge(simple, graph=replace(simple.graph, tensors=tensors))


def test_another_shape_is_not_reshaped(simple: NetworkSubject) -> None:
    array = simple.expected(0)["conv2"].transpose(0, 1, 3, 2).reshape(1, 32, 7, 28)
    says = r"conv2 is \[1, 32, 7, 28\] in the golden, \[1, 32, 14, 14\] in the model"
    with pytest.raises(WitnessError, match=says):
        _judge(simple, {"conv2": array})
    flat = simple.expected(0)["flatten"].reshape(1, 32, 49)
    with pytest.raises(WitnessError, match=r"flatten is \[1, 32, 49\]"):
        _judge(simple, {"flatten": flat})


def test_weights_that_the_model_does_not_have(simple: NetworkSubject) -> None:
    operations = tuple(
        replace(operation, name="conv9") if operation.name == "conv2" else operation
        for operation in simple.graph.operations
    )
    with pytest.raises(WitnessError, match="no quantised weights at 'conv9'"):
        _judge(simple, graph=replace(simple.graph, operations=operations))


def test_a_weight_that_rounds_as_well_but_is_not_the_models(simple: NetworkSubject) -> None:
    operations = tuple(
        replace(operation, weight=one_code_changed(operation.weight, (3, 2, 1, 0)))
        if operation.name == "conv2"
        else operation
        for operation in simple.graph.operations
    )
    judgements = _judge(simple, graph=replace(simple.graph, operations=operations))
    assert _rejected(judgements) == ["conv2"]
    rejected = next(judgement for judgement in judgements if not judgement.accepted)
    assert rejected.of_weights
    assert rejected.index == (3, 2, 1, 0)


def test_a_forward_that_fails_in_float64(simple: NetworkSubject) -> None:
    model = copy.deepcopy(simple.model)
    forward = model.forward

    def failing(x: torch.Tensor) -> torch.Tensor:
        if x.dtype == torch.float64:
            raise TypeError("only float32 here")
        return forward(x)

    model.forward = failing
    with pytest.raises(WitnessError, match="only float32 here"):
        _judge(simple, model=model)


# --- without teacher forcing


def test_free_running_gives_codes_and_real_outputs(simple: NetworkSubject) -> None:
    found = free_running(
        simple.model, simple.graph, simple.golden.cases[0].inputs, ["conv1", "flatten", "fc"]
    )
    assert np.array_equal(found["conv1"], np.rint(found["conv1"]))
    assert np.abs(found["conv1"] - simple.expected(0)["conv1"]).max() <= 1
    real, golden = found["fc"], simple.expected(0)["fc"]
    assert real.argmax() == golden.argmax()
    assert not np.array_equal(real, np.rint(real))


def test_free_running_leaves_the_model_alone(simple: NetworkSubject) -> None:
    model = simple.model
    before = {key: value.clone() for key, value in model.state_dict().items()}
    free_running(model, simple.graph, simple.golden.cases[0].inputs, ["fc"])
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert next(model.parameters()).dtype == torch.float32
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("name", ["conv1", "nowhere"])
def test_free_running_without_an_event(simple: NetworkSubject, name: str) -> None:
    tensors = tuple(
        replace(tensor, origins=()) if tensor.name == "conv1" else tensor
        for tensor in simple.graph.tensors
    )
    with pytest.raises(WitnessError, match=f"nothing in the model shows {name}"):
        free_running(
            simple.model,
            replace(simple.graph, tensors=tensors),
            simple.golden.cases[0].inputs,
            ["fc", name],
        )
