"""What is proved: `kernels.toml` and the stored unit cases that its geometries come from."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ares.golden.merging import split
from ares.golden.operations import load_operation_suite, operation_suites
from ares.ir import Graph
from ares.plan import Step, plan
from tests.proof.harness import Freedom, Harness

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# One kernel at a time on a 64-bit host; in brackets: what only this kind of machine has.
MACHINES = {"64": "gcc_x86_64", "32": "gcc_x86_32"}


@dataclass(frozen=True, slots=True)
class Proof:
    """One run of Eva. `runs`: with the run kernels of x86 (`ares_has_runs`), by a model of their contract."""

    kernel: str
    geometry: str
    machine: str
    runs: bool

    @property
    def name(self) -> str:
        """As it is printed and given on the command line."""
        return f"{self.kernel}/{self.geometry}{'/runs' if self.runs else ''}/{self.machine}"


@cache
def read_table() -> Mapping[str, Any]:
    """kernels.toml."""
    return tomllib.loads((HERE / "kernels.toml").read_text(encoding="utf-8"))


def proofs() -> Iterator[Proof]:
    """All of them, kernel by kernel."""
    for kernel, row in read_table()["kernel"].items():
        for number, geometry in enumerate(row["geometries"]):
            yield Proof(kernel, geometry, "64", runs=False)
            # Of what shifts, and of what walks through memory in each way of its own.
            if number == 0 and row.get("strict", False):
                yield Proof(kernel, geometry, "32", runs=False)
        for geometry in row.get("runs", ()):
            yield Proof(kernel, geometry, "64", runs=True)


def program(proof: Proof) -> str:
    """The C text of its harness."""
    row = read_table()["kernel"][proof.kernel]
    if "harness" in row:
        return HERE.joinpath(row["harness"]).read_text(encoding="utf-8")
    case, _, layer = proof.geometry.partition("#")
    planned = plan(_stored()[case])
    step = _step(planned.steps, proof, layer)
    assert step.call is not None
    own = row.get("ranges_of", {}).get(proof.geometry, {})
    ranges = {**read_table()["ranges"], **row.get("ranges", {}), **own}
    return Harness(Freedom(ranges)).write(
        step.call,
        [planned.tensor(name) for name in step.inputs],
        [planned.tensor(name) for name in step.outputs],
    )


def sources(proof: Proof) -> tuple[str, ...]:
    """Stems of the files of runtime/src that it consists of."""
    table = read_table()
    row = table["kernel"][proof.kernel]
    found: list[str] = []
    for stem in (*row["sources"], *(row.get("runs_sources", ()) if proof.runs else ())):
        found += table["together"].get(stem, (stem,))
    return tuple(dict.fromkeys(found))


def _step(steps: tuple[Step, ...], proof: Proof, layer: str) -> Step:
    fitting = [
        step
        for step in steps
        if step.call and step.call.function == proof.kernel and (not layer or step.layer == layer)
    ]
    if not fitting:
        layers = [step.layer for step in steps if step.call and step.call.function == proof.kernel]
        raise ValueError(f"{proof.geometry} has no call of {proof.kernel}; its layers: {layers}")
    return fitting[0]


@cache
def _stored() -> Mapping[str, Graph]:
    golden = ROOT / "golden"
    return {
        key: graph
        for name in operation_suites(golden)
        for key, graph in split(load_operation_suite(golden / name).graph).items()
    }
