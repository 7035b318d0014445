"""A network trained with 2 bits keeps its accuracy in C: BatchNorm is taken in, the trained integers stay as they are.

Folding BatchNorm into these weights leaves a tenth of the answers right.
"""

from __future__ import annotations

from collections.abc import Iterator

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from ares.emit import emit
from ares.extract import extract
from ares.plan import plan
from ares.toolchain import build, run
from tests.extract.models import fast_target

HELD_OUT = 1500


def _digits() -> tuple[Tensor, Tensor]:
    data = load_digits()
    return torch.tensor(data.images).float().reshape(-1, 64) / 8 - 1, torch.tensor(data.target)


def _layers() -> Iterator[nn.Module]:
    yield qnn.QuantIdentity(return_quant_tensor=True)
    for _ in range(3):
        yield qnn.QuantLinear(64, 64, bias=False, weight_bit_width=2)
        yield nn.BatchNorm1d(64)
        yield qnn.QuantReLU(bit_width=2, return_quant_tensor=True)
    yield qnn.QuantLinear(64, 10, bias=True, weight_bit_width=8)


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    torch.manual_seed(0)
    model, (x, y) = nn.Sequential(*_layers()), _digits()
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(4):
        for rows in torch.randperm(HELD_OUT).split(50):
            loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model.eval()


def test_the_c_answers_as_the_model_does(trained: nn.Module) -> None:
    x, y = (part[HELD_OUT:] for part in _digits())
    graph = extract(trained, [x[:1]], "digits")
    project = emit(plan(graph))
    cases = [[sample[None].numpy()] for sample in x]
    traces = run(build(project, fast_target()), project, cases)
    logits = np.concatenate([trace.outputs[0] for trace in traces])
    with torch.no_grad():
        meant = trained(x).numpy()
    right = float((meant.argmax(axis=1) == y.numpy()).mean())
    assert right > 0.8, "the model has learned nothing that could be lost"
    # An answer may differ only where the two best of the model's own float32 run are one number.
    best = np.sort(meant, axis=1)
    decided = best[:, -1] - best[:, -2] > 1e-5
    assert decided.mean() > 0.99
    assert (logits.argmax(axis=1) == meant.argmax(axis=1))[decided].all()


def test_the_trained_integers_are_in_the_graph(trained: nn.Module) -> None:
    graph = extract(trained, [_digits()[0][:1]], "digits")
    weights = {op.path: op.weight for op in graph.operations if hasattr(op, "weight")}
    layers = {path: m for path, m in trained.named_modules() if isinstance(m, qnn.QuantLinear)}
    assert set(weights) == set(layers)
    for path, layer in layers.items():
        assert np.array_equal(weights[path], layer.quant_weight().int().numpy())
        assert np.unique(weights[path]).size > 2
