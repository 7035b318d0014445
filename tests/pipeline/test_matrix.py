"""Which cells there are, in which order they are computed, which are known already, and what a lost worker costs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ares.pipeline import expectations, schedule
from ares.pipeline.expectations import Expectation
from ares.pipeline.front import Front
from ares.pipeline.jobs import Job
from ares.pipeline.matrix import Matrix
from ares.pipeline.sampling import LARGE, ROUND, Sample
from ares.pipeline.schedule import run_matrix
from ares.toolchain import Needs, Target
from ares.verdict import STAGES, Outcome, Stage, Verdict
from tests.pipeline import matrix_jobs
from tests.pipeline.matrix_runs import Events, HerePool, run
from tests.toolchain.tiny_network import any_target

Patch = pytest.MonkeyPatch


def _target(name: str, *flags: str, emulated: bool = False, **facts: Any) -> Target:
    target = any_target()
    machine = replace(target.machine, runner=("env",) if emulated else ())
    return replace(target, name=name, flags=flags or ("-O2",), machine=machine, **facts)


FAST = _target("fast")
PLAIN = _target("plain", "-O0")
WATCHED = _target("watched", guarded=True)
EMULATED = _target("emulated", emulated=True)
ABSENT = _target("absent", needs=Needs(commands=("no-such-compiler",), debian=("gcc-9",)))


class World:
    """A zoo of subjects that are only names, a store that is a dictionary, work that is written down."""

    folder: Path | None = None

    def __init__(self, macs: dict[str, int], suites: tuple[str, ...] = ()) -> None:
        self.macs = macs
        self.suites = suites
        self.fronts: dict[str, Front] = {}
        self.kept: dict[str, Verdict] = {}
        self.fails: dict[tuple[str, str], Verdict] = {}
        self.jobs: list[Job] = []
        self.versions: dict[str, int] = {}

    # What `schedule` asks of others.

    def files(self, name: str) -> tuple[Path, ...]:
        return () if self.folder is None else (self.folder / name,)

    def front(self, key: str) -> Front | None:
        return self.fronts.get(key)

    def verdict(self, key: str) -> Verdict | None:
        verdict = self.kept.get(key)
        return None if verdict is None else replace(verdict, kept=True)

    def stages(self, name: str) -> tuple[Stage, ...]:
        return tuple(stage for stage in STAGES if not (stage.of_model and name in self.suites))

    def work(self, job: Job) -> tuple[Verdict, ...]:
        self.jobs.append(job)
        if job.kind == "target":
            return ()
        of_front = [stage.name for stage in self.stages(job.subject)]
        stages = of_front if job.kind == "front" else [f"c[{job.target}]"]
        right = [
            Verdict(job.subject, stage, Outcome.PASS, seconds=1.0, target=job.target)
            for stage in stages
        ]
        verdicts = tuple(self.fails.get((v.network, v.stage), v) for v in right)
        passed = all(verdict.outcome is Outcome.PASS for verdict in verdicts)
        if job.kind == "front" and passed:
            self.fronts[job.key] = Front(verdicts, self.macs[job.subject], "", "", ())
        elif job.cell and passed:
            self.kept[job.cell] = verdicts[0]
        return verdicts

    # What tests ask.

    def did(self, kind: str) -> list[tuple[str, str]]:
        return [(job.subject, job.target) for job in self.jobs if job.kind == kind]

    def fail(self, name: str, stage: str, fault: str = "difference", text: str = "text") -> None:
        target = stage.removeprefix("c[").removesuffix("]") if stage.startswith("c[") else ""
        self.fails[name, stage] = Verdict(
            *(name, stage, Outcome.FAIL, text, fault, "conv1"), target=target
        )


ZOO_STAGES = tuple(stage.name for stage in STAGES)
SUITE_STAGES = ("extract", "reference")


class NamedKeys:
    """Keys that name what they are of; a subject of another version has another."""

    def __init__(self, world: World) -> None:
        self.world = world

    def front(self, name: str, files: Any) -> str:
        return f"{name} {self.world.versions.get(name, 0)}"

    def cell(self, front: Front, files: Any, target: Target, only_case: int | None = None) -> str:
        return f"{files} {target.name} {only_case}"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: Patch) -> World:
    """`small` and `large` networks, a `suite`; their files are of that size too."""
    found = World({"small": 10, "large": 2000, "suite": 300}, ("suite",))
    for name, count in found.macs.items():
        (tmp_path / name).write_bytes(bytes(count))
    monkeypatch.setattr(schedule, "Store", lambda: found)
    monkeypatch.setattr(schedule, "Keys", lambda: NamedKeys(found))
    found.folder = tmp_path
    monkeypatch.setattr(schedule, "work", found.work)
    monkeypatch.setattr(schedule, "Workers", lambda _: HerePool())
    return found


NAMES = ("small", "suite", "large")


def _run(world: World, *targets: Target, names: tuple[str, ...] = NAMES, **more: Any) -> Matrix:
    return run(*targets, zoo=world, names=names, **more)


# --- order


def test_targets_then_fronts_then_cells_the_slowest_first(world: World) -> None:
    _run(world, FAST, PLAIN, WATCHED, EMULATED)
    assert [job.kind for job in world.jobs] == ["target"] * 4 + ["front"] * 3 + ["cell"] * 12
    # Emulation costs 12, sanitizers 6, no optimisation 4.
    slowest = ["emulated", "watched", "plain", "fast"]
    assert world.did("target") == [("", name) for name in slowest]
    assert world.did("front") == [("large", ""), ("suite", ""), ("small", "")]
    assert world.did("cell") == [(n, t) for n in ("large", "suite", "small") for t in slowest]


@pytest.mark.parametrize("jobs", [2, 3, 100])
def test_workers_are_kept_busy_and_nothing_is_done_twice(world: World, jobs: int) -> None:
    _run(world, FAST, EMULATED, jobs=jobs)
    assert len(set(world.jobs)) == len(world.jobs) == 2 + 3 + 6


def test_verdicts_come_in_the_order_of_subjects_and_targets(world: World) -> None:
    found = _run(world, FAST, EMULATED, PLAIN)
    cells = [target.stage for target in (FAST, EMULATED, PLAIN)]
    want = [
        *[("small", stage) for stage in (*ZOO_STAGES, *cells)],
        *[("suite", stage) for stage in (*SUITE_STAGES, *cells)],
        *[("large", stage) for stage in (*ZOO_STAGES, *cells)],
    ]
    assert [(verdict.network, verdict.stage) for verdict in found.verdicts] == want
    assert found.subjects == NAMES
    assert found.stages == (*ZOO_STAGES, *cells)
    assert not found.failures
    assert not found.not_run


def test_events_tell_every_computed_verdict_once(world: World) -> None:
    events = Events()
    found = run_matrix(world, NAMES, (FAST, EMULATED), events, 2)
    assert sorted(map(str, events.told)) == sorted(map(str, found.verdicts))
    assert events[0].planned == 2 * len(ZOO_STAGES) + len(SUITE_STAGES) + 3 * 2
    running = {name for event in events for name in event.running}
    assert {"preparing fast", "large", "large fast", "suite emulated"} < running


# --- what is known already


def test_nothing_is_computed_twice_on_the_same_content(world: World) -> None:
    first = _run(world, FAST, EMULATED)
    world.jobs.clear()
    second = _run(world, FAST, EMULATED)
    assert not world.jobs
    assert [v.outcome for v in second.verdicts] == [v.outcome for v in first.verdicts]
    cells = [verdict for verdict in second.verdicts if verdict.stage.startswith("c[")]
    assert all(verdict.kept for verdict in cells)


def test_one_new_target_costs_its_cells_only(world: World) -> None:
    _run(world, FAST, EMULATED)
    world.jobs.clear()
    _run(world, FAST, EMULATED, PLAIN)
    assert world.did("target") == [("", "plain")]
    assert not world.did("front")
    assert {target for _, target in world.did("cell")} == {"plain"}
    assert len(world.did("cell")) == 3


def test_one_changed_subject_costs_its_row_only(world: World) -> None:
    _run(world, FAST, EMULATED)
    world.jobs.clear()
    world.versions["suite"] = 1
    _run(world, FAST, EMULATED)
    assert world.did("front") == [("suite", "")]
    # Its C may still be the same, and then the verdicts on it hold.
    assert not world.did("cell")


def test_fresh_takes_nothing_over(world: World) -> None:
    _run(world, FAST, EMULATED)
    count = len(world.jobs)
    world.jobs.clear()
    found = _run(world, FAST, EMULATED, fresh=True)
    assert len(world.jobs) == count
    assert not any(verdict.kept for verdict in found.verdicts)


def test_what_failed_is_computed_again(world: World) -> None:
    world.fail("small", "c[fast]")
    _run(world, FAST, EMULATED)
    world.jobs.clear()
    world.fails.clear()
    found = _run(world, FAST, EMULATED)
    assert world.did("cell") == [("small", "fast")]
    assert not found.failures


# --- what stands in the way


@pytest.mark.parametrize("stage", ["check", "extract"])
def test_without_a_graph_there_are_no_cells(world: World, stage: str) -> None:
    world.fail("large", stage)
    found = _run(world, FAST, EMULATED)
    own = [verdict for verdict in found.verdicts if verdict.network == "large"]
    assert [verdict.stage for verdict in own] == list(ZOO_STAGES)
    assert [(v.network, v.stage) for v in found.failures] == [("large", stage)]
    assert {name for name, _ in world.did("cell")} == {"small", "suite"}


@pytest.mark.parametrize("stage", ["reference", "torch"])
def test_a_wrong_reference_keeps_nobody_from_comparing_the_c(world: World, stage: str) -> None:
    world.fail("large", stage)
    found = _run(world, FAST, EMULATED)
    assert len([job for job in world.jobs if job.kind == "cell" and job.subject == "large"]) == 2
    # Nothing of it is kept: there is no front to name the content.
    assert all(not job.cell for job in world.jobs if job.subject == "large" and job.kind == "cell")
    assert [(v.network, v.stage) for v in found.failures] == [("large", stage)]
    world.jobs.clear()
    _run(world, FAST, EMULATED)
    assert world.did("front") == [("large", "")]
    assert [name for name, _ in world.did("cell")] == ["large", "large"]


def test_a_missing_target_is_not_run_and_needs_no_work(world: World) -> None:
    found = _run(world, FAST, ABSENT)
    assert {(v.network, v.stage) for v in found.not_run} == {(n, "c[absent]") for n in NAMES}
    for verdict in found.not_run:
        assert verdict.fault == "missing tool"
        assert (
            verdict.message == "no-such-compiler is not on the PATH (Debian: apt-get install gcc-9)"
        )
    assert "absent" not in {job.target for job in world.jobs}
    world.fronts.clear()
    assert len(_run(world, ABSENT).not_run) == 3


def test_the_sample_leaves_cells_out(world: World, monkeypatch: Patch) -> None:
    monkeypatch.setattr("ares.pipeline.sampling.TARGETS", (FAST, PLAIN, EMULATED))
    world.macs["large"] = LARGE + 1
    default = replace(FAST, default=True)
    others = (replace(PLAIN, default=False), replace(EMULATED, default=False))
    monkeypatch.setattr("ares.pipeline.sampling.TARGETS", (default, *others))
    names = ("small", "suite", "large")
    day = 10 * ROUND - 2 - 1  # row 2 meets column 1
    found = _run(world, default, *others, sample=Sample(day, names))
    out = found.having(Outcome.LEFT_OUT)
    assert [(v.network, v.stage, v.fault) for v in out] == [("large", "c[emulated]", "sampled")]
    # On its day a large network runs one case; the default targets run all.
    cases = {job.target: job.only_case for job in world.jobs if job.subject == "large"}
    assert cases == {"": None, "fast": None, "plain": day // ROUND}
    assert {job.only_case for job in world.jobs if job.subject != "large"} == {None}
    assert "next" in out[0].message
    again = _run(world, default, *others, sample=Sample(day - 1, names))  # row 2 meets column 2
    assert {v.stage for v in again.having(Outcome.LEFT_OUT)} == {"c[plain]"}
    assert not _run(world, default, *others).having(Outcome.LEFT_OUT)


# --- expectations


@pytest.fixture
def expected(monkeypatch: Patch) -> Expectation:
    row = Expectation("emulated", "large", "crash", "exit code 99", "known", date(2026, 11, 1))
    judge = expectations.judge
    monkeypatch.setattr(expectations, "judge", lambda v: judge(v, (row,)))
    return row


def test_an_expected_fault_is_judged_before_anybody_hears_of_it(
    world: World, expected: Expectation
) -> None:
    world.fail("large", "c[emulated]", "crash", "exit code 99")
    events = Events()
    found = run_matrix(world, NAMES, (FAST, EMULATED), events, 1)
    assert not found.failures
    (verdict,) = found.having(Outcome.EXPECTED)
    assert (verdict.network, verdict.stage) == ("large", "c[emulated]")
    assert verdict in events.told
    assert not [told for told in events.told if told.outcome is Outcome.FAIL]


def test_an_unexpected_pass_is_a_failure_that_is_told(world: World, expected: Expectation) -> None:
    events = Events()
    found = run_matrix(world, NAMES, (FAST, EMULATED), events, 1)
    assert [verdict.fault for verdict in found.failures] == ["unexpected pass"]
    assert found.failures[0] in events.told


def test_a_kept_verdict_that_is_expected_no_longer_is_computed_again(
    world: World, monkeypatch: Patch
) -> None:
    _run(world, FAST, EMULATED)
    world.jobs.clear()
    row = Expectation("emulated", "large", "crash", "", "new row", date(2026, 11, 1))
    judge = expectations.judge
    monkeypatch.setattr(expectations, "judge", lambda v: judge(v, (row,)))
    found = _run(world, FAST, EMULATED)
    assert world.did("cell") == [("large", "emulated")]
    assert [verdict.fault for verdict in found.failures] == ["unexpected pass"]


# --- patterns


def test_what_failing_targets_share_is_named(world: World) -> None:
    big = _target("big")
    big = replace(big, machine=replace(big.machine, byte_order="big"))
    other = replace(big, name="other", family="clang")
    for target in (big, other):
        world.fail("suite", target.stage)
    found = _run(world, FAST, big, other)
    assert found.patterns == {"suite": ("big-endian",)}


# --- workers that are lost


def _lost(*targets: Target, names: tuple[str, ...], jobs: int, patch: Patch) -> Matrix:
    """In real processes."""
    patch.undo()
    kept = World(dict.fromkeys(names, 0))
    patch.setattr(schedule, "Store", lambda: kept)
    patch.setattr(schedule, "Keys", lambda: NamedKeys(kept))
    patch.setattr(schedule, "work", matrix_jobs.work)
    return _run(kept, *targets, names=names, jobs=jobs)


@pytest.mark.parametrize(("how", "jobs"), [("killed", 1), ("dies", 2)])
def test_a_lost_worker_is_the_failure_of_its_own_job(
    how: str, jobs: int, monkeypatch: Patch
) -> None:
    """With two in flight both are suspects; the innocent one is done again, alone."""
    targets = (_target(how), _target("slow"), FAST)
    found = _lost(*targets, names=("one",), jobs=jobs, patch=monkeypatch)
    (verdict,) = found.failures
    assert (verdict.network, verdict.stage, verdict.fault) == ("one", f"c[{how}]", "worker died")
    assert verdict.message == (
        f"one {how}: a worker process died (killed, or out of memory)\n"
        f"to repeat it: ares networks one --target {how}"
    )
    assert len(found.verdicts) == len(ZOO_STAGES) + 3
    assert len(found.having(Outcome.PASS)) == len(found.verdicts) - 1


def test_a_worker_lost_with_a_front_takes_no_other_front_with_it(monkeypatch: Patch) -> None:
    names = ("dies", "slow", "fine")
    found = _lost(FAST, names=names, jobs=2, patch=monkeypatch)
    assert [(v.network, v.stage, v.fault) for v in found.failures] == [
        ("dies", "check", "worker died")
    ]
    assert [v.stage for v in found.verdicts if v.network == "dies"] == ["check"]
    assert len(found.having(Outcome.PASS)) == 2 * (len(ZOO_STAGES) + 1)


def test_a_worker_lost_while_a_target_is_prepared_loses_no_cell(monkeypatch: Patch) -> None:
    targets = (_target("prepare-dies"), FAST)
    found = _lost(*targets, names=("one",), jobs=2, patch=monkeypatch)
    assert len(found.having(Outcome.PASS)) == len(found.verdicts) == len(ZOO_STAGES) + 2


class BreakingPool(HerePool):
    """A worker dies between two jobs, while nobody waits for it: that shows when the next one is handed over."""

    def __init__(self, left: list[int]) -> None:
        self.left = left

    def submit(self, work: Callable[[Job], Any], job: Job) -> Future[Any]:
        self.left[0] -= 1
        if self.left[0] == 0:
            raise BrokenProcessPool
        return super().submit(work, job)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("when", [1, 2, 3, 5, 6, 11])
def test_a_pool_that_is_broken_already_costs_nothing(
    world: World, monkeypatch: Patch, when: int, jobs: int
) -> None:
    left = [when]
    monkeypatch.setattr(schedule, "Workers", lambda _: BreakingPool(left))
    found = _run(world, FAST, EMULATED, jobs=jobs)
    assert left[0] < 0 or when == 11
    assert len(found.having(Outcome.PASS)) == len(found.verdicts) == 2 * 4 + 2 + 6
