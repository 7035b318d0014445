"""What an instruction set does to rows of codes equals what the kernels' headers say, in 128 bits, one by one.

Only x86 has such functions: `rows_check.c` runs here, on the host.
"""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import pytest

from ares.toolchain import TARGETS
from tests.runtime.proving import Proof, prove, sources
from tests.slow import slow_but

CHECK = Path(__file__).with_name("rows_check.c")
COUNT = 6000
NAMES = ["gcc-O2", "gcc-asan", "gcc-O3-native", "clang-asan", "clang-msan"]
# What is altered, and by which kernel it must be seen: a wrong result, or a crash in a case of it.
FAULTS = {
    "norm: ties": ("_mm512_testn_epi64_mask(raised, below_point)", "_mm512_testn_epi64_mask(raised, bits)", "norm"),
    "norm: low half unsigned": ("_mm512_set1_epi64(INT64_C(1) << 31)", "_mm512_setzero_si512()", "norm"),
    "norm: channels of another group": ("rescale->offset + first", "rescale->offset", "norm"),
    "rotary: four pairs of some": ("lanes == 0x0f", "lanes != 0xff", "rotary"),
    "norm: channels of a narrow group": ("_mm512_set1_epi64(width - 1)", "_mm512_set1_epi64(7)", "norm"),
    "norm: positions forgotten": ("for (; i < p->positions; ++i)", "for (; i + 1 < p->positions; ++i)", "norm"),
    "norm: codes beyond are read": ("_mm_maskz_loadu_epi8(lanes, in)))", "_mm_maskz_loadu_epi8(0xff, in)))", "norm"),
    "moments: codes beyond are read": ("lanes_of(count - i)", "lanes_of(32)", "moments"),
    "moments: always signed": (": _mm512_cvtepu8_epi16(bytes)", ": _mm512_cvtepi8_epi16(bytes)", "moments"),
    "lookup: a block forgotten": ("i + 64 < count", "i + 128 < count", "lookup"),
    "lookup: the last is read late": ("16, last, zero)", "16, _mm512_loadu_si512(in + count - 64), zero)", "lookup"),
    "rotary: what lies below is lost": ("_mm512_slli_epi64(low, 32)", "_mm512_slli_epi64(low, 64)", "rotary"),
    "rotary: pairs swapped": ("_mm_unpacklo_epi8(first, second)", "_mm_unpacklo_epi8(second, first)", "rotary"),
    "scan: rounded down": ("INT64_C(1) << 29", "INT64_C(1) << 28", "scan"),
    "scan: states of half a channel": ("permute4x64_epi64(sums, 0x4e)", "permute4x64_epi64(sums, 0xe4)", "scan"),
    "scan: no signs": ("= _mm256_movepi64_mask(value)", "= 0 & _mm256_movepi64_mask(value)", "scan"),
    "scan: ties": ("= _mm256_testn_epi64_mask(raised, below)", "= 0 & _mm256_testn_epi64_mask(raised, below)", "scan"),
    "scan: powers forgotten": ("i <= largest / POWERS", "i < largest / POWERS", "scan"),
    "softmax: ties": ("half & up", "half", "softmax"),
    "softmax: masks of other keys": ("kept_lanes(row, at)", "kept_lanes(row, 0)", "softmax"),
    "softmax: a key forgotten": ("for (; j < row->kept; ++j)", "for (; j + 1 < row->kept; ++j)", "softmax"),
    "softmax: largest of the first": ("j < row->kept; j += 64", "j < 64; j += 64", "softmax"),
}  # fmt: skip

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="only x86 does rows at once"
)


def _prove(name: str, altered: dict[str, bytes] | None = None) -> Proof:
    (target,) = [target for target in TARGETS if target.name == name]
    missing = target.missing()
    if missing is not None:
        pytest.skip(f"{name}: {missing}")
    files = {**sources(), "check.c": CHECK.read_bytes(), **(altered or {})}
    if altered is not None:  # may well earn warnings; what counts is that the check shows it
        target = replace(target, flags=(*target.flags, "-w"))
    return prove(target, count=COUNT, files=files)


@pytest.mark.parametrize("name", slow_but([0, 1], NAMES))
def test_equal_to_what_the_headers_say(name: str) -> None:
    proof = _prove(name)
    assert proof.fault is None, proof.fault
    assert proof.guarded
    if proof.instruction_set == "avx512-vnni":
        assert not {what for what, times in proof.reached.items() if times == 0}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_seen(fault: str) -> None:
    proof = _prove("gcc-O2")
    if proof.instruction_set != "avx512-vnni":
        pytest.skip(f"this processor runs {proof.instruction_set}")
    old, new, kernel = FAULTS[fault]
    files = {
        path: text.decode()
        for path, text in sources().items()
        if path.split("/")[-1].startswith(("micro_rows_avx512", "micro_scan_", "micro_softmax_"))
    }
    (path,) = [path for path, text in files.items() if old in text]
    proof = _prove("gcc-O2", {path: files[path].replace(old, new).encode()})
    assert proof.fault is not None, "the check did not see it"
    assert f" {kernel} " in proof.fault
