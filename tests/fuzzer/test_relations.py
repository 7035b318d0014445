"""Relations between models: each holds on drawn models, and each kind of fault that they are for is seen by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import brevitas.nn as qnn
import numpy as np
import pytest
import torch

import ares.extract.concat as concatenating
import ares.witness as witnessing
from ares.extract import extract
from ares.fuzzer.drawing import draw
from ares.fuzzer.recipe import InputSpec, Node, Recipe
from ares.fuzzer.relations import (
    MODEL_RELATIONS,
    RECIPE_RELATIONS,
    Checked,
    Related,
    Unrelated,
    changed,
    check,
    drawn_pair,
)
from ares.fuzzer.relations.drawn import Chain, Drawn
from ares.ir import graph_digest
from ares.ops import run_reference
from ares.ops._convolution import Convolution
from ares.witness import Judgement, Witness
from tests.slow import slow_but
from tests.toolchain.tiny_network import any_target

SEEDS = 6


def _seeds(names: Sequence[str]) -> list[tuple[str, int]]:
    return [(name, seed) for seed in range(SEEDS) for name in names]


# --- they hold


@pytest.mark.parametrize(
    ("name", "seed"), slow_but(range(len(MODEL_RELATIONS)), _seeds(list(MODEL_RELATIONS)))
)
def test_pairs_of_models(name: str, seed: int) -> None:
    """Both models are accepted, the C agrees, and the integers are as the relation says."""
    _require(check(drawn_pair(seed, name), seed, [any_target()]))


# Small recipes of which each relation can change something.

_QUANT = {"bits": 8, "signed": True, "scale": 1.0 / 64, "scaling": "const"}
_CONV = {
    "out": 4,
    "kernel": 3,
    "weight_kind": "int",
    "weight_bits": 8,
    "per_channel": True,
    "unit": 0.01,
}


def _recipe(seed: int) -> Recipe:
    """Two layers, of which the first is called twice, joined in two ways; no sum has more than one rounding.

    Both pad; the padding of the first is not to be had as a layer, for who shares it would lose it.
    """
    nodes = (
        Node("q", "quant", (0,), {**_QUANT, "plain": True}),
        Node("a", "conv2d", (1,), {**_CONV, "padding": 1, "out": 3, "bias": "float"}),
        Node("r", "quant_relu", (2,), {**_QUANT, "signed": False, "plain": True}),
        Node("b", "conv2d", (3,), {"same_as": "a"}),
        Node("s", "quant", (4,), {**_QUANT, "scale": 0.03, "plain": True}),
        Node("sum", "add", (3, 5), {}),
        Node("t", "quant", (6,), {**_QUANT, "scale": 0.05, "plain": True}),
        Node("join", "quant_concat", (5, 7), {**_QUANT, "scale": 0.06, "axis": 1}),
        Node("end", "conv2d", (8,), {**_CONV, "kernel": 2, "padding": 1}),
        Node("out", "quant", (9,), {**_QUANT, "scale": 0.1, "plain": True}),
    )
    return Recipe(seed, (InputSpec((1, 3, 6, 5)),), nodes, (10, 5))


def _chain(seed: int) -> Recipe:
    """What the relation of halves needs: nothing passes by."""
    recipe = _recipe(seed)
    behind = (
        Node("c", "conv2d", (3,), _CONV),
        Node("d", "quant", (4,), _QUANT),
        Node("e", "conv2d", (5,), {**_CONV, "kernel": 1}),
        Node("f", "quant", (6,), _QUANT),
    )
    return Recipe(seed, recipe.inputs, (*recipe.nodes[:3], *behind), (7,))


@pytest.mark.parametrize(
    ("name", "seed"), slow_but(range(len(RECIPE_RELATIONS)), _seeds(list(RECIPE_RELATIONS)))
)
def test_changed_recipes(name: str, seed: int) -> None:
    recipe = _chain(seed) if name == "halves" else _recipe(seed)
    _require(check(changed(recipe, seed, name), seed, [any_target()]))


@pytest.mark.parametrize("seed", slow_but([0, 1], [(seed,) for seed in range(60)]))
def test_drawn_recipes(seed: int) -> None:
    """Whatever relation can be applied; what ARES refuses shows nothing."""
    try:
        related = changed(draw(seed), seed)
    except Unrelated:
        return
    assert check(related, seed, [any_target()]).difference == ""


def _require(found: Checked) -> None:
    assert (found.difference, found.refused) == ("", "")
    assert found.compared > 0


# --- batches


def _batch(seed: int) -> tuple[torch.nn.Module, torch.Tensor]:
    d = Drawn(seed, "batch")
    model = Chain(d.quant(), d.layer(qnn.QuantConv2d, 2, 3, 3, padding=1), d.quant(8.0))
    return model, torch.cat([d.example(2, 4, 5)[0] for _ in range(3)])


def test_a_batch_is_the_network_of_its_first_item() -> None:
    model, batch = _batch(0)
    digests = {graph_digest(extract(model, (batch[:count],), "net")) for count in (1, 2, 3)}
    assert len(digests) == 1


def _items_alone_and_together() -> tuple[list[Judgement], list[Judgement]]:
    """What the witness says of every layer: of its worst item, judged alone, and of all items in one forward pass."""
    model, batch = _batch(1)
    graph = extract(model, (batch,), "net")
    witness = Witness(model, graph)
    items = [[item[None].numpy()] for item in batch]
    tensors = [run_reference(graph, item) for item in items]
    names = [tensor.name for _, tensor in graph.produced()]
    alone = [witness.judge(i, t) for i, t in zip(items, tensors, strict=True)]
    stacked = {name: np.concatenate([t[name] for t in tensors]) for name in names}
    together = witness.judge([batch.numpy()], stacked)
    worst = [max(found, key=lambda one: one.deviation) for found in zip(*alone, strict=True)]
    return worst, list(together)


def test_items_alone_and_in_a_batch() -> None:
    """Each item's codes lie where the model puts them, alone and among others, by the same."""
    alone, together = _items_alone_and_together()
    assert [one.deviation for one in alone] == [one.deviation for one in together]
    assert all(one.accepted for one in together)
    assert together


