"""The same in gives the same out: twice, in another process, watched or not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ares.emit import emit
from ares.golden import MANIFEST, STATE, sha256
from ares.ir import graph_digest
from ares.ops import run_reference
from ares.pipeline.catalogue import ZooPaths
from ares.pipeline.network import NetworkSubject
from ares.pipeline.regenerate import regenerate
from ares.plan import plan
from ares.toolchain import build, default_targets, run
from ares.verdict import EXTRACT, REFERENCE, TORCH, Outcome
from tests.slow import slow_but
from tests.toolchain.tiny_network import usable
from tests.witness.planting import copy_network, edit_state, prepared

UNTRAINED = "test_37_zeropad2d"


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> NetworkSubject:
    return prepared(copy_network(UNTRAINED, tmp_path_factory.mktemp("untrained")))


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# --- Graph, Project and reference


def test_extracted_twice(untrained: NetworkSubject) -> None:
    again = NetworkSubject(untrained.paths)
    assert again.graph is not untrained.graph
    assert graph_digest(again.graph) == graph_digest(untrained.graph)


def test_emitted_twice(untrained: NetworkSubject) -> None:
    again = emit(plan(NetworkSubject(untrained.paths).graph))
    assert again.files == untrained.project.files
    assert again.digest == untrained.project.digest


SCRIPT = """\
import sys
from pathlib import Path
from ares.ir import graph_digest
from ares.pipeline.network import NetworkSubject
from ares.pipeline.catalogue import ZooPaths
session = NetworkSubject(ZooPaths(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
print(graph_digest(session.graph), session.project.digest)
"""


@pytest.mark.slow
def test_in_a_fresh_interpreter(untrained: NetworkSubject, tmp_path: Path) -> None:
    """Another hash seed, another number of threads, another working directory."""
    paths = untrained.paths
    environment = {**os.environ, "PYTHONHASHSEED": "4242", "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, paths.name]
    command += [str(paths.source), str(paths.golden)]
    found = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    expected = [graph_digest(untrained.graph), untrained.project.digest]
    assert found.stdout.split() == expected


def test_the_reference_twice(untrained: NetworkSubject) -> None:
    case = untrained.golden.cases[2]
    first, second = (run_reference(untrained.graph, case.inputs) for _ in range(2))
    assert {k: a.tobytes() for k, a in first.items()} == {k: a.tobytes() for k, a in second.items()}


# --- goldens


def test_regenerating_an_unchanged_network_writes_nothing(tmp_path: Path) -> None:
    paths = copy_network(UNTRAINED, tmp_path)
    before = _contents(tmp_path)
    found = regenerate(paths)
    assert (found.changes, found.files) == ((), {})
    found.write()
    assert _contents(tmp_path) == before


def test_regenerating_from_nothing_gives_the_same_bytes_twice(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        paths = copy_network(UNTRAINED, folder)
        for path in paths.golden.iterdir():
            path.unlink()
        regenerate(paths).write()
        made.append(_contents(paths.golden))
    assert made[0] == made[1]
    assert set(made[0]) == {
        MANIFEST,
        STATE,
        *(f"case_{case}.safetensors.zst" for case in ("realistic", "random", "edge")),
    }


def test_a_lost_file_comes_back_as_it_was(tmp_path: Path) -> None:
    paths = copy_network(UNTRAINED, tmp_path)
    before = _contents(tmp_path)
    (paths.golden / "case_random.safetensors.zst").unlink()
    found = regenerate(paths)
    assert found.changes == (f"{UNTRAINED}: new, 3 cases",)
    found.write()
    assert _contents(tmp_path) == before


def test_a_comment_changes_provenance_alone(tmp_path: Path) -> None:
    paths = copy_network(UNTRAINED, tmp_path)
    before = _contents(paths.golden)
    with paths.source.open("a", encoding="utf-8") as file:
        file.write("# of no consequence\n")
    found = regenerate(paths)
    (line,) = found.changes
    assert line.startswith(f"{UNTRAINED}: source_sha256: ")
    found.write()
    after = _contents(paths.golden)
    assert [name for name in after if after[name] != before[name]] == [MANIFEST]
    old, new = json.loads(before[MANIFEST]), json.loads(after[MANIFEST])
    assert new["provenance"].pop("source_sha256") == sha256(paths.source.read_bytes())
    del old["provenance"]["source_sha256"]
    assert new == old
    _assert_green(paths)


def test_another_state_changes_what_it_should(tmp_path: Path) -> None:
    """Said in words, and green again once written."""
    paths = copy_network(UNTRAINED, tmp_path)
    key = "quant_pool.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.value"
    edit_state(paths, lambda tensors: tensors[key].fill(2 * tensors[key].item()))
    found = regenerate(paths)
    changed = [line for line in found.changes if "/realistic: " in line]
    layers = [line.split(": ")[1] for line in changed]
    assert layers == ["avg_pool", "flatten", "fc"]
    assert "elements differ, largest by" in changed[0]
    assert any("state_sha256" in line for line in found.changes)
    found.write()
    _assert_green(paths)


def _assert_green(paths: ZooPaths) -> None:
    for stage in (EXTRACT, REFERENCE, TORCH):
        verdict = NetworkSubject(paths).stage(stage)
        assert verdict.outcome is Outcome.PASS, verdict.message


# --- a probe does not change what it measures


@pytest.mark.parametrize("name", slow_but([0], [target.name for target in default_targets()]))
def test_outputs_are_the_same_unobserved(tmp_path: Path, name: str) -> None:
    target = usable(name)
    session = prepared(copy_network("test_4_resnet_basic", tmp_path))
    binary = build(session.project, target)
    cases = [case.inputs for case in session.golden.cases]
    watched = run(binary, session.project, cases, mode="full")
    alone = run(binary, session.project, cases, mode="outputs")
    for full, bare in zip(watched, alone, strict=True):
        assert not bare.tensors
        assert [a.tobytes() for a in full.outputs] == [a.tobytes() for a in bare.outputs]
        assert full.outputs[0].tobytes() == full.tensors["fc"].tobytes()
    assert len({trace.outputs[0].tobytes() for trace in watched}) == len(cases)


def test_a_case_does_not_depend_on_the_one_before(untrained: NetworkSubject) -> None:
    project = untrained.project
    target = next(target for target in default_targets() if target.missing() is None)
    binary = build(project, target)
    cases = [case.inputs for case in untrained.golden.cases]
    together = run(binary, project, [*cases, *reversed(cases)])
    for first, second in zip(together[:3], reversed(together[3:]), strict=True):
        assert first.digests == second.digests
    (alone,) = run(binary, project, [cases[1]])
    assert alone.digests == together[1].digests
