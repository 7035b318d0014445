"""Random models through every witness and the C, on fixed seeds; more with ARES_RANDOM_MODELS=FIRST:LAST."""

from __future__ import annotations

import os

import pytest

from ares.ops import operations
from tests.extract.models import checked, kinds, seeded
from tests.extract.random_models import RandomModel

_FIRST, _LAST = map(int, os.environ.get("ARES_RANDOM_MODELS", "0:5").split(":"))
ALL_OPERATIONS = (0, 4, 31, 45, 51, 92, 97, 123)
"""Seeds whose models have all of them: sought, and checked below."""
LEAVES = {
    *("attention_context", "attention_scores", "constant", "conv1d_depthwise", "embedding"),
    *("average_fp32", "matmul", "matmul_softmax", "rfft", "rotary", "selective_scan"),
}
"""What layers of `ares.nn`, attention and tables are made of, and an average that ends a network: random models have
none of these. Their own tests join them in every way."""
STEPS = 14


def _model(seed: int) -> RandomModel:
    model = seeded(lambda: RandomModel(seed, STEPS), seed)
    assert isinstance(model, RandomModel)
    return model


@pytest.mark.parametrize("seed", range(_FIRST, _LAST))
def test_random_model(seed: int) -> None:
    model = _model(seed)
    checked(model, model.input_shape, c=True)


def test_every_operation() -> None:
    found: set[str] = set()
    for seed in ALL_OPERATIONS:
        model = _model(seed)
        found |= set(kinds(checked(model, model.input_shape, c=True)))
    assert found == set(operations()) - LEAVES
