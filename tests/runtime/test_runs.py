"""What an instruction set does to many positions or elements at once equals the portable micro-kernels, one by one.

Only x86 has runs: `runs_check.c` runs here, on the host. Sums of two tensors on others are in `micro_check.c`.
"""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from ares.toolchain import TARGETS
from tests.runtime.proving import Proof, prove, sources
from tests.slow import slow_but

CHECK = Path(__file__).with_name("runs_check.c")
COUNT = 6000
NAMES = [
    "gcc-O2",
    "gcc-asan",
    "zig-O2",
    "gcc-O3-native",
    "clang-asan",
    "clang-msan",
    "gcc-portable",
]
# What is altered, and by which kernel it must be seen.
FAULTS = {
    "ties ignored": ("testn_epi32_mask(lanes, low", "testn_epi32_mask(lanes & 0, low", "image"),
    "a row swapped": ("x[6] = x[5] + (rows > 6 ? step : 0);", "x[6] = x[5];", "runs"),
    "weights swapped": ("_mm512_unpackhi_epi32(w0, w1)", "_mm512_unpackhi_epi32(w1, w0)", "runs"),
    "zero points slide": ("k < run->end ? run->step : 0", "k < run->end ? run->step : run->step", "runs"),
    "taps behind the last four": ("t < taps; t += 4", "t + 3 < taps; t += 4", "depthwise"),
    "no excess": ("(zero, _mm512_set1_epi8((char)-128), w[q])", "(zero, zero, w[q])", "depthwise"),
    "NaN": ("blend_ps(is_number, zero_point, shifted)", "blend_ps(is_number, shifted, shifted)", "quantize"),
    "towards zero": ("limited_real, _MM_FROUND_TO_NEAREST_INT", "limited_real, _MM_FROUND_TO_ZERO", "quantize"),
    "one rounding": ("_mm512_add_ps(product,", "_mm512_fmadd_ps(sums, _mm512_loadu_ps(scale),", "real"),
    "not lifted": ("_mm_cvtsi32_si128(raised)", "_mm_cvtsi32_si128(raised * 0)", "add"),
    "ties of words": ("_mm512_testn_epi32_mask(cut, cut)", "_mm512_testn_epi32_mask(cut, cut) & 0", "add"),
    "words too large": ("high[k] > INT16_MAX", "high[k] > INT16_MAX + 1", "add"),
    "words in another order": ("setr_epi64(0, 2, 4, 6, 1, 3, 5, 7)", "setr_epi64(0, 2, 4, 6, 1, 3, 7, 5)", "add"),
    "columns before the image": ("~low_bits(before * width)", "~low_bits(0 * before * width)", "image"),
    "columns behind the image": ("in - position < count ? in - position : count", "in < 0 ? position : count", "image"),
    "rows outside the image": ("is_inside ? ~(uint64_t)0 : 0;", "~(uint64_t)0;", "image"),
    "last tap": ("alone(TAP(2, 2), x4)", "alone(TAP(2, 1), x4)", "image"),
    "planes swapped": ("mixed(a, b, c, from[2])", "mixed(a, c, b, from[2])", "interleave"),
}  # fmt: skip

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="only x86 has runs"
)


def _prove(name: str, altered: dict[str, bytes] | None = None) -> Proof:
    (target,) = [target for target in TARGETS if target.name == name]
    missing = target.missing()
    if missing is not None:
        pytest.skip(f"{name}: {missing}")
    files = {**sources(), "check.c": CHECK.read_bytes(), **(altered or {})}
    return prove(target, count=COUNT, files=files)


@pytest.mark.parametrize("name", slow_but([0, 1], NAMES))
def test_equal_to_the_portable_ones(name: str) -> None:
    proof = _prove(name)
    assert proof.fault is None, proof.fault
    assert proof.guarded
    without_runs = {what for what, times in proof.reached.items() if times == 0}
    assert not without_runs


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_seen(fault: str) -> None:
    proof = _prove("gcc-O2")
    if proof.instruction_set != "avx512-vnni":
        pytest.skip(f"this processor runs {proof.instruction_set}")
    old, new, kernel = FAULTS[fault]
    (path,) = [path for path, text in sources().items() if "avx" in path and old in text.decode()]
    text = sources()[path].decode()
    proof = _prove("gcc-O2", {path: text.replace(old, new).encode()})
    assert proof.fault is not None, "the check did not see it"
    assert f" {kernel} " in proof.fault
