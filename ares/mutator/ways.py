"""The ways in which a mutant of the C is tried: a target each, by the micro-kernels that its programs run.

Which ways a file is tried in, and in which order, stands here and nowhere else: the quickest first, and of what
only one processor runs that one alone.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ares.toolchain import TARGETS, Target
from ares.toolchain.processors import host_lacks, native_instruction_set
from ares.toolchain.rows import in_parts

CHECKED = "checked"
"""The way with sanitizers."""

# Way -> the targets that take it, the first that can be used here.
_TARGETS = {
    "portable": ("gcc-portable",),
    "scalar": ("tcc",),
    "avx2": ("gcc-O2", "haswell-gcc-O2"),
    "sse4.1": ("gcc-O2", "nehalem-gcc-O2"),
    "avx512-vnni": ("gcc-O2", "gcc-O2"),
    "neon": ("aarch64-gcc-O2",),
    "dsp": ("m4-gcc-O2",),
    "mve": ("m55-gcc-O3",),
    "rvv": ("riscv64-zig-v128",),
    "wasm-simd": ("wasm32-zig-simd",),
    "big-endian": ("s390x-gcc-O2",),
    "no 128 bits": ("m4-gcc-nodsp",),
    CHECKED: ("gcc-asan",),
}
WAYS = tuple(_TARGETS)
# Files that one processor runs -> their ways. All others are tried in _EVERYWHERE.
_OWN: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("*avx512*", ("avx512-vnni",)),
    ("*avx2*", ("avx2",)),
    ("*sse41*", ("sse4.1",)),
    ("*micro_x86.*", ("avx2", "sse4.1", "avx512-vnni")),
    (
        "*micro_portable*",
        ("portable", "scalar"),
    ),  # whose tile gcc does not run where it has vectors
    ("*micro_neon*", ("neon",)),
    ("*micro_dsp*", ("dsp",)),
    ("*micro_mve*", ("mve",)),
    ("*micro_rvv*", ("rvv",)),
    ("*micro_wasm*", ("wasm-simd",)),
)
_EVERYWHERE = ("portable", "avx2", "avx512-vnni", "sse4.1", "scalar", "no 128 bits", "big-endian")
# Emulators are slower than the host: of what only they run fewer mutants are drawn.
_SLOW = ("neon", "dsp", "mve", "rvv", "wasm-simd", "sse4.1")
_FEWER = 0.35


@dataclass(frozen=True, slots=True)
class Way:
    """A name, and the target that takes it."""

    name: str
    target: Target


def ways_of(file: str) -> tuple[str, ...]:
    """The names of the ways that a file of the runtime is tried in, in their order."""
    for pattern, names in _OWN:
        if fnmatch.fnmatch(file, pattern):
            return names
    return _EVERYWHERE


def weight(file: str) -> float:
    """How many of a file's mutants are drawn, beside those of others."""
    return _FEWER if set(ways_of(file)) <= set(_SLOW) else 1.0


def usable_ways(only: Sequence[str] = ()) -> tuple[dict[str, Way], dict[str, str]]:
    """The ways that this machine can take, by name, and of the others why not."""
    found: dict[str, Way] = {}
    missing: dict[str, str] = {}
    for name, targets in _TARGETS.items():
        if only and name not in only:
            continue
        way, why = _usable(name, [_target(target) for target in targets])
        if way is None:
            missing[name] = why
        else:
            found[name] = way
    return found, missing


def _target(name: str) -> Target:
    (found,) = [target for target in TARGETS if target.name == name]
    return found


def _usable(name: str, targets: Sequence[Target]) -> tuple[Way | None, str]:
    why = ""
    for target in targets:
        why = target.missing() or ""
        if why:
            continue
        # One digest a layer, and the first that is wrong asked for whole: quicker than all tensors.
        quick = replace(target, trace="digests")
        if name not in ("avx2", "sse4.1", "avx512-vnni") or target.must_run == name:
            return Way(name, quick), ""
        why = f"this machine's processor runs {native_instruction_set()} micro-kernels"
    if name == "avx512-vnni" and host_lacks(("avx2",)) is None:
        return _in_parts(targets[0]), ""
    return None, why


def _in_parts(target: Target) -> Way:
    """AVX-512 where the processor has none, or not all of it: by other instructions."""
    made = in_parts(replace(target, name=f"{target.name}-in-parts", trace="digests"))
    return Way("avx512-vnni", made)
