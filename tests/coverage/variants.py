"""Builds that count what runs: clang's source-based coverage with MC/DC, a target for each kind of micro-kernels.

It takes a processor with AVX-512 F, BW, DQ and VL. Whether it has VNNI and VBMI besides makes no difference: their
instructions are written in the others, and CPUID shows what a build asks for (unlike_this_processor.h): neither of them
in the build for AVX2. Older processors are QEMU's. Kernels of other processors than x86 are not counted: Debian has
clang's profile library for x86 alone. They are in `BEYOND`; the matrix runs them on the same cases, and
`python -m tests.runtime.proving` on more.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ares.toolchain import Target
from ares.toolchain.machines import HOST, NEHALEM
from ares.toolchain.rows import PORTABLE, clang
from ares.toolchain.target import Machine, Needs

COUNTING = ("-fprofile-instr-generate", "-fcoverage-mapping", "-fcoverage-mcdc")
SHIM = Path(__file__).with_name("unlike_this_processor.h")
TOOLS = Needs(commands=("llvm-profdata-19", "llvm-cov-19"), debian=("llvm-19",))
BEYOND = ("micro_dsp.c", "micro_mve.c", "micro_neon.c", "micro_rvv.c", "micro_wasm.c")
"""Files of `runtime/src` that are empty for an x86."""

_PREFIX = "clang-coverage-"
# Bits of CPUID leaf 7, ecx.
_VBMI = 1 << 1
_VNNI = 1 << 11


def variants() -> tuple[Target, ...]:
    """Portable C without and with GNU C's vectors, then x86's instruction sets from the oldest on."""
    return (
        # Without the macro nothing knows of vectors; the compiler's code is the same.
        _counting("portable", "-DARES_PORTABLE", "-U__SSE2__", runs=PORTABLE),
        _counting("vectors", "-DARES_PORTABLE", runs=PORTABLE),
        _counting("sse4.1", runs="sse4.1", machine=NEHALEM),
        _showing("avx2", 0, runs="avx2"),
        _showing("avx512-vnni", _VNNI, runs="avx512-vnni"),
        _showing("avx512-vbmi", _VNNI | _VBMI, runs="avx512-vnni"),
    )


def label(target: Target) -> str:
    """The variant's name in tables."""
    return target.name.removeprefix(_PREFIX)


def _showing(name: str, shown: int, *, runs: str) -> Target:
    flags = ("-include", str(SHIM), f"-DSHOWN_FEATURES={shown}u")
    features = ("avx512f", "avx512bw", "avx512dq", "avx512vl")
    return replace(_counting(name, *flags, runs=runs), features=features)


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
