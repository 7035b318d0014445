"""The unit cases of the operations, stored as pseudo-networks: what is stored is what the tests say, all of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ares.cli.app import app
from ares.emit import emit
from ares.golden import GoldenError
from ares.golden import operations as suites
from ares.golden.merging import SEPARATOR
from ares.golden.operations import OperationSuite, load_operation_suite
from ares.golden.store import tensor_digest
from ares.ir import save_graph
from ares.ops import run_reference
from ares.plan import plan
from ares.toolchain import build, default_targets, run
from tests.golden.suites import GOLDEN, ROOT, SHAPE, STORED, negated_twice
from tests.ops import recording
from tests.slow import slow_but

# --- what is stored in the repository


@pytest.fixture(scope="module", params=STORED)
def stored(request: pytest.FixtureRequest) -> OperationSuite:
    return load_operation_suite(GOLDEN / request.param)


def test_the_reference_gives_what_the_oracles_say(stored: OperationSuite) -> None:
    (case,) = stored.golden.cases
    found = run_reference(stored.graph, case.inputs)
    for line in case.layers:
        assert tensor_digest(found[line.name]) == line.digest, line.name


def test_most_tensors_were_judged_by_an_oracle(stored: OperationSuite) -> None:
    """The others lie between: operands that a Permute or a pool brings into place."""
    facts = stored.golden.provenance
    between = sum(len(entry["not_judged"]) for entry in facts["cases"])
    assert between < 0.4 * facts["counts"]["layers"]


def _c(suite: OperationSuite) -> Mapping[str, np.ndarray]:
    target = next(target for target in default_targets() if target.missing() is None)
    project = emit(plan(suite.graph))
    (trace,) = run(build(project, target), project, [suite.golden.cases[0].inputs])
    for name, output in zip(suite.graph.outputs, trace.outputs, strict=True):
        assert output.tobytes() == trace.tensors[name].tobytes(), name
    return trace.tensors


def _wrong(suite: OperationSuite, tensors: Mapping[str, np.ndarray]) -> Iterator[str]:
    for line in suite.golden.cases[0].layers:
        if tensor_digest(tensors[line.name]) != line.digest:
            yield line.name


def test_c_gives_what_the_oracles_say(stored: OperationSuite) -> None:
    """And one expected code that is changed is noticed, with the case's name."""
    tensors = _c(stored)
    assert not [*_wrong(stored, tensors)]
    (case,) = stored.golden.cases
    victim = next(line for line in case.layers if line.dtype == "int8")
    changed = case.arrays[victim.name].copy()
    changed.flat[-1] ^= 1
    layers = tuple(
        replace(line, digest=tensor_digest(changed)) if line is victim else line
        for line in case.layers
    )
    planted = replace(stored, golden=replace(stored.golden, cases=(replace(case, layers=layers),)))
    (found,) = _wrong(planted, tensors)
    key, _, _ = found.partition(SEPARATOR)
    assert key in {entry["name"] for entry in stored.golden.provenance["cases"]}


def test_programs_fit_small_boards(stored: OperationSuite) -> None:
    """4 MiB of memory: arena, inputs, outputs, code and constants, which are smaller than what they are made of."""
    planned = plan(stored.graph)
    tensors = [*stored.graph.inputs, *stored.graph.outputs]
    buffers = sum(tensor.nbytes for tensor in stored.graph.tensors_of(tensors))
    assert planned.arena_bytes + buffers + len(save_graph(stored.graph)) < 3 * 2**20


def test_the_files_are_small() -> None:
    sizes = [path.stat().st_size for name in STORED for path in (GOLDEN / name).iterdir()]
    assert sum(sizes) < 4 * 2**20


# --- drift


@pytest.mark.slow
def test_exactly_the_cases_of_the_tests_are_stored() -> None:
    """Also no case that no test has any more."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "regenerate_golden.py"), "ops", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 would change, 0 refused" in done.stdout


def test_ares_alone_cannot_record_them() -> None:
    for name in ("ops", STORED[0]):
        result = CliRunner().invoke(app, ["golden", name])
        assert result.exit_code == 2
        assert "python tools/regenerate_golden.py ops" in result.output


def test_a_case_that_is_not_stored_fails_with_one_line(request: pytest.FixtureRequest) -> None:
    x = np.zeros(SHAPE, np.int64)
    token = recording.running.set(request.node)
    try:
        with pytest.raises(pytest.fail.Exception) as caught:
            recording.hand_over(negated_twice(), [x], {"a": x - 1, "y": x}, ["y"])
    finally:
        recording.running.reset(token)
    assert str(caught.value) == (
        "golden/ops_nr does not hold this case (operation_suites.a_case_that_is_not_stored_fails_with_one_line): "
        "run python tools/regenerate_golden.py ops"
    )


def test_an_array_that_does_not_fit_its_tensor() -> None:
    for array in (np.full(SHAPE, 128), np.zeros((1, 6)), np.full(SHAPE, 0.5)):
        with pytest.raises(GoldenError, match=r"net: y: .* does not fit"):
            suites.as_typed(negated_twice(), "y", array)


@pytest.mark.parametrize(
    ("body", "says"),
    slow_but(
        [0],
        [
            ("def test_a():\n    assert 1 == 2", "first: "),
            ("import pytest\ndef test_a():\n    pytest.skip('no')", "first: "),
            ("import nowhere", "first: "),
            ("", "ended with"),
        ],
    ),
)
def test_nothing_is_recorded_unless_every_test_passes(tmp_path: Path, body: str, says: str) -> None:
    (tmp_path / "test_broken.py").write_text(body + "\n")
    script = "import pathlib, sys; from tests.ops.recording import record_operations as r; r(pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ares.golden.store.GoldenError: operations: nothing is recorded"), last
    assert says in last
