"""Builds that count what runs: clang's source-based coverage with MC/DC, a target for each kind of micro-kernels.

It takes an x86 with AVX2. Whether it has AVX-512 makes no difference: those instructions are written in others, and
CPUID shows what a build asks for (ares/toolchain/avx512_in_parts.h): VNNI and VBMI, VNNI alone, or neither in the build
for AVX2. Older processors are QEMU's. Kernels of other processors than x86 are not counted: Debian has clang's profile
library for x86 alone. They are in `BEYOND`; the matrix runs them on the same cases, and `python -m
tests.runtime.proving` on more.
"""

from __future__ import annotations

from dataclasses import replace

from ares.toolchain import Target
from ares.toolchain.machines import HOST, NEHALEM
from ares.toolchain.rows import PORTABLE, VBMI, VNNI, clang, in_parts
from ares.toolchain.target import Machine, Needs

COUNTING = ("-fprofile-instr-generate", "-fcoverage-mapping", "-fcoverage-mcdc")
TOOLS = Needs(commands=("llvm-profdata-19", "llvm-cov-19"), debian=("llvm-19",))
BEYOND = ("micro_dsp.c", "micro_mve.c", "micro_neon.c", "micro_rvv.c", "micro_wasm.c")
"""Files of `runtime/src` that are empty for an x86."""

_PREFIX = "clang-coverage-"


def variants() -> tuple[Target, ...]:
    """Portable C without and with GNU C's vectors, then x86's instruction sets from the oldest on."""
    return (
        # Without the macro nothing knows of vectors; the compiler's code is the same.
        _counting("portable", "-DARES_PORTABLE", "-U__SSE2__", runs=PORTABLE),
        _counting("vectors", "-DARES_PORTABLE", runs=PORTABLE),
        _counting("sse4.1", runs="sse4.1", machine=NEHALEM),
        in_parts(_counting("avx2", runs="avx2"), claims=0),
        in_parts(_counting("avx512-vnni", runs="avx512-vnni"), claims=VNNI),
        in_parts(_counting("avx512-vbmi", runs="avx512-vnni"), claims=VNNI | VBMI),
    )


def label(target: Target) -> str:
    """The variant's name in tables."""
    return target.name.removeprefix(_PREFIX)


def _counting(name: str, *flags: str, runs: str, machine: Machine = HOST) -> Target:
    made = clang(f"coverage-{name}", "-O1", *COUNTING, *flags, says="counts what runs")
    return replace(
        made,
        # Where a build lies is no part of what is counted.
        flags=(*made.flags, "-fcoverage-compilation-dir=."),
        link_flags=COUNTING[:1],
        machine=machine,
        trace="digests",
        instruction_set=runs,
        needs=made.needs + TOOLS,
    )
