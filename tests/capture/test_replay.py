"""`ares.capture`: adversarial models are replayed bit-exactly on other inputs, with the nodes that `MODELS` says."""

from __future__ import annotations

import pytest
import torch

from ares.capture import capture, structural_changes
from tests.capture.models import MODELS, calibrated, noise
from tests.capture.replaying import replay, tensors_of, value_of


@pytest.mark.parametrize("name", [name for name in MODELS if name != "data-dependent if"])
def test_replays_bit_exactly(name: str) -> None:
    build, shapes, keys = MODELS[name]
    torch.manual_seed(5)
    model = calibrated(build(), *shapes)
    flow = capture(model, noise(shapes, 1))
    assert flow.problems == ()
    assert [node.key for node in flow.nodes] == keys.split()
    assert flow.dead == ()
    for seed in (2, 3):
        inputs = noise(shapes, seed)
        with torch.no_grad():
            expected = [value_of(t) for t in tensors_of(model(*(t.clone() for t in inputs)))]
        got = replay(flow, inputs)
        assert len(got) == len(expected) == len(flow.output_names)
        for ours, theirs in zip(got, expected, strict=True):
            assert torch.equal(ours, theirs)
            assert ours.unique().numel() > 2, "a constant output shows nothing"


@pytest.mark.parametrize("name", MODELS)
def test_keys_and_structure_are_stable(name: str) -> None:
    build, shapes, _ = MODELS[name]
    model = calibrated(build(), *shapes)
    first, second = (capture(model, [t.abs() for t in noise(shapes, seed)]) for seed in (1, 2))
    assert [node.key for node in first.nodes] == [node.key for node in second.nodes]
    assert len({node.key for node in first.nodes}) == len(first.nodes)
    assert structural_changes(first, second) == ()
