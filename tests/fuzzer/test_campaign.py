"""Many seeds: workers that die or hang, time limits, interrupts, and what is told in the end."""

from __future__ import annotations

from typing import Any

import pytest

import ares.fuzzer.campaign as campaign
from ares.fuzzer.campaign import Campaign, Tally
from ares.fuzzer.findings import Judged
from ares.fuzzer.summary import lines_of, unreached, verdict
from tests.fuzzer import dying
from tests.fuzzer.targets import quickest


def _silent(_tally: Tally) -> None:
    pass


def _text(tally: Tally) -> str:
    return "\n".join(line.plain for line in lines_of(tally))


def test_a_worker_that_dies_or_hangs_costs_its_seed_only(monkeypatch: Any) -> None:
    monkeypatch.setattr(campaign, "work", dying.work)
    monkeypatch.setattr(campaign, "_ready", dying.ready)
    monkeypatch.setattr(campaign, "_is_late", lambda seeds, since: False)
    monkeypatch.setattr(campaign, "BATCH", 5)
    tally = Campaign(1, 20, ("tcc",), 2).run(_silent)
    assert tally.done == 20
    assert set(tally.findings) == {"torch: difference: OP_ADD", "worker: crash"}
    assert [each.seed for each in tally.findings["worker: crash"]] == [dying.CRASHES]
    monkeypatch.setattr(campaign, "_is_late", lambda seeds, since: dying.HANGS in seeds)
    monkeypatch.setattr(campaign, "SECONDS_A_SEED", 8.0)
    tally = Campaign(dying.HANGS, 2, ("tcc",), 1).run(_silent)
    assert tally.done == 2
    assert [each.seed for each in tally.findings["worker: timeout"]] == [dying.HANGS]


def test_what_fails_only_together_is_found(monkeypatch: Any) -> None:
    monkeypatch.setattr(campaign, "work", dying.work)
    monkeypatch.setattr(campaign, "_ready", dying.ready)
    tally = Campaign(min(dying.ENEMIES), 2, ("tcc",), 1).run(_silent)
    assert tally.done == 2
    (finding,) = tally.findings["worker: ZeroDivisionError of a batch"]
    assert finding.message.startswith("seeds 31 to 32 together: ")
    assert "dying.py" in finding.message  # the traceback of the worker
    assert finding.message.endswith("to repeat it: ares fuzz --graphs 2 --seed 31")


def test_what_is_told_of_findings(monkeypatch: Any) -> None:
    monkeypatch.setattr(campaign, "work", dying.work)
    tally = Campaign(1, 8, ("tcc",), 0).run(_silent)
    text = _text(tally)
    assert "FOUND   1x torch: difference: OP_ADD" in text
    assert "first seed 5: ares fuzz --graphs 1 --seed 5 --target tcc" in text
    assert verdict(tally).plain == "FOUND: 1 of 8 graphs are wrong, 1 symptom"


def test_a_time_limit_ends_it_with_what_is_known(monkeypatch: Any) -> None:
    monkeypatch.setattr(
        campaign, "work", lambda seeds, targets: [Judged(s, layers=1) for s in seeds]
    )
    monkeypatch.setattr(campaign, "_is_over", lambda limit, grace=0.0: True)
    tally = Campaign(1, 100, (), 0, 1.0).run(_silent)
    assert tally.done == 3
    assert verdict(tally).plain.startswith("NONE FOUND: 3 graphs of 100 (stopped)")


def test_an_interrupt_is_noted(monkeypatch: Any) -> None:
    def work(seeds: Any, _targets: Any) -> list[Judged]:
        if 60 in seeds:
            raise KeyboardInterrupt
        return [Judged(seed, layers=1) for seed in seeds]

    monkeypatch.setattr(campaign, "work", work)
    tally = Campaign(1, 100, (), 0).run(_silent)
    assert tally.interrupted
    assert 0 < tally.done < 100
    assert "(interrupted)" in verdict(tally).plain


def test_refusals_are_counted_by_reason() -> None:
    tally = Tally(1, 3, ("tcc",))
    for seed, refusal in enumerate(("GELU: no", "GELU: no", "")):
        tally.take(
            Judged(seed, refusal=refusal, layers=0 if refusal else 4, operations={"OP_ADD": 1})
        )
    text = _text(tally)
    assert "refused by check, with a reason: 2 (67 %)" in text
    assert "    2  GELU: no" in text
    assert "OP_ADD" not in unreached(tally)
    assert "OP_MUL" in unreached(tally)


def test_nothing_compared_is_no_success() -> None:
    tally = Tally(1, 1, ("tcc",))
    tally.take(Judged(1, refusal="GELU: no"))
    assert verdict(tally).plain.startswith("NOTHING COMPARED")


@pytest.mark.parametrize(
    ("graphs", "jobs", "sizes"),
    [(1, 1, [1]), (50, 2, [3, 3, 6, 6, 12, 12, 8]), (10, 4, [3, 3, 3, 1])],
)
def test_batches(graphs: int, jobs: int, sizes: list[int]) -> None:
    batches = list(Campaign(7, graphs, (), jobs)._batches())
    assert [len(batch) for batch in batches] == sizes
    assert [seed for batch in batches for seed in batch] == list(range(7, 7 + graphs))


def test_three_hundred_graphs() -> None:
    """What `ares fuzz --graphs 300 --seed 1` judges: nothing is found, and most graphs are accepted."""
    tally = Campaign(1, 300, (quickest().name,), 0).run(_silent)
    assert not tally.findings, _text(tally)
    assert tally.done == 300
    assert tally.accepted >= 255
    assert tally.layers > 5000