# --- faults planted on purpose


def _seen(name: str, seeds: range = range(4)) -> str:
    """What a relation of models says; "" where it holds on all seeds."""
    found = (_difference(drawn_pair(seed, name), seed) for seed in seeds)
    return next((difference for difference in found if difference), "")


def _difference(related: Related, seed: int) -> str:
    return check(related, seed, []).difference


def test_scales_of_channels_that_stay_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights in their new order, multipliers in the old: of two models with permuted channels one is wrong."""
    right = Convolution.sums

    def sums(self: Any, site: Any, codes: Any) -> Any:
        found = right(self, site, codes)
        order = np.argsort(self.weight.reshape(len(self.weight), -1).sum(axis=1), kind="stable")
        return found[:, order]  # as if the rows had been sorted, and their scales not

    monkeypatch.setattr(Convolution, "sums", sums)
    assert "is not what the relation says" in _seen("permuted channels")
    assert "is not what the relation says" in _seen("channels moved before the quantiser")


def test_a_part_by_the_table_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part of a concatenation by the first part's way to the result: reference and C agree, both wrong."""
    right = concatenating._table
    first: dict[int, Any] = {}

    def table(tensor: Any, quantizer: Any, own_grid: bool) -> Any:
        return right(first.setdefault(id(quantizer), tensor), quantizer, own_grid)

    monkeypatch.setattr(concatenating, "_table", table)
    assert "is not what the relation says" in _seen("nested concatenation")
    found = _difference(changed(_recipe(0), 0, "parts exchanged"), 0)
    assert "is not what the relation says" in found


def test_an_item_that_reads_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a batch the second item is the first one's."""
    right = witnessing.as_real

    def as_real(array: Any, dtype: Any) -> Any:
        found = right(array, dtype).clone()
        found[1:2] = found[:1]
        return found

    monkeypatch.setattr(witnessing, "as_real", as_real)
    alone, together = _items_alone_and_together()
    assert all(one.accepted for one in alone)
    assert not all(one.accepted for one in together)
