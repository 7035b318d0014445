"""The work of a run itself, on a checkout of its own: what is kept, what is made again, what a fault costs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ares.emit import project as project_module
from ares.pipeline import jobs as jobs_module
from ares.pipeline import keys as keys_module
from ares.pipeline import schedule
from ares.pipeline.catalogue import Zoo
from ares.pipeline.front import Store
from ares.pipeline.jobs import Job
from ares.pipeline.matrix import Matrix
from ares.pipeline.schedule import run_matrix
from ares.pipeline.subject import Subject
from ares.toolchain import Cache, Target, selection
from ares.toolchain import ingredients as ingredients_module
from ares.verdict import Outcome, Verdict
from tests.pipeline.fake_checkout import NAME, make_checkout, probe_paths
from tests.pipeline.matrix_runs import Events, HerePool, run
from tests.slow import slow_but
from tests.toolchain.tiny_network import any_target
from tests.witness.planting import flip_byte

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def checkout(original: Path, tmp_path: Path, monkeypatch: Patch) -> Path:
    root = tmp_path / "checkout"
    shutil.copytree(original, root)
    monkeypatch.setattr(schedule, "Workers", lambda _: HerePool())
    monkeypatch.setattr(selection, "TARGETS", TWO)
    kept = Store(Cache(tmp_path / "cache"))
    for module in (schedule, jobs_module):
        monkeypatch.setattr(module, "Store", lambda: kept)
    return root


REAL = any_target()
TWO = (REAL, replace(REAL, name="digests", trace="digests"))


@pytest.fixture
def computed(monkeypatch: Patch) -> list[Job]:
    jobs: list[Job] = []
    real = schedule.work

    def noted(job: Job) -> tuple[Verdict, ...]:
        jobs.append(job)
        return real(job)

    monkeypatch.setattr(schedule, "work", noted)
    return jobs


def _real(checkout: Path, **more: Any) -> Matrix:
    return run(*TWO, zoo=Zoo(checkout), names=(NAME,), **more)


def _kinds(jobs: list[Job]) -> list[str]:
    found = [job.kind for job in jobs]
    jobs.clear()
    return found


ALL = ["target", "target", "front", "cell", "cell"]


def test_a_real_run_is_green_once_and_then_known(checkout: Path, computed: list[Job]) -> None:
    first = _real(checkout)
    assert [v.outcome for v in first.verdicts] == [Outcome.PASS] * 6, first.verdicts
    assert not any(verdict.kept for verdict in first.verdicts)
    assert _kinds(computed) == ALL
    second = _real(checkout)
    assert not computed
    assert [replace(v, kept=False, seconds=0) for v in second.verdicts] == [
        replace(v, seconds=0) for v in first.verdicts
    ]
    assert all(verdict.kept for verdict in second.verdicts)
    assert not any(verdict.kept for verdict in _real(checkout, fresh=True).verdicts)
    assert _kinds(computed) == ALL


def test_a_golden_that_is_changed_is_looked_at(checkout: Path, computed: list[Job]) -> None:
    _real(checkout)
    computed.clear()
    golden = probe_paths(checkout).golden
    flip_byte(min(golden.glob("case_*")), -1)
    found = _real(checkout)
    assert "front" in _kinds(computed)
    assert found.failures


def test_a_graph_that_is_gone_is_made_again(
    checkout: Path, computed: list[Job], tmp_path: Path
) -> None:
    """The cache drops what nobody asked for in a fortnight, and a kept front asks for no Graph."""
    _real(checkout)
    computed.clear()
    shutil.rmtree(tmp_path / "cache" / "graph")
    shutil.rmtree(tmp_path / "cache" / "verdict")
    assert not _real(checkout).failures
    assert _kinds(computed) == ALL
    _real(checkout)
    assert not computed


@pytest.mark.slow
def test_files_that_change_during_the_run_are_not_kept_under_the_old_key(
    checkout: Path, computed: list[Job], monkeypatch: Patch
) -> None:
    """Else going back to the old content would find the new content's verdicts."""
    source = probe_paths(checkout).source
    text = source.read_text(encoding="utf-8")
    begin = jobs_module._from_the_beginning.__wrapped__

    def while_somebody_edits(*what: Any) -> Any:
        source.write_text(text + "\n# edited\n", encoding="utf-8")
        return begin(*what)

    with monkeypatch.context() as patch:
        patch.setattr(jobs_module, "_from_the_beginning", while_somebody_edits)
        run_matrix(Zoo(checkout), (NAME,), TWO, Events(), 1)
    source.write_text(text, encoding="utf-8")
    computed.clear()
    found = _real(checkout)
    assert "front" in _kinds(computed)
    assert not found.failures


