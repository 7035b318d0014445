"""Large networks take turns on targets, by a rule that leaves nothing out for longer than a round."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date

import pytest

from ares.pipeline.network import NetworkSubject
from ares.pipeline.sampling import LARGE, ROUND, TABLE_A, Sample
from ares.toolchain import TARGETS, Target, default_targets
from tests.checkout import ZOO

KNOWN = ZOO.subjects
OTHERS = [target for target in TARGETS if not target.default]
HUGE = 10 * LARGE
# The convolutional and dense table of the zoo, by number.
DENSE = (*range(1, 11), 27, 28, 30, *range(36, 42))
DAYS = [739_000, date(2026, 11, 29).toordinal(), 1]


def _number(name: str) -> int | None:
    found = re.match(r"test_(\d+)_", name)
    return int(found[1]) if found else None


def _meets(day: int, network: str) -> set[str]:
    sample = Sample(day, KNOWN)
    return {t.name for t in TARGETS if sample.left_out(network, t, HUGE) is None}


@pytest.mark.parametrize("start", DAYS)
def test_every_pair_comes_round_exactly_once_in_a_round(start: int) -> None:
    pairs = Counter(
        (network, target)
        for day in range(start, start + ROUND)
        for network in KNOWN
        if network not in TABLE_A
        for target in _meets(day, network)
    )
    defaults = {target.name for target in default_targets()}
    assert len(pairs) == (len(KNOWN) - len(TABLE_A)) * len(TARGETS)
    for (_, target), count in pairs.items():
        assert count == (ROUND if target in defaults else 1)


@pytest.mark.parametrize("day", range(DAYS[0], DAYS[0] + ROUND))
def test_the_load_of_a_day_is_one_in_a_round(day: int) -> None:
    """Of the targets a few; of the networks likewise, so that no day is a day off for anybody."""
    networks = [network for network in KNOWN if network not in TABLE_A]
    met = {
        network: _meets(day, network) - {t.name for t in default_targets()} for network in networks
    }
    sizes = {len(targets) for targets in met.values()}
    assert sizes <= {len(OTHERS) // ROUND, -(-len(OTHERS) // ROUND)}
    by_target = Counter(target for targets in met.values() for target in targets)
    assert set(by_target) == {target.name for target in OTHERS}
    assert min(by_target.values()) >= len(networks) // ROUND - 1
    assert max(by_target.values()) <= -(-len(networks) // ROUND) + 1


def test_default_targets_and_the_dense_table_are_never_left_out() -> None:
    for day in range(DAYS[1], DAYS[1] + ROUND):
        sample = Sample(day, KNOWN)
        for target in TARGETS:
            for network in TABLE_A:
                assert sample.left_out(network, target, HUGE) is None
            assert sample.left_out("test_26_tinymyo_8ch_400tok", target, LARGE) is None
            if target.default:
                assert sample.left_out("test_26_tinymyo_8ch_400tok", target, HUGE) is None


def test_a_pair_runs_the_next_case_each_time() -> None:
    """All cases of a golden come round, whatever their number."""
    network, target = "test_26_tinymyo_8ch_400tok", OTHERS[3]
    days = [
        day
        for day in range(DAYS[1], DAYS[1] + 5 * ROUND)
        if Sample(day, KNOWN).left_out(network, target, HUGE) is None
    ]
    turns = [Sample(day, KNOWN).only_case(network, target, HUGE) for day in days]
    assert len(turns) == 5
    assert turns[0] is not None
    assert turns == list(range(turns[0], turns[0] + 5))


def test_what_takes_no_turns_runs_all_cases() -> None:
    network, day = "test_26_tinymyo_8ch_400tok", DAYS[1]
    for target in TARGETS:
        for name, macs in ((network, LARGE), (TABLE_A[0], HUGE)):
            assert Sample(day, KNOWN).only_case(name, target, macs) is None
        assert Sample(None, KNOWN).only_case(network, target, HUGE) is None
        case = Sample(day, KNOWN).only_case(network, target, HUGE)
        assert (case is None) == target.default


def test_large_begins_behind_the_limit() -> None:
    network, target = "test_26_tinymyo_8ch_400tok", OTHERS[0]
    out = [
        Sample(day, KNOWN).left_out(network, target, LARGE + 1)
        for day in range(DAYS[0], DAYS[0] + ROUND)
    ]
    assert out.count(None) == 1


def test_without_a_day_nothing_is_left_out() -> None:
    sample = Sample(None, KNOWN)
    assert all(sample.left_out(KNOWN[0], target, HUGE) is None for target in TARGETS)


@pytest.mark.parametrize("target", [OTHERS[0], OTHERS[5], OTHERS[-1]], ids=lambda t: t.name)
def test_the_message_names_the_day_on_which_it_runs(target: Target) -> None:
    network = "test_14_multiblock_transformer"
    start = DAYS[1]
    waits = set()
    for day in range(start, start + ROUND):
        reason = Sample(day, KNOWN).left_out(network, target, 142_200_064)
        if reason is None:
            continue
        found = re.fullmatch(
            r"142 M multiply-accumulates: sampled, next (tomorrow|in (\d) days); --all-cells runs it now",
            reason,
        )
        assert found, reason
        wait = int(found[2] or 1)
        assert wait > 1 or found[1] == "tomorrow"
        waits.add(wait)
        assert Sample(day + wait, KNOWN).left_out(network, target, HUGE) is None
        for sooner in range(1, wait):
            later = Sample(day + sooner, KNOWN)
            assert later.left_out(network, target, HUGE) is not None
    assert waits == set(range(1, ROUND))


def test_table_a_holds_every_large_network_of_the_dense_table() -> None:
    """The largest two say it for all: one lies above the limit and is named, the next one lies below."""
    dense = [name for name in KNOWN if _number(name) in DENSE]
    assert [_number(name) for name in dense] == sorted(DENSE)
    assert set(TABLE_A) <= set(dense)
    macs = {
        name: NetworkSubject(ZOO.paths(name)).macs for name in dense if _number(name) in (27, 41)
    }
    assert macs == {"test_27_linear3d_bench": 117_966_144, "test_41_large_depthwise": 43_878_912}
    assert {name for name, count in macs.items() if count > LARGE} == set(TABLE_A)
