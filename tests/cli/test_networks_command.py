"""`ares networks`: what is run, what is shown, and the exit code that goes with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

from ares.cli.app import app
from ares.pipeline.catalogue import Zoo
from ares.pipeline.matrix import Event, Matrix
from ares.pipeline.sampling import Sample
from ares.prover.verdicts import Judged
from ares.toolchain import TARGETS, Target, default_targets, select
from ares.verdict import STAGES, Outcome, Verdict, proof_stage
from tests.checkout import ZOO
from tests.toolchain.tiny_network import any_target

Patch = pytest.MonkeyPatch
KNOWN = ZOO.subjects
NAME, OTHER = "test_37_zeropad2d", "test_4_resnet_basic"
FAIL = Verdict(NAME, "", Outcome.FAIL, "first [bold] line\nsecond line", "difference", "conv1")
GONE = Verdict(NAME, "", Outcome.NOT_RUN, "gcc is not on the PATH", "missing tool")


ARES = (sys.executable, "-c", "from ares.cli import main; main()", "networks")


def _ares(*words: str) -> Result:
    return CliRunner().invoke(app, ["networks", *words], catch_exceptions=False)


class Run:
    """In place of `run_matrix`: remembers what it was asked for, and says what the test wants."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.says: dict[tuple[str, str], Verdict] = {}

    def say(self, verdict: Verdict, target: str, name: str = NAME) -> None:
        stage = f"c[{target}]"
        self.says[name, stage] = replace(verdict, network=name, stage=stage, target=target)

    def __call__(
        self,
        zoo: Zoo,
        names: Sequence[str],
        targets: Sequence[Target],
        progress: Any,
        jobs: int | None = None,
        *,
        sample: Sample | None = None,
        fresh: bool = False,
        cluster: None = None,
    ) -> Matrix:
        assert cluster is None
        options = {"jobs": jobs, "sample": sample, "fresh": fresh}
        self.asked.append({"names": list(names), "targets": [t.name for t in targets], **options})
        verdicts = tuple(
            self.says.get(
                (name, stage),
                Verdict(name, stage, Outcome.PASS, "", "", "", 1.0, True, None, target),
            )
            for name in names
            for stage, target in (
                *((stage.name, "") for stage in STAGES),
                *((target.stage, target.name) for target in targets),
            )
        )
        progress(Event((f"{names[0]} {targets[0].name}",), 0, len(verdicts), ()))
        progress(Event((), len(verdicts), len(verdicts), verdicts))
        return Matrix(verdicts, 61.4, tuple(targets))


@pytest.fixture
def run(monkeypatch: Patch) -> Run:
    found = Run()
    monkeypatch.setattr(sys.modules["ares.cli.networks"], "run_matrix", found)
    return found


# --- what is listed


def test_list_names_every_network_and_suite() -> None:
    result = _ares("--list")
    assert result.exit_code == 0
    assert tuple(result.stdout.split()) == KNOWN
    assert {"test_1_simplecnn", "ops_ae"} < set(KNOWN)


