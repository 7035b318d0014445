"""A subject from a kept front judges as the network itself does."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ares.pipeline.front import Front, KeptSubject, Store
from ares.pipeline.network import NetworkSubject
from ares.toolchain import default_targets
from ares.verdict import Outcome
from tests.pipeline.fake_checkout import NAME
from tests.pipeline.fronts import kept_subject
from tests.slow import slow_but
from tests.toolchain.tiny_network import any_target, usable
from tests.witness.planting import BLAMES_C, assert_red, c_verdict, in_constant, with_project


@pytest.mark.parametrize("name", slow_but([0], ["gcc-O2", "wasm32-zig-O2"]))
def test_one_case_alone_is_compared_with_its_own_golden(
    session: NetworkSubject, front: Front, name: str
) -> None:
    target = usable(name)
    for number, case in enumerate(session.golden.cases):
        for subject in (session, kept_subject(session, front)):
            verdict = subject.target(target, number + 7 * len(front.shows))
            assert verdict.outcome is Outcome.PASS
            assert verdict.message == f"case {case.name}, {len(session.project.points)} layers each"
    project = in_constant(session.project, "fc_bias", lambda text: text.replace("0x1", "0x3", 1))
    for number, case in enumerate(session.golden.cases):
        verdict = with_project(session, project).target(target, number)
        assert_red(verdict, layer="fc", says=(BLAMES_C, f"case {case.name}: "))


@pytest.mark.parametrize(
    "name", slow_but([0], [*(t.name for t in default_targets()), "s390x-gcc-O2"])
)
def test_a_kept_subject_gives_the_same_verdict(
    session: NetworkSubject, front: Front, name: str
) -> None:
    target = usable(name)
    verdicts = [subject.target(target) for subject in (session, kept_subject(session, front))]
    assert verdicts[0].outcome is Outcome.PASS, verdicts[0].message
    assert len({json.dumps({**v.as_json(), "seconds": 0}) for v in verdicts}) == 1


# All tensors; digests and a dump.
@pytest.mark.parametrize("name", slow_but([0], ["gcc-O2", "wasm32-zig-O2"]))
def test_a_difference_gets_the_same_report_and_asks_torch(
    session: NetworkSubject, front: Front, name: str
) -> None:
    target = usable(name)
    project = in_constant(session.project, "fc_bias", lambda text: text.replace("0x1", "0x3", 1))
    asked: list[int] = []

    def origin() -> NetworkSubject:
        asked.append(1)
        return session

    kept = KeptSubject(NAME, session.graph, session.paths.golden, front, origin)
    kept.project = kept.guarded_project = project
    found = kept.target(target)
    want = c_verdict(session, project, target)
    assert_red(found, layer="fc", says=(BLAMES_C,))
    assert replace(found, seconds=0) == replace(want, seconds=0)
    assert asked == [1]


def test_a_kept_subject_does_not_trust_a_changed_golden(
    session: NetworkSubject, front: Front, tmp_path: Path
) -> None:
    (tmp_path / "golden").mkdir()
    for path in session.paths.golden.iterdir():
        (tmp_path / "golden" / path.name).write_bytes(path.read_bytes())
    manifest = tmp_path / "golden" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"conv"', '"vnoc"'), encoding="utf-8")
    subject = KeptSubject(NAME, session.graph, tmp_path / "golden", front, lambda: session)
    verdict = subject.target(any_target())
    assert (verdict.outcome, verdict.fault) == (Outcome.FAIL, "GoldenError")


SCRIPT = """
import sys
from pathlib import Path
from ares.pipeline.front import KeptSubject, Store
from ares.toolchain import Cache, select
name, cache, golden = sys.argv[1:4]
store = Store(Cache(Path(cache)))
front = store.front("aa")
subject = KeptSubject(name, store.graph("aa"), Path(golden), front, lambda: 1 / 0)
for target in select(sys.argv[4:]):
    verdict = subject.target(target)
    print(verdict.outcome.value, verdict.message)
print(sorted(m for m in sys.modules if m.split(".")[0] in ("torch", "brevitas")))
"""


def test_a_kept_subject_needs_no_torch(
    store: Store, front: Front, session: NetworkSubject, tmp_path: Path
) -> None:
    store.keep_front("aa", front, session.graph)
    target = any_target()
    command = [sys.executable, "-c", SCRIPT, NAME, tmp_path / "cache", session.paths.golden]
    finished = subprocess.run(
        [*map(str, command), target.name], capture_output=True, text=True, check=False, timeout=300
    )
    assert finished.returncode == 0, finished.stderr
    *verdicts, modules = finished.stdout.splitlines()
    assert verdicts == [f"pass {session.target(target).message}"]
    assert modules == "[]"