@pytest.mark.parametrize("what", slow_but([0], ["runtime", "judge", "assembler"]))
def test_a_verdict_on_what_was_edited_during_the_run_is_not_kept(
    what: str, checkout: Path, computed: list[Job], monkeypatch: Patch
) -> None:
    """The run is planned; then somebody edits what is compiled, what judges, or the compiler's own parts."""
    files, contents = project_module.runtime_files, keys_module._contents
    facts = ingredients_module.file_fact

    def edited_runtime() -> dict[str, bytes]:
        return {path: content + b"/* edited */\n" for path, content in files().items()}

    def while_somebody_edits(subject: Subject, target: Target, *more: Any) -> Verdict:
        if what == "runtime":
            patch.setattr(project_module, "runtime_files", edited_runtime)
        elif what == "judge":
            patch.setattr(keys_module, "_contents", lambda paths: [*contents(paths), "edited"])
        else:
            patch.setattr(ingredients_module, "file_fact", lambda path: facts(path) + " edited")
        return real(subject, target, *more)

    real = Subject.target
    _real(checkout)  # the front and both verdicts are known
    kept = [v.stage for v in _real(checkout).verdicts if v.kept]
    assert len(kept) == 6
    shutil.rmtree(checkout.parent / "cache" / "verdict")
    computed.clear()
    with monkeypatch.context() as patch:
        patch.setattr(Subject, "target", while_somebody_edits)
        assert not _real(checkout).failures
        assert _kinds(computed) == ALL[:2] + ALL[3:]
    again = _real(checkout)
    assert [v.stage for v in again.verdicts if not v.kept] == [target.stage for target in TWO]


@pytest.mark.slow
def test_a_fresh_run_builds_programs_anew(
    checkout: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setenv("ARES_CACHE_DIR", str(tmp_path / "own"))

    def made() -> list[Any]:
        records = sorted((tmp_path / "own").glob("*-*/*/record.json"))
        return [json.loads(record.read_text(encoding="utf-8"))["made"] for record in records]

    _real(checkout)
    first = made()
    assert len(first) == 4  # a library and a program a target
    shutil.rmtree(tmp_path / "cache")
    _real(checkout)
    assert made() == first
    assert not _real(checkout, fresh=True).failures
    assert len(made()) == 4
    assert min(made()) > max(first)


@pytest.mark.slow
def test_a_verdict_that_is_wrong_now_is_forgotten(
    checkout: Path, computed: list[Job], monkeypatch: Patch
) -> None:
    """A fresh run that fails where an earlier one passed has the last word."""
    _real(checkout)
    subject = Subject
    with monkeypatch.context() as patch:
        failed = Verdict(NAME, TWO[1].stage, Outcome.FAIL, "text", "crash", target="digests")
        real = subject.target
        patch.setattr(
            subject, "target", lambda s, t, *more: failed if t is TWO[1] else real(s, t, *more)
        )
        assert [v.stage for v in _real(checkout, fresh=True).failures] == ["c[digests]"]
    computed.clear()
    assert not _real(checkout).failures
    assert [(job.kind, job.target) for job in computed if job.kind == "cell"] == [
        ("cell", "digests")
    ]


def test_an_exception_is_one_cells_failure(
    checkout: Path, computed: list[Job], monkeypatch: Patch
) -> None:
    real = jobs_module._cell

    def broken(job: Job) -> Verdict:
        if job.target == "digests":
            raise ZeroDivisionError("nobody thought of this")
        return real(job)

    monkeypatch.setattr(jobs_module, "_cell", broken)
    found = _real(checkout)
    (verdict,) = found.failures
    assert (verdict.stage, verdict.fault) == ("c[digests]", "exception")
    first, *rest = verdict.message.splitlines()
    assert first == f"{NAME} digests: ZeroDivisionError: nobody thought of this"
    assert "in broken" in verdict.message  # where
    assert rest[-1] == f"to repeat it: ares networks {NAME} --target digests"
    assert len(found.having(Outcome.PASS)) == 5


@pytest.mark.parametrize(("where", "stage"), [("_front", "check"), ("_cell", "c[digests]")])
def test_a_full_disk_is_named(checkout: Path, monkeypatch: Patch, where: str, stage: str) -> None:
    def full(job: Job) -> Any:
        raise OSError(28, "No space left on device", "/cache/staging")

    monkeypatch.setattr(jobs_module, where, full)
    failures = [v for v in _real(checkout).failures if v.stage == stage]
    assert [v.fault for v in failures] == ["disk full"]
    assert "no space left on the disk: /cache/staging" in failures[0].message