def _without_tools(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ARES, *words],
        env={**os.environ, "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_list_targets_says_what_is_missing_and_what_brings_it() -> None:
    finished = _without_tools("--list-targets")
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    rows = {line.split()[0]: line for line in lines[1 : 1 + len(TARGETS)]}
    assert list(rows) == [target.name for target in TARGETS]
    for target in TARGETS:
        usable = not (target.needs + target.machine.needs).commands
        assert rows[target.name].split()[-1] == ("yes" if usable else "no")
        assert target.machine.isa in rows[target.name]
        assert target.description in rows[target.name]
        absent = next(iter((target.needs + target.machine.needs).commands), "")
        # What this machine's processor has not got comes first: no package brings it.
        reason = target.lacking() or f"{absent} is not on the PATH ({target.install})"
        assert (f"{target.name}: {reason}" in lines) != usable
        assert rows[target.name].startswith(f"{target.name} * ") == target.default
    here = sum(not (t.needs + t.machine.needs).commands for t in TARGETS)
    assert lines[-1].startswith(f"{len(TARGETS)} targets, {here} can be used here; * default.")
    assert here >= 2


def test_list_targets_can_be_narrowed() -> None:
    result = _ares("--list-targets", "--target", "s390x-*", "--target", "tcc")
    assert result.exit_code == 0
    names = [
        line.split()[0] for line in result.stdout.splitlines() if line.startswith(("s390x", "tcc"))
    ]
    assert [n for n in names if not n.endswith(":")] == [t.name for t in select(["s390x-*", "tcc"])]


# --- usage


USAGE = [
    (("--target", "gcc-O9"), "ares: unknown target 'gcc-O9'; nearest: gcc-O"),
    (("--target", "gcc-O2", "--target", "vax-*"), "ares: unknown target 'vax-*'; nearest: none ("),
    (("test_9_paddin",), "ares: no network named 'test_9_paddin'; nearest: test_9_padding"),
    (("ops_a",), "ares: no network named 'ops_a'; nearest: ops_ae"),
    (("!", "test_3_mlp"), "ares: no network named '!'; nearest: none"),
    (("--list-targets", "--target", "nope"), "ares: unknown target 'nope'"),
]


@pytest.mark.parametrize(("words", "says"), USAGE, ids=[" ".join(row[0]) for row in USAGE])
def test_a_wrong_name_is_one_line_and_exit_code_2(
    run: Run, words: tuple[str, ...], says: str
) -> None:
    result = _ares(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith(says)
    assert len(result.stderr.splitlines()) == 1
    assert not result.stdout
    assert not run.asked


@pytest.mark.parametrize("option", ["--json-out", "--junit-out"])
def test_results_that_could_not_be_written_are_refused_before_the_run(
    run: Run, tmp_path: Path, option: str
) -> None:
    for path, says in (
        (
            tmp_path / "absent" / "file",
            f"{tmp_path / 'absent'} is no folder that can be written to",
        ),
        (tmp_path, "it is a folder"),
    ):
        result = _ares(NAME, option, str(path))
        assert (result.exit_code, result.stderr) == (2, f"ares: cannot write {path}: {says}\n")
    assert not run.asked
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_is_usage(tmp_path: Path, monkeypatch: Patch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ARES_CACHE_DIR", str(tmp_path / "file" / "cache"))
    result = _ares(NAME)
    assert result.exit_code == 2
    assert "set ARES_CACHE_DIR to a folder of your own" in result.stderr


# --- what is run


def test_without_words_everything_runs_on_the_default_targets(run: Run) -> None:
    assert _ares().exit_code == 0
    (asked,) = run.asked
    assert asked["names"] == list(KNOWN)
    assert asked["targets"] == [target.name for target in default_targets()]
    assert asked["sample"] == Sample(date.today().toordinal(), KNOWN)
    assert (asked["jobs"], asked["fresh"]) == (None, False)


def test_words_choose(run: Run) -> None:
    words = (OTHER, f"{NAME}.py", "ops_sz", NAME, "--target", "mips*", "--target", "tcc")
    assert _ares(*words, "--jobs", "3", "--fresh", "--all-cells").exit_code == 0
    (asked,) = run.asked
    assert asked["names"] == [OTHER, NAME, "ops_sz"]
    assert asked["targets"] == [t.name for t in TARGETS if t.name.startswith(("mips", "tcc"))]
    # Every turn of every network follows the whole zoo's numbers, however few are chosen.
    assert asked["sample"] == Sample(None, KNOWN)
    assert (asked["jobs"], asked["fresh"]) == (3, True)


# --- exit codes and what is shown


def test_all_exact(run: Run) -> None:
    result = _ares(NAME, "--target", "gcc-O2")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == (
        "EXACT: 1 network, 1 target, 5 cells: 5 exact (5 known from the same content), 0 failed; 61 s."
    )


def test_a_failure_is_shown_whole_and_is_exit_code_1(run: Run) -> None:
    run.say(FAIL, "zig-O2")
    result = _ares(NAME, OTHER, "--target", "gcc-O2", "--target", "zig-O2")
    assert result.exit_code == 1
    assert f"{NAME} c[zig-O2]: difference" in result.stdout
    assert "first [bold] line\nsecond line\n" in result.stdout
    last = result.stdout.splitlines()[-1]
    assert "FAILED: 2 networks, 2 targets, 12 cells: 11 exact" in last
    assert last.endswith(f"1 failed; 61 s. Failed: {NAME}.")
    assert f"{NAME}: only targets that are built by zig fail" in result.stdout
    assert f"{NAME} c[zig-O2]: failed" in result.stdout  # as it happened


def test_a_missing_target_fails_only_where_that_is_asked_for(run: Run) -> None:
    run.say(GONE, "gcc-O2")
    run.say(GONE, "gcc-O2", OTHER)
    words = (NAME, OTHER, "--target", "gcc-O2", "--target", "zig-O2")
    result = _ares(*words)
    assert result.exit_code == 0
    assert result.stdout.count("c[gcc-O2] was not run: gcc is not on the PATH") == 1
    assert "10 exact (10 known from the same content), 0 failed, 2 not run; " in result.stdout
    assert _ares(*words, "--require-all-targets").exit_code == 1


@pytest.mark.parametrize("outcome", [Outcome.EXPECTED, Outcome.LEFT_OUT])
def test_what_is_expected_or_left_out_is_no_failure(run: Run, outcome: Outcome) -> None:
    run.say(replace(FAIL, outcome=outcome), "gcc-O2")
    result = _ares(NAME, "--target", "gcc-O2", "--require-all-targets")
    assert result.exit_code == 0
    word = {Outcome.EXPECTED: "failed as expected", Outcome.LEFT_OUT: "left out"}[outcome]
    assert f"0 failed, 1 {word}; 61 s." in result.stdout
    assert "first" not in result.stdout


def test_few_targets_stand_beside_one_another(run: Run) -> None:
    run.say(FAIL, "gcc-O2")
    run.say(GONE, "gcc-asan")
    run.say(replace(FAIL, outcome=Outcome.LEFT_OUT), "zig-O2")
    run.say(replace(FAIL, outcome=Outcome.EXPECTED), "wasm32-zig-O2")
    lines = _ares(NAME).stdout.splitlines()
    head = next(line for line in lines if line.startswith("network"))
    stages = [*(stage.name for stage in STAGES), *(target.stage for target in default_targets())]
    assert head.split() == ["network", *stages, "s"]
    row = next(line for line in lines if line.startswith(f"{NAME} "))
    if row.split()[1] != "ok":
        row = [line for line in lines if line.startswith(f"{NAME} ")][1]
    assert row.split() == [NAME, "ok", "ok", "ok", "ok", "FAIL", "-", "out", "exp", "4.0"]


def test_many_targets_stand_below_one_another(run: Run) -> None:
    targets = select(["mips*", "gcc-*"])
    assert len(targets) > 8
    run.say(FAIL, "mips-gcc-O2")
    run.say(GONE, "mipsel-gcc-O2")
    run.say(replace(FAIL, outcome=Outcome.LEFT_OUT), "mips64-gcc-O2")
    run.say(replace(FAIL, outcome=Outcome.EXPECTED), "mips64el-gcc-O2", OTHER)
    lines = _ares(NAME, OTHER, "--target", "mips*", "--target", "gcc-*").stdout.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("stage"))
    headings = "stage processor exact failed expected not run left out s"
    assert " ".join(lines[head].split()) == headings
    rows = {line.split()[0]: line.split()[1:] for line in lines[head + 1 :][: 4 + len(targets)]}
    assert list(rows) == [*(stage.name for stage in STAGES), *(t.stage for t in targets)]
    assert rows["check"] == ["2", "2.0"]
    assert rows["c[gcc-O2]"] == [*targets[0].machine.isa.split(), "2", "2.0"]
    assert rows["c[mips-gcc-O2]"] == ["MIPS32", "1", "1", "1.0"]
    columns = lines[head]
    for target, heading in (
        ("mips-gcc-O2", "failed"),
        ("mipsel-gcc-O2", "not run"),
        ("mips64-gcc-O2", "left out"),
        ("mips64el-gcc-O2", "expected"),
    ):
        line = next(line for line in lines[head:] if line.startswith(f"c[{target}]"))
        assert line[columns.index(heading) + len(heading) - 1] == "1", line


def test_results_for_machines(run: Run, tmp_path: Path) -> None:
    run.say(FAIL, "gcc-O2")
    found, junit = tmp_path / "found.json", tmp_path / "found.xml"
    words = (NAME, "--target", "gcc-O2", "--json-out", str(found), "--junit-out", str(junit))
    assert _ares(*words).exit_code == 1
    content = json.loads(found.read_text(encoding="utf-8"))
    assert content["counts"]["fail"] == 1
    assert [v["stage"] for v in content["verdicts"]] == [
        *(stage.name for stage in STAGES),
        "c[gcc-O2]",
    ]
    root = ElementTree.parse(junit).getroot()
    assert [suite.get("failures") for suite in root] == ["1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found.json", "found.xml"]


def test_a_log_has_a_line_a_subject(run: Run) -> None:
    """A pipe has no progress bar."""
    result = _ares(NAME, OTHER, "--target", "gcc-O2")
    assert f"0 of 10: {NAME}\n" in result.stdout


# --- in earnest


def test_a_network_from_the_command_to_the_results(tmp_path: Path) -> None:
    target = any_target().name
    found = tmp_path / "found.json"
    command = [*ARES, NAME, "--target", target]
    finished = subprocess.run(
        [*command, "--json-out", str(found)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    verdicts = json.loads(found.read_text(encoding="utf-8"))["verdicts"]
    assert [(v["network"], v["stage"], v["outcome"]) for v in verdicts] == [
        (NAME, stage, "pass") for stage in (*(stage.name for stage in STAGES), f"c[{target}]")
    ]
    assert "EXACT: 1 network, 1 target, 5 cells: 5 exact" in finished.stdout


def test_proofs_are_a_column_a_target(run: Run, monkeypatch: Patch, tmp_path: Path) -> None:
    def prove(
        zoo: Zoo, names: Sequence[str], targets: Sequence[Target], jobs: int, tell: Any
    ) -> list[Judged]:
        assert (list(names), jobs) == ([OTHER], 2)  # without a Graph there is nothing to prove
        said = "17 of 19 layers for every input, 2 by a bound on paper and samples"
        found = [
            Verdict(OTHER, proof_stage(target.name), Outcome.PASS, said, target=target.name)
            for target in targets
        ]
        tell(Judged(tuple(found), ()))
        return [Judged(tuple(found), ())]

    run.says[NAME, "extract"] = replace(FAIL, stage="extract")
    monkeypatch.setattr("ares.prover.verdicts.prove_networks", prove)
    words = ("--target", "gcc-O2", "--prove", "--jobs", "2", "--json-out", str(tmp_path / "found"))
    result = _ares(NAME, OTHER, *words)
    assert result.exit_code == 1
    assert "proof[gcc-O2]" in result.stdout
    assert "17/19" in result.stdout
    verdicts = json.loads((tmp_path / "found").read_text())["verdicts"]
    assert [v["message"][:8] for v in verdicts if v["stage"].startswith("proof")] == ["17 of 19"]
