"""A share of a campaign's graphs is judged by variants, bytes and relations, and a campaign tells what they see."""

from __future__ import annotations

from typing import Any

import pytest

import ares.fuzzer.crosschecks as crosschecks
import ares.plan.planner as planner
from ares.fuzzer.campaign import Campaign, Tally
from ares.fuzzer.crosschecks import BYTES_EVERY, RELATION_EVERY, VARIANT_EVERY
from ares.fuzzer.relations import Checked
from ares.fuzzer.summary import lines_of
from tests.fuzzer.targets import quickest


def _campaign(first: int, graphs: int = 1) -> Tally:
    return Campaign(first, graphs, (quickest().name,), 0).run(lambda _tally: None)


def _symptoms(tally: Tally) -> list[str]:
    return sorted(tally.findings)


def test_a_plan_that_overlaps_where_it_does_not_ship(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffers in a drawn order lie at one place: only variants are planned so."""

    def together(buffers: Any, _guard: int = 0) -> Any:
        return {each.name: 0 for each in buffers}, max(
            (each.aligned for each in buffers), default=0
        )

    monkeypatch.setattr(planner, "place_in_turn", together)
    tally = Tally(0, 0, ())
    for first in range(VARIANT_EVERY, 20 * VARIANT_EVERY, VARIANT_EVERY):
        tally = _campaign(first)
        if tally.findings:
            break
    (symptom,) = _symptoms(tally)
    assert symptom.startswith("crosscheck: a variant differs in OP_")
    (finding,) = tally.firsts
    assert "places" in finding.message
    assert f"ares fuzz --graphs 1 --seed {finding.seed} --target" in finding.message
    assert symptom in "\n".join(line.plain for line in lines_of(tally))


def test_memory_by_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places that hang on what layers are called: other bytes, and the integers are right."""
    right = planner._offsets

    def offsets(buffers: Any, guard: int, choices: Any) -> Any:
        if len(buffers) < 2:
            return right(buffers, guard, choices)
        return planner.place_in_turn(sorted(buffers, key=lambda each: each.name), guard)

    monkeypatch.setattr(planner, "_offsets", offsets)
    found = {
        symptom for turn in range(1, 6) for symptom in _symptoms(_campaign(turn * BYTES_EVERY + 1))
    }
    assert found == {"crosscheck: other bytes of the same Graph"}


def test_a_relation_that_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the seeds that have their turn, those that have a relation, and no others."""
    monkeypatch.setattr(
        crosschecks, "check", lambda related, seed, targets: Checked(related.name, "it differs")
    )
    first = 10 * RELATION_EVERY + 1
    tally = _campaign(first)
    assert not tally.findings
    seeds = range(2, 8 * RELATION_EVERY, RELATION_EVERY)
    found = [symptom for seed in seeds for symptom in _symptoms(_campaign(seed))]
    assert found
    assert all(symptom.startswith("crosscheck: relation ") for symptom in found)


def test_what_fails_in_a_crosscheck_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_arguments: Any) -> Any:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(crosschecks, "variants", fails)
    found = {
        symptom for turn in range(1, 4) for symptom in _symptoms(_campaign(turn * VARIANT_EVERY))
    }
    assert found == {"crosscheck: variants: ZeroDivisionError"}
