"""Targets of one's own from Python: Targets among names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

import ares
from ares.toolchain import Target, select
from tests.door.models import TARGET, normal

X = normal(1, 1, 8, 8)


@pytest.fixture
def own() -> Target:
    """A target that no table holds, but that works here as one of ours does."""
    (ours,) = select([TARGET])
    return replace(ours, name="mine")


def test_a_target_alone_and_among_names(pooled: nn.Module, own: Target) -> None:
    assert ares.verify(pooled, X, targets=own, cases=1).exact_targets == ("mine",)
    result = ares.verify(pooled, X, targets=[TARGET, own], cases=1)
    assert set(result.exact_targets) == {"mine", TARGET}


def test_one_that_cannot_be_used_is_not_run(pooled: nn.Module, own: Target) -> None:
    broken = replace(own, name="broken", unusable="it is at the repair shop")
    result = ares.verify(pooled, X, targets=[own, broken], cases=1)
    assert result.passed
    assert "c[broken] not run: it is at the repair shop" in str(result)
    alone = ares.verify(pooled, X, targets=broken, cases=1)
    assert not alone.passed
    assert alone.summary.startswith("NOT VERIFIED: ")


def test_two_of_one_name(pooled: nn.Module, own: Target) -> None:
    other = replace(own, flags=(*own.flags, "-DOTHER"))
    with pytest.raises(ares.AresError, match="two different ones called mine"):
        ares.verify(pooled, X, targets=[own, other])


def test_the_rows_of_a_file(empty: Path, own: Target) -> None:
    compiler = " ".join(own.compiler)
    text = f"[targets.a]\ncompiler = '{compiler} -O1'\n[targets.b]\ncompiler = 'nonesuch-cc'\n"
    (empty / "targets.toml").write_text(text)
    found = ares.read_targets("targets.toml")
    assert [(target.name, bool(target.unusable)) for target in found] == [("a", False), ("b", True)]


def test_a_failure_says_how_to_repeat_it(pooled: nn.Module, own: Target) -> None:
    broken = replace(own, flags=(*own.flags, "-ffast-math"))
    result = ares.verify(pooled, X, targets=broken, cases=1)
    assert not result.passed
    assert "to repeat it: ares.verify(model, example_inputs, targets=[mine])" in str(result)
