"""The matrix on a Dask cluster of two processes of this machine: the same verdicts, also when one is killed midway."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster
from typer.testing import CliRunner

from ares.cli.app import app
from ares.pipeline import cluster as cluster_module
from ares.pipeline.catalogue import Zoo
from ares.pipeline.cluster import Cluster, ClusterError, JobKilledWorkers, connected
from ares.pipeline.jobs import Job, hindrances, work_elsewhere
from ares.pipeline.matrix import Event, Matrix
from ares.pipeline.schedule import run_matrix
from ares.toolchain import TARGETS, ToolchainError
from ares.verdict import Outcome
from tests.toolchain.tiny_network import any_target

ROOT = Path(__file__).resolve().parents[2]
NETWORK, SUITE = "test_37_zeropad2d", "ops_sz"
TARGET = any_target()


@pytest.fixture(name="local", scope="module")
def local_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Workers with a cache of their own, as on another machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARES_CACHE_DIR", str(tmp_path_factory.mktemp("theirs")))
        with _local(n_workers=2) as local:
            yield local


@pytest.fixture(name="address")
def address_fixture(local: LocalCluster) -> str:
    local.wait_for_workers(2, timeout=60)  # a test may have killed some
    address: str = local.scheduler_address
    return address


def _local(**facts: Any) -> LocalCluster:
    return LocalCluster(
        **{"threads_per_worker": 1, "dashboard_address": ":0", "protocol": "tcp", **facts}
    )


@pytest.fixture(name="ours")
def ours_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARES_CACHE_DIR", str(tmp_path / "ours"))
    return tmp_path / "ours"


def _matrix(cluster: Cluster, tell: Callable[[Event], None] = lambda _: None) -> Matrix:
    return run_matrix(Zoo(ROOT), (NETWORK, SUITE), (TARGET,), tell, cluster=cluster)


@pytest.mark.usefixtures("ours")
def test_a_worker_that_is_killed_midway_loses_nothing(address: str) -> None:
    killed: list[int] = []
    with connected(address) as cluster:
        assert cluster is not None

        def kill_one(event: Event) -> None:
            if event.running and not killed:
                killed.append(next(iter(cluster.everywhere(os.getpid).values())))
                os.kill(killed[0], signal.SIGKILL)

        found = _matrix(cluster, kill_one)
        assert killed
        assert killed[0] not in cluster.everywhere(os.getpid).values()
    assert not found.failures, [verdict.message for verdict in found.failures]
    cells = [verdict for verdict in found.verdicts if verdict.target]
    assert [(cell.network, cell.outcome) for cell in cells] == [
        (NETWORK, Outcome.PASS),
        (SUITE, Outcome.PASS),
    ]
    # Fronts came back: this machine needs no torch for them any more.
    again = run_matrix(Zoo(ROOT), (NETWORK,), (), lambda _: None)
    assert all(verdict.kept for verdict in again.verdicts)
    assert again.verdicts


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_job_that_kills_its_workers_fails_alone(address: str) -> None:
    with connected(address) as cluster:
        assert cluster is not None
        fatal, harmless = cluster.submit(_die), cluster.submit(os.getpid)
        assert harmless.result(60) > 0
        with pytest.raises(JobKilledWorkers):
            fatal.result(120)


def test_what_a_job_raises_is_raised_here(address: str) -> None:
    with connected(address) as cluster:
        assert cluster is not None
        with pytest.raises(ZeroDivisionError):
            cluster.submit(divmod, 1, 0).result(60)


def test_targets_are_judged_by_what_the_workers_have(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = replace(TARGET, name="absent-here")
    with connected(address) as cluster:
        assert cluster is not None
        found = cluster.everywhere(hindrances, [TARGET.name])
        assert list(found.values()) == [{TARGET.name: (None, None)}] * 2
        monkeypatch.setattr(
            cluster, "everywhere", lambda *_: {"tcp://it": {absent.name: (None, "no gcc")}}
        )
        matrix = run_matrix(Zoo(ROOT), (SUITE,), (absent,), lambda _: None, cluster=cluster)
    (verdict,) = matrix.not_run
    assert verdict.message == "tcp://it: no gcc"
    assert TARGET in TARGETS


def test_another_ares_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "sources", lambda: "another")
    with pytest.raises(ClusterError, match=r"worker tcp://.*: it has another ARES"):
        Cluster(address)


def test_another_checkout_is_refused(address: str) -> None:
    job = Job("front", "run", Zoo(ROOT), 0.0, SUITE, key="of other files")
    with connected(address) as cluster:
        assert cluster is not None
        with pytest.raises(ToolchainError, match=f"has other files of {SUITE}"):
            cluster.submit(work_elsewhere, job, None).result(60)


def test_a_worker_with_threads_is_refused() -> None:
    local = _local(n_workers=1, threads_per_worker=2)
    with local, pytest.raises(ClusterError, match="has 2 threads, expected 1"):
        Cluster(local.scheduler_address)


def test_a_scheduler_without_workers_is_refused() -> None:
    local = _local(n_workers=0)
    with local, pytest.raises(ClusterError, match="has no workers; start some: dask worker"):
        Cluster(local.scheduler_address)


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:9", "nonsense://127.0.0.1", "", "127.0.0.1:port"]
)
def test_no_scheduler_is_one_line(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_PATIENCE", 1)
    ended = CliRunner().invoke(app, ["networks", NETWORK, "--scheduler", address])
    assert ended.exit_code == 2
    (line,) = ended.stderr.strip().splitlines()
    assert f"no Dask scheduler answers at {address}" in line
    assert line.endswith("start one: dask scheduler")


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setattr(cluster_module, "find_spec", lambda _: None)
    with pytest.raises(ClusterError, match=r"pip install 'ares-codegen\[cluster\]'"):
        Cluster("tcp://127.0.0.1:8786")
