"""The theorems of the requantiser: a sample is proved here; altered sources are refuted.

All of them: `python -m tests.theorems`. Needs z3-solver and bitwuzla (pip install -e ".[proof]") and Debian's clang-19.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("z3", reason="z3-solver is not installed")
pytest.importorskip("bitwuzla", reason="bitwuzla is not installed")
if shutil.which("clang-19") is None:
    pytest.skip("clang-19 is not on the PATH", allow_module_level=True)

from tests.theorems.compiling import PORTABLE, SHARED, Build, CannotCompile, replay
from tests.theorems.kernels import KERNELS, Kernel, prove_kernel
from tests.theorems.theorems import THEOREMS

SECONDS = 120.0
BY_NAME = {theorem.name: theorem for theorem in THEOREMS}


def _altered(build: Build, file: str, old: str, new: str) -> Build:
    return replace(build, altered=((file, old, new),))


@pytest.mark.parametrize("name", ["N1", "N3[bound]"])
def test_a_clause_holds(name: str) -> None:
    assert BY_NAME[name].prove(None, SECONDS).verdict == "proved"


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_can_be_read(name: str) -> None:
    kernel = KERNELS[name]
    assert f"@{kernel.function}" in kernel.build.module().functions


@pytest.mark.parametrize("shift", [7, 40])
def test_the_portable_requantisation_is_the_clause(shift: int) -> None:
    found = prove_kernel(KERNELS["portable"], PORTABLE, [shift], [0], SECONDS)
    assert found.verdict == "proved"
    assert found.questions >= 1


FAULTS = {
    "half up in place of half to even": ("inc/numerics.h", "rounded & ~(int64_t)1", "rounded"),
    "ties to odd": ("inc/numerics.h", "is_tie ? rounded & ~(int64_t)1", "is_tie ? rounded | 1"),
    "a tie is asked for in one bit less": (
        "inc/numerics.h",
        "<< (64 - bits) == 0",
        "<< (63 - bits) == 0",
    ),
    "half of the divisor is half of that": (
        "inc/numerics.h",
        "(int64_t)1 << (bits - 1)",
        "(int64_t)1 << (bits - 2)",
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_wrong_rounding_is_refuted(fault: tuple[str, str, str]) -> None:
    """The numbers of the counterexample are such that the clause's own words tell them apart."""
    found = BY_NAME["N1"].prove(_altered(SHARED, *fault), SECONDS)
    assert found.verdict == "refuted"
    value, bits = found.numbers["value"], found.numbers["bits"]
    assert abs(value) < 2**62
    assert 1 <= bits <= 62


# File, what is altered in it, and the shift of the lane that shows it.
KERNEL_FAULTS = {
    "portable: no tie": ("portable", "micro_portable.c", "value &= ~1;", "value &= ~0;", 40),
    "portable: low bits are looked at one too few": (
        "portable", "micro_portable.c", "low <<= 32 - shift;", "low <<= 33 - shift;", 7,
    ),
    "portable: beyond int32 by a bit more": (
        "portable", "micro_portable.c", "ares_floor_shift_32(high, shift - 1)", "ares_floor_shift_32(high, shift)", 7,
    ),
    "sse4.1: high halves of less": (
        "sse4.1", "micro_sse41.c", "((uint32_t)1 << (shift - 1)) - 1u", "((uint32_t)1 << shift) - 1u", 7,
    ),
    "sse4.1: u8 limits are signed": ("sse4.1", "micro_sse41.c", "_mm_packus_epi16(words", "_mm_packs_epi16(words", 40),
}  # fmt: skip


@pytest.mark.parametrize("fault", KERNEL_FAULTS.values(), ids=KERNEL_FAULTS)
def test_a_wrong_kernel_is_refuted_and_wrong_in_c(fault: tuple[str, str, str, str, int]) -> None:
    name, file, old, new, shift = fault
    kernel: Kernel = KERNELS[name]
    build = _altered(kernel.build, f"src/{file}", old, new)
    found = prove_kernel(kernel, build, [shift] * kernel.lanes, [0], SECONDS)
    assert found.verdict == "refuted"
    pairs = _replayed(kernel, build, found.numbers)
    assert pairs[0][0] != pairs[0][1]


def _replayed(kernel: Kernel, build: Build, numbers: Mapping[str, Any]) -> list[tuple[int, int]]:
    columns = {key: numbers[key] for key in ("shift", "acc", "multiplier", "offset")}
    return replay(build, kernel.function, columns, numbers["lo"], numbers["hi"])


def test_an_alteration_that_finds_nothing_is_told() -> None:
    with pytest.raises(CannotCompile, match="has no"):
        _altered(SHARED, "inc/numerics.h", "no such text", "").module()
