"""Networks that people have: a quick sample is judged here, all of them by `tools/record_models.py`."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ares.documents.markdown import GENERATED
from ares.documents.pages.models import EXACT, SUMMARY, models_page, read_summary
from ares.toolchain import select
from tests.models.catalogue import MODELS
from tests.models.judging import judge
from tests.slow import slow_but
from tools.record_models import main

ROOT = Path(__file__).resolve().parents[2]
# The smallest of each kind: binary everything, ternary weights, graph mode with shared quantisers.
QUICK = ("tfc_1w1a", "tfc_2w2a", "squeezenet1_1+advice")


def _require(name: str) -> None:
    """torchvision is an extra of its own: it goes with one version of torch."""
    if MODELS[name].group == "torchvision" and importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed: pip install -e .[models]")


@pytest.mark.parametrize("name", slow_but([0], QUICK))
def test_quick_sample_is_exact(name: str) -> None:
    _require(name)
    row = judge(replace(MODELS[name], samples=1), select(["gcc-O2"]))
    assert row["verdict"] == EXACT, row["reasons"]
    assert row["exact"] == ["gcc-O2"]
    assert row["agreement"]["equal_codes"] > 0
    assert set(row["seconds"]) == {"build", "check", "verify"}


@pytest.mark.slow
def test_what_brevitas_leaves_behind_is_refused_with_a_reason() -> None:
    _require("squeezenet1_1")
    row = judge(replace(MODELS["squeezenet1_1"], samples=1), ())
    assert row["verdict"] == "refused"
    reason = row["reasons"][0]
    assert "observer_only" in reason["reason"]
    assert "observer_only = False" in reason["advice"]
    assert reason["layer"] == "features.3.expand1x1_activation"


def test_a_model_that_brevitas_cannot_run_is_no_refusal() -> None:
    def broken() -> Any:
        raise AttributeError("'bool' object has no attribute 'any'")

    row = judge(replace(MODELS["tfc_2w2a"], build=broken), ())
    assert row["verdict"] == "does not run"
    (reason,) = row["reasons"]
    assert reason["reason"] == "AttributeError: 'bool' object has no attribute 'any'"


@pytest.fixture(scope="module")
def recorded() -> Mapping[str, Mapping[str, Any]]:
    return {row["name"]: row for row in read_summary(ROOT)["models"]}


def test_every_network_is_recorded_or_named_as_absent(recorded: Mapping[str, Any]) -> None:
    absent = read_summary(ROOT)["absent"]
    assert list(recorded) == [name for name in MODELS if name not in absent]
    assert set(absent) < set(MODELS), "python tools/record_models.py NAME ... records them"
    for name, row in recorded.items():
        model = MODELS[name]
        assert (row["group"], row["advice"], tuple(row["shape"])) == (
            model.group,
            model.advice,
            model.shape,
        )


def test_what_was_accepted_is_exact(recorded: Mapping[str, Any]) -> None:
    verdicts = {name: row["verdict"] for name, row in recorded.items()}
    assert set(verdicts.values()) <= {EXACT, "refused", "does not run"}, verdicts
    for name, row in recorded.items():
        assert (row["verdict"] == EXACT) == (not row["reasons"]), name


def test_of_torchvision_at_least_eight_are_exact(recorded: Mapping[str, Any]) -> None:
    """Of ten networks; resnet18 and mobilenet_v2 also at full size."""
    exact = {
        name.removesuffix("+advice")
        for name, row in recorded.items()
        if row["group"] == "torchvision" and row["verdict"] == EXACT
    }
    assert {"resnet18@224", "mobilenet_v2@224"} <= exact
    assert len({name for name in exact if "@" not in name}) >= 8


def test_advice_that_was_followed_works(recorded: Mapping[str, Any]) -> None:
    advised = {name: row["verdict"] for name, row in recorded.items() if row["advice"]}
    assert advised
    assert set(advised.values()) == {EXACT}, advised


def test_page_says_why() -> None:
    summary = {
        "date": "2026-01-02",
        "versions": {"torch": "9.9"},
        "targets": ["gcc-O2"],
        "models": [
            {
                "name": "thing",
                "group": "torchvision",
                "advice": "",
                "shape": [3, 64, 64],
                "verdict": "refused",
                "layers": 7,
                "reasons": [
                    {
                        "type": "Conv2d",
                        "reason": "two\nlines",
                        "advice": "change it",
                        "layer": "a.b",
                        "count": 3,
                    }
                ],
                "seconds": {"build": 1.5, "check": 0.5},
                "processor_seconds": 2.5,
                "peak_mib": [12, 0],
            }
        ],
    }
    page = models_page(summary)
    assert GENERATED in page
    assert "1 rows: 1 refused." in page
    assert "| `thing` | 3x64x64 | 7 | refused |  |  |  |  | 1.5 | 0.5 |  | 2.5 | 12 |  |" in page
    assert "- `thing`: refused\n  - `a.b` (Conv2d): two; lines (3 such); advice: change it" in page


def test_summary_is_plain_json(recorded: Mapping[str, Any]) -> None:
    text = (ROOT / SUMMARY).read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=1) + "\n"
    assert recorded


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(["--list"], 0, "mobilenet_v2@224", id="list"),
        pytest.param(["mobilenet_v9"], 2, "unknown network 'mobilenet_v9'", id="unknown"),
    ],
)
def test_command(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert says in captured.out + captured.err
