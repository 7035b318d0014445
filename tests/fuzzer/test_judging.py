"""What becomes of a recipe: accepted, refused with a reason, or a finding with a symptom that is stable."""

from __future__ import annotations

from typing import Any

import pytest

import ares.fuzzer.judging as judging
from ares.fuzzer.batch import judge_batch
from ares.fuzzer.judging import judge, plain, prepare
from ares.fuzzer.keeping import folder_name, keep
from ares.fuzzer.recipe import InputSpec, Node, Recipe
from ares.ops.linear import Linear
from ares.plan import PlanError
from tests.fuzzer.targets import quickest


def _recipe(*behind: Node, outputs: int = 3) -> Recipe:
    quant = {"bits": 8, "scale": 0.0625, "scaling": "const"}
    linear = {"out": 3, "unit": 0.03125, "weights": "uniform", "bias": "float", "weight_bits": 8}
    nodes = (
        Node("q", "quant", (0,), quant),
        Node("f", "linear", (1,), linear),
        Node("r", "quant_relu", (2,), {**quant, "signed": False}),
        *behind,
    )
    return Recipe(4, (InputSpec((1, 5)),), nodes, (outputs,))


def test_a_graph_that_all_witnesses_accept() -> None:
    found = judge(_recipe(), [quickest()])
    assert found.finding is None
    assert found.accepted
    assert found.cases == 6
    assert found.layers == 6 * 3  # two layers and an output
    assert found.operations == {"OP_REQUANTIZE": 1, "OP_LINEAR_INT8": 1}


def test_several_at_once_are_judged_as_one_by_one() -> None:
    target = quickest()
    recipes = [
        _recipe(),
        _recipe(outputs=2),
        _recipe(Node("s", "softmax", (3,), {"axis": 1}), outputs=4),
    ]
    one_by_one = [judge(recipe, [target]) for recipe in recipes]
    for alone, together in zip(one_by_one, judge_batch(recipes, [target]), strict=True):
        assert (alone.refusal, alone.finding, alone.layers) == (
            together.refusal,
            together.finding,
            together.layers,
        )
    assert one_by_one[2].refusal  # softmax behind which no quantiser comes


def test_a_refusal_has_a_reason_without_numbers() -> None:
    front = prepare(_recipe(Node("x", "unary", (1,), {"function": "gelu"}), outputs=4))
    assert front.judged is not None
    assert not front.judged.accepted
    assert front.judged.finding is None
    assert not any(character.isdigit() for character in front.judged.refusal)


def test_a_difference_of_the_c(monkeypatch: Any, tmp_path: Any) -> None:
    """The Graph that the C is made of has other weights: the reference and torch do not agree with it."""
    real = Linear.lower

    def lower(self: Any, site: Any) -> Any:
        from dataclasses import replace

        return real(replace(self, weight=-self.weight), site)

    monkeypatch.setattr(Linear, "lower", lower)
    target = quickest()
    found = judge(_recipe(), [target]).finding
    assert found is not None
    assert found.symptom == "c: difference: OP_LINEAR_INT8"
    assert (found.target, found.layer) == (target.name, "f")
    place = keep(found, (target.name,), tmp_path / "out", _recipe())
    assert place.name == folder_name(found)
    assert {file.name for file in place.iterdir()} == {
        "finding.txt",
        "recipe.json",
        "reduced.json",
        "c",
    }
    assert (place / "c" / "reproduce.sh").is_file()
    assert "c: difference: OP_LINEAR_INT8" in (place / "finding.txt").read_text()


def test_an_exception_is_a_finding_named_by_its_place(monkeypatch: Any) -> None:
    def fails(*_: Any) -> Any:
        raise KeyError("n17")

    monkeypatch.setattr(Linear, "reference", fails)
    found = judge(_recipe(), []).finding
    assert found is not None
    assert found.symptom == "extract: KeyError in ops/_reference.run_reference"
    assert "KeyError" in found.message


def test_an_error_after_check_is_a_finding(monkeypatch: Any) -> None:
    """What `check` has called compatible must come as far as its C."""

    def fails(*_: Any, **__: Any) -> Any:
        raise PlanError("drawn: n3 has 17 bytes too many")

    monkeypatch.setattr("ares.pipeline.subject.plan", fails)
    found = judge(_recipe(), []).finding
    assert found is not None
    assert found.symptom == "emit: PlanError in pipeline/subject.project"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("n3 has 17 codes, -128..127", "n12#1 has 4 codes, 0..15"),
        ("'n3' is [1, 2, 3]", "'n4.proj' is [1, 2]"),
        ("scale 1.25e-07 of n3", "scale -4 of n45.quant"),
    ],
)
def test_messages_of_one_fault_are_one(one: str, other: str) -> None:
    assert plain(one) == plain(other)


def test_the_name_of_drawn_networks_is_in_no_symptom() -> None:
    assert judging.NAME not in plain(f"{judging.NAME}: it failed")
