"""Faults planted in the micro-kernels on purpose: the check of their equality sees each, and names the kernel."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest

from ares.toolchain import Target, default_targets, select
from tests.runtime.proving import prove, sources
from tests.slow import slow_but

CRASH = "ended with"
PORTABLE = "runtime/src/micro_portable.c"
NUMERICS = "runtime/inc/numerics.h"


@dataclass(frozen=True, slots=True)
class Fault:
    """In `file`, `wrong` in place of `right`; `shown`: what the check must say, a pattern."""

    what: str
    file: str
    right: str
    wrong: str
    shown: str


TILE = "wrong ares_tile_portable sum"
DEPTHWISE = "wrong ares_depthwise_tile_portable sum"
CODES = "wrong ares_requantize_portable code"
# An index of steps with a value beyond the last lies in no table.
OUTSIDE = r"ended with -11\n  in case \d+ requantize"
# Where nothing may be written lies a byte that must stay, or no memory.
BESIDE = f"wrote beside its result|{CRASH}"
# The value of one load more, which no optimisation takes away.
BEYOND = "(0 & *(const volatile uint8_t *)({at}))"

FAULTS = (
    Fault("lanes swapped", PORTABLE, "acc[n2] = sum2;", "acc[n2] = sum1;", TILE),
    Fault(
        "rows swapped",
        PORTABLE,
        "acc0[ARES_PANEL_WIDTH] = sum10;",
        "acc0[ARES_PANEL_WIDTH] = sum20;",
        TILE,
    ),
    Fault(
        "last row forgotten",
        PORTABLE,
        "r < rows->rows; ++r",
        "r + 1 < rows->rows || r < 1; ++r",
        TILE,
    ),
    Fault("last channel forgotten", PORTABLE, "n < width; n += 2", "n + 1 < width; n += 2", TILE),
    Fault("last channels forgotten", PORTABLE, "n < width; n += 4", "n + 4 <= width; n += 4", TILE),
    Fault(
        "last segment forgotten",
        PORTABLE,
        "s < rows->segments",
        "s < 15 && s < rows->segments",
        TILE,
    ),
    Fault(
        "codes always signed",
        PORTABLE,
        "TILE_4X2(tile_4x2_u8, uint8_t)",
        "TILE_4X2(tile_4x2_u8, int8_t)",
        TILE,
    ),
    Fault(
        "codes never signed",
        PORTABLE,
        "TILE_1X4(tile_1x4_s8, int8_t)",
        "TILE_1X4(tile_1x4_s8, uint8_t)",
        TILE,
    ),
    Fault(
        "pairs saturate as VPMADDUBSW does",
        PORTABLE,
        "sum0 += x[k] * w0[k];",
        "sum0 += k % 2 ? 0 : saturated(x[k] * w0[k] + x[k ^ 1] * w0[k ^ 1]);",
        TILE,
    ),
    Fault(
        "products of 15 bits",
        PORTABLE,
        "sum31 += x3[k] * w1[k];",
        "sum31 += x3[k] * w1[k] % 32640;",
        TILE,
    ),
    Fault("sums as floats", PORTABLE, "int32_t sum0 = 0, sum1", "float sum0 = 0, sum1", TILE),
    Fault(
        "a row beyond is read", PORTABLE, "rows->rows == ARES_TILE_ROWS", "rows->rows >= 3", CRASH
    ),
    Fault(
        "codes beyond are read",
        PORTABLE,
        "while (x != end);",
        f"while (x != end);  sum3 += {BEYOND.format(at='x')};",
        CRASH,
    ),
    Fault(
        "weights beyond are read",
        PORTABLE,
        "acc[n3] = sum3;",
        f"acc[n3] = sum3 + {BEYOND.format(at='w3 - 4 * width + 4')};",
        CRASH,
    ),
    Fault(
        "a row beyond is written",
        PORTABLE,
        "acc[n] = sum0;",
        "acc[n] = sum0; acc[(4 - r) * ARES_PANEL_WIDTH - 1] = 0;",
        BESIDE,
    ),
    Fault(
        "channels from the first one",
        PORTABLE,
        "const code *)*x + first",
        "const code *)*x",
        DEPTHWISE,
    ),
    Fault("weights as wide as the tile", PORTABLE, "w += taps->channels", "w += width", DEPTHWISE),
    Fault("last tap forgotten", PORTABLE, "t < taps->taps", "t < (taps->taps & ~1)", DEPTHWISE),
    Fault(
        "last channels of a tile forgotten",
        PORTABLE,
        "c < width; ++c",
        "c < (width & ~1); ++c",
        DEPTHWISE,
    ),
    Fault(
        "a channel beyond is read",
        PORTABLE,
        "acc[c] = sum;",
        f"acc[c] = sum + {BEYOND.format(at='taps->x[0] + first + c + 1')};",
        CRASH,
    ),
    Fault(
        "a sum beyond is written",
        PORTABLE,
        "acc[c] = sum;",
        "acc[c] = sum; acc[c + 1] = sum;",
        BESIDE,
    ),
    Fault(
        "constants of the first channels",
        PORTABLE,
        "int32_t c = first * stride;",
        "int32_t c = 0;",
        CODES,
    ),
    Fault("constants of one channel", PORTABLE, "c += stride;", "c += 0;", CODES),
    Fault("rows without a step", PORTABLE, "to += out_step;", "to += width;", BESIDE),
    Fault(
        "a code beyond is written",
        PORTABLE,
        "to += out_step;",
        "to[1] = 0; to += out_step;",
        BESIDE,
    ),
    Fault("tie bit not cleared", PORTABLE, "value &= ~1;", "value &= ~0;", CODES),
    Fault(
        "tie bit not cleared, small shifts",
        NUMERICS,
        "rounded & ~(int64_t)1 : rounded",
        "rounded : rounded",
        CODES,
    ),
    Fault("ties by the high word alone", PORTABLE, "(uint32_t)raised == 0 && ", "", CODES),
    Fault(
        "unsigned multiplier",
        PORTABLE,
        "(int64_t)*from * multiplier",
        "(int64_t)*from * (uint32_t)multiplier",
        CODES,
    ),
    Fault(
        "product of 32 bits",
        PORTABLE,
        "(int64_t)*from * multiplier",
        "(int32_t)((uint32_t)*from * (uint32_t)multiplier)",
        CODES,
    ),
    Fault(
        "no lower bound",
        PORTABLE,
        "return value < lo ? lo : value > hi",
        "return value > hi",
        CODES,
    ),
    Fault(
        "no upper bound, small shifts",
        NUMERICS,
        "value > hi ? hi : (int32_t)value",
        "(int32_t)value",
        OUTSIDE,
    ),
    Fault(
        "value cut before it is limited",
        NUMERICS,
        "return value < lo ? lo : value > hi ? hi",
        "return (int32_t)value < lo ? lo : (int32_t)value > hi ? hi",
        CODES,
    ),
    Fault("step after its threshold", NUMERICS, "+ n - 1] <= value", "+ n - 1] < value", CODES),
    Fault(
        "one function for all",
        PORTABLE,
        "steps = rescale->steps + first + n;",
        "steps = rescale->steps;",
        CODES,
    ),
)
SATURATED = """
static inline int32_t saturated(int32_t sum)
{
    return sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum;
}
"""


SUMS = "wrong ares_tile sum"
# Codes of runs come from the same rounding, where an instruction set has no other.
ROUNDED = "wrong ares_(requantize|depthwise_positions|run_panels) code"
AVX512, AVX2, SSE41 = (f"runtime/src/micro_{name}.c" for name in ("avx512", "avx2", "sse41"))
DSP, MVE, NEON = (f"runtime/src/micro_{name}.c" for name in ("dsp", "mve", "neon"))
WASM, RVV = (f"runtime/src/micro_{name}.c" for name in ("wasm", "rvv"))

# The target that runs the kernels, and what is done to them.
SPECIAL = (
    (
        "gcc-vnni",
        Fault(
            "VPMADDUBSW in place of VPDPBUSD",
            AVX512,
            ": _mm512_dpbusd_epi32(sum, x, w);",
            ": _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(x, w), _mm512_set1_epi16(1)));",
            SUMS,
        ),
    ),
    (
        "gcc-vnni",
        Fault(
            "last lane forgotten",
            AVX512,
            "(1u << count) - 1u : 0xffffu",
            "(1u << count) - 1u : 0x7fffu",
            SUMS,
        ),
    ),
    (
        "gcc-vnni",
        Fault(
            "lanes that are not there",
            AVX512,
            "(1u << count) - 1u : 0xffffu",
            "0xffffu : 0xffffu",
            f"{CRASH}|beside",
        ),
    ),
    (
        "gcc-vnni",
        Fault(
            "tie bit not cleared",
            AVX512,
            "value, _mm512_set1_epi32(-2)",
            "value, _mm512_set1_epi32(-1)",
            "wrong ares_.* code",
        ),
    ),
    (
        "haswell-gcc-O2",
        Fault(
            "pairs saturate",
            AVX2,
            "_mm256_madd_epi16(x, w)",
            """_mm256_cvtepi16_epi32(_mm256_castsi256_si128(_mm256_permute4x64_epi64(
                _mm256_hadds_epi16(_mm256_mullo_epi16(x, w), x), 0x08)))""",
            SUMS,
        ),
    ),
    ("haswell-gcc-O2", Fault("lanes swapped", AVX2, "pairs, 0xd8", "pairs, 0xe4", SUMS)),
    (
        "haswell-gcc-O2",
        Fault("tail forgotten", AVX2, "n < width; n += HALF", "n + HALF <= width; n += HALF", SUMS),
    ),
    (
        "haswell-gcc-O2",
        Fault("weights beyond are read", AVX2, "end - w < 4 * HALF", "end - w < 0", CRASH),
    ),
    (
        "haswell-gcc-O2",
        Fault(
            "tie bit not cleared",
            AVX2,
            "return _mm256_andnot_si256(_mm256_srli_epi32(tie, 31), value);",
            "return (void)tie, value;",
            ROUNDED,
        ),
    ),
    (
        "nehalem-gcc-O2",
        Fault(
            "pairs saturate",
            SSE41,
            "_mm_madd_epi16(x, w)",
            "_mm_cvtepi16_epi32(_mm_hadds_epi16(_mm_mullo_epi16(x, w), x))",
            SUMS,
        ),
    ),
    (
        "nehalem-gcc-O2",
        Fault(
            "lanes swapped", SSE41, "_mm_shuffle_ps(a, b, 0x88)", "_mm_shuffle_ps(a, b, 0x82)", SUMS
        ),
    ),
    (
        "nehalem-gcc-O2",
        Fault(
            "tail forgotten",
            SSE41,
            "n < width; n += QUARTER",
            "n + QUARTER <= width; n += QUARTER",
            SUMS,
        ),
    ),
    (
        "nehalem-gcc-O2",
        Fault("weights beyond are read", SSE41, "end - w < 4 * QUARTER", "end - w < 0", CRASH),
    ),
    (
        "nehalem-gcc-O2",
        Fault(
            "tie bit not cleared",
            SSE41,
            "return _mm_andnot_si128(_mm_srli_epi32(tie, 31), value);",
            "return (void)tie, value;",
            ROUNDED,
        ),
    ),
    (
        "m4-gcc-O2",
        Fault("rows swapped", DSP, "smlad r6, r9, lr, r6", "smlad r6, r11, lr, r6", SUMS),
    ),
    (
        "m4-gcc-O2",
        Fault("lanes swapped", DSP, "widen(word_at(w + 12), 1)", "widen(word_at(w + 8), 1)", SUMS),
    ),
    ("m4-gcc-O2", Fault("sums of the codes before are lost", DSP, "more = 1;", "more = 0;", SUMS)),
    ("m4-gcc-O2", Fault("tie bit not cleared", DSP, "value &= ~1;", "value &= ~0;", ROUNDED)),
    ("m55-gcc-O2", Fault("rows swapped", MVE, "str r8, [r0, #128]", "str r10, [r0, #128]", SUMS)),
    (
        "m55-gcc-O2",
        Fault("codes flipped halfway", MVE, "vmov.i8 q3, #128\\n", "vmov.i8 q3, #64\\n", SUMS),
    ),
    (
        "m55-gcc-O2",
        Fault("tie bit not cleared", MVE, "vbict.i32 q3, #1", "vbict.i32 q3, #0", ROUNDED),
    ),
    ("aarch64-gcc-O2", Fault("weights beyond are read", NEON, "i < 4 * channels", "i < 16", CRASH)),
    (
        "aarch64-gcc-O2",
        Fault("tail forgotten", NEON, "n < channels; ++n", "n + 1 < channels; ++n", SUMS),
    ),
    (
        "aarch64-gcc-O2",
        Fault("tie bit not cleared", NEON, "vdupq_n_s32(-2)", "vdupq_n_s32(-1)", ROUNDED),
    ),
    (
        "aarch64-gcc-dotprod",
        Fault("lanes swapped", NEON, "DOT(sums, w[1], x, 1)", "DOT(sums, w[1], x, 2)", SUMS),
    ),
    (
        "aarch64-gcc-dotprod",
        Fault("codes flipped halfway", NEON, "vdupq_n_u8(0x80)", "vdupq_n_u8(0x40)", SUMS),
    ),
    ("armhf-gcc-O3", Fault("weights beyond are read", NEON, "i < 4 * channels", "i < 16", CRASH)),
    (
        "wasm32-zig-simd",
        Fault(
            "lanes swapped", WASM, "shuffle(a, b, 0, 2, 4, 6)", "shuffle(a, b, 0, 2, 6, 4)", SUMS
        ),
    ),
    (
        "wasm32-zig-simd",
        Fault("weights beyond are read", WASM, "i < 4 * channels", "i < 16", CRASH),
    ),
    (
        "wasm32-zig-simd",
        Fault(
            "tie bit not cleared",
            WASM,
            "wasm_i32x4_const_splat(-2)",
            "wasm_i32x4_const_splat(-1)",
            ROUNDED,
        ),
    ),
    ("riscv64-zig-v128", Fault("codes swapped", RVV, "ADD_CODES(3);", "ADD_CODES(2);", SUMS)),
    (
        "riscv64-zig-v256",
        Fault("rows swapped", RVV, "sums1, code_at(x1 + k", "sums1, code_at(x2 + k", SUMS),
    ),
    ("riscv64-zig-v128", Fault("ties up", RVV, "__RISCV_VXRM_RNE", "__RISCV_VXRM_RNU", ROUNDED)),
)


def _first_usable() -> Target:
    for target in default_targets():
        if target.missing() is None:
            return target
    pytest.skip("no C compiler is installed, not even ziglang")


def _see(fault: Fault, target: Target) -> None:
    missing = target.missing()
    if missing is not None:
        pytest.skip(f"{target.name}: {missing}")
    files = sources()
    text = files[fault.file].decode("utf-8")
    assert fault.right in text, f"{fault.what}: {fault.file} no longer holds {fault.right!r}"
    altered = text.replace(fault.right, fault.wrong)
    # Behind the first line that includes something.
    head, include, rest = altered.partition('#include "../inc/microkernels.h"\n')
    if include and "saturated(" in rest:
        altered = f"{head}{include}{SATURATED}{rest}"
    files[fault.file] = altered.encode("utf-8")
    if fault.shown in (CODES, OUTSIDE):
        # Runs are made of the same functions: they would meet the fault first.
        every, single = b"run_requantize, run_positions,", b"run_requantize, run_requantize,"
        assert every in files["check.c"]
        files["check.c"] = (
            files["check.c"].replace(every, single).replace(b"run_panels};", b"run_requantize};")
        )
    # The faulty code may well earn warnings; what counts is that the check shows it.
    proof = prove(replace(target, flags=(*target.flags, "-w")), files=files)
    assert proof.fault is not None, f"{fault.what}: nobody saw it on {target.name}"
    assert re.search(fault.shown, proof.fault), proof.fault
    assert f"again: python -m tests.runtime.proving {target.name} --seed" in proof.fault


@pytest.mark.parametrize("fault", slow_but([0, 4, 8, 25], FAULTS), ids=lambda fault: fault.what)
def test_faults_of_the_portable_kernels(fault: Fault) -> None:
    _see(fault, _first_usable())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fault"), SPECIAL, ids=[f"{name}: {fault.what}" for name, fault in SPECIAL]
)
def test_faults_of_an_instruction_set(name: str, fault: Fault) -> None:
    (target,) = select([name])
    _see(fault, target)


READS = [fault for fault in FAULTS if fault.shown == CRASH]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "gcc-asan",
        "wasm32-zig-O2",
        "m4-gcc-O2",
        "m7-gcc-O2",
        "m55-gcc-O2",
        "rv32-gcc-O2",
        "s390x-gcc-O2",
    ],
)
@pytest.mark.parametrize("fault", READS, ids=lambda fault: fault.what)
def test_reads_beyond_an_array_are_faults_everywhere(fault: Fault, name: str) -> None:
    (target,) = select([name])
    _see(fault, target)
