"""The micro-kernels that a target chose and the portable ones equal an oracle, and read and write nothing beside.

The cases are made in C (`micro_check.c`), so that they run wherever a network does, boards included.
"""

from __future__ import annotations

import pytest

from ares.pipeline.expectations import EXPECTATIONS
from ares.toolchain import TARGETS, Target
from tests.runtime.proving import COUNT, prove
from tests.slow import slow_but

ORDINARY = [at for at, target in enumerate(TARGETS) if target.default]
# Where no program survives its start.
CRASHES = {row.target for row in EXPECTATIONS if row.fault == "crash"}
SEEDS = (2, 3, 4)


def _check(target: Target, seed: int, count: int) -> None:
    missing = target.missing()
    if missing is not None:
        pytest.skip(f"{target.name}: {missing}")
    proof = prove(target, seed=seed, count=count)
    if target.name in CRASHES:
        assert proof.fault is not None
        assert "ended with -11" in proof.fault
        return
    assert proof.fault is None, proof.fault
    assert proof.guarded, f"{target.name}: a read beyond the end of an array would not be seen"
    unmet = [what for what, times in proof.reached.items() if times == 0]
    assert proof.reached
    assert not unmet, f"{target.name}: no case met {unmet}"


@pytest.mark.parametrize("target", slow_but(ORDINARY, TARGETS), ids=lambda target: target.name)
def test_every_target(target: Target) -> None:
    _check(target, seed=1, count=COUNT)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["gcc-O2", "gcc-asan"])
def test_more_cases(name: str, seed: int) -> None:
    (target,) = [target for target in TARGETS if target.name == name]
    _check(target, seed=seed, count=8 * COUNT)
