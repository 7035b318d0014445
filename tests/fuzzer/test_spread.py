"""Seeds on a Dask cluster of two processes of this machine, one of which is killed midway."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from distributed import LocalCluster

from ares.fuzzer.campaign import Campaign, Tally
from ares.fuzzer.findings import Judged
from ares.fuzzer.spread import Spread
from ares.pipeline.cluster import Cluster, connected
from tests.fuzzer.targets import quickest

KILLS, RAISES = 3, 5
# Two that cannot be in one process.
ENEMIES = {9, 10}


@pytest.fixture(name="cluster", scope="module")
def cluster_fixture() -> Iterator[Cluster]:
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with (
        LocalCluster(protocol="tcp", **options) as local,
        connected(local.scheduler_address) as found,
    ):
        assert found is not None
        yield found


@pytest.mark.slow
def test_a_worker_that_is_killed_midway_loses_no_seed(cluster: Cluster) -> None:
    killed: list[int] = []

    def kill_one(_: Tally) -> None:
        if not killed:
            killed.append(next(iter(cluster.everywhere(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    target = quickest().name
    campaign = Campaign(1, 12, (target,), 4, cluster=cluster)
    found = campaign.run(kill_one)
    assert killed
    here = Campaign(1, 12, (target,), 0).run(lambda _: None)
    assert (found.done, found.accepted, found.cases, found.layers, found.findings) == (
        here.done,
        here.accepted,
        here.cases,
        here.layers,
        {},
    )


def _odd_work(seeds: tuple[int, ...], targets: tuple[str, ...]) -> tuple[Judged, ...]:
    if KILLS in seeds:
        os.kill(os.getpid(), signal.SIGKILL)
    if RAISES in seeds or set(seeds) >= ENEMIES:
        raise ZeroDivisionError
    return tuple(Judged(seed) for seed in seeds)


def test_the_seed_that_kills_or_raises_is_found_alone(cluster: Cluster) -> None:
    spread = Spread(cluster, _odd_work, (), lambda _: 120.0)
    found = {each.seed: each for each in spread.run(iter([(1, 2, 3), (4, 5), (6,)]), lambda: False)}
    assert sorted(found) == [1, 2, 3, 4, 5, 6]
    symptoms = {seed: each.finding.symptom for seed, each in found.items() if each.finding}
    assert symptoms == {KILLS: "worker: crash", RAISES: "worker: ZeroDivisionError"}


def test_what_fails_only_together_is_found(cluster: Cluster) -> None:
    spread = Spread(cluster, _odd_work, (), lambda _: 120.0)
    found = list(spread.run(iter([(9, 10), (11, 12)]), lambda: False))
    assert sorted(each.seed for each in found) == [9, 10, 11, 12]
    (symptom,) = (each.finding.symptom for each in found if each.finding)
    assert symptom == "worker: ZeroDivisionError of a batch"


def test_a_seed_that_does_not_end_is_found(cluster: Cluster) -> None:
    spread = Spread(cluster, _sleep, (), lambda _: 1.0)
    (found,) = spread.run(iter([(8,)]), lambda: False)
    assert found.finding is not None
    assert found.finding.symptom == "worker: timeout"


def _sleep(seeds: tuple[int, ...], targets: tuple[str, ...]) -> tuple[Judged, ...]:
    import time

    time.sleep(3)
    return tuple(Judged(seed) for seed in seeds)
