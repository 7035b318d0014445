"""Mutants that are claimed equivalent: each has a reason, and is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ares.mutator.campaign import Wanted, draw
from ares.mutator.equivalent import FILE, ClaimsError, claims, stale
from tests.checkout import ROOT


def test_every_claim_is_of_a_mutant_that_is_there() -> None:
    claimed = claims(ROOT)
    for name in claimed:
        file = name.partition(":")[0]
        drawn = draw("python" if file.endswith(".py") else "c", Wanted(ROOT, (file,), sample=1))
        assert not stale({name: ""}, drawn.names, drawn.files), (
            f"{name}: look at its function again"
        )


def test_a_claim_that_is_gone_is_named() -> None:
    claimed = {"a.c:f:sign:0:12345678": "why", "b.c:f:sign:0:12345678": "why"}
    assert stale(claimed, ["a.c:f:sign:0:87654321"], ["a.c"]) == ["a.c:f:sign:0:12345678"]


@pytest.mark.parametrize(
    "text", ["[[claim]]\nmutants = ['x']", "[[claim]]\nreason = 'why'", "[[claim"]
)
def test_a_claim_without_a_reason_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ClaimsError):
        claims(tmp_path)
