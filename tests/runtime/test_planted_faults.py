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
EITHER = f"{CODES}|{OUTSIDE}"
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
        PORTABLE,
        "value & ~1 : value",
        "value : value",
        CODES,
    ),
    Fault("ties by the high word alone", PORTABLE, "low == 0 && ", "", CODES),
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
        EITHER,
    ),
    Fault("no upper bound", PORTABLE, "value > hi ? hi : value;", "value;", EITHER),
    Fault(
        "value cut before it is limited",
        PORTABLE,
        "if (ares_floor_shift_32(high, shift - 1) != ares_floor_shift_32(high, 31)) {",
        "if (0) {",
        CODES,
    ),
    Fault(
        "all that fits no word at one end",
        PORTABLE,
        "return high < 0 ? lo : hi;",
        "return lo;",
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
ADDED = "wrong ares_add_some code"
ROUNDED_OR_ADDED = f"{ROUNDED}|{ADDED}"
ADDING = "runtime/inc/micro_add.h"
AVX512, AVX2, SSE41 = (f"runtime/src/micro_{name}.c" for name in ("avx512", "avx2", "sse41"))
AVX512_CODES = "runtime/inc/micro_avx512.h"
AVX512_STEPS = "runtime/src/micro_steps_avx512.c"
DSP, MVE, NEON = (f"runtime/src/micro_{name}.c" for name in ("dsp", "mve", "neon"))
WASM, RVV, VECTORS = (f"runtime/src/micro_{name}.c" for name in ("wasm", "rvv", "vectors"))

# The target that runs the kernels, and what is done to them.
STEPS = tuple(
    ("gcc-vnni", Fault(what, AVX512_STEPS, right, wrong, "wrong ares_run_panels code"))
    for what, right, wrong in (
        ("places of steps are taken for known", "unknown & there(some, width)", "unknown & 0"),
        (
            "a step from the part behind it on",
            "_mm512_set1_epi64(odd ? 32",
            "_mm512_set1_epi64(odd ? 31",
        ),
        ("no lower bound", "_mm512_max_epi64(total, zero)", "total"),
        ("256 buckets of 512", "find(tables, fours, count, 1);", "find(tables, fours, count, 0);"),
        ("places by their high byte", "_mm512_mask_cmpgt_epu8_mask(same, four->low, low[i])", "0"),
        ("rows swapped", "0x3f3b3733, 0x2f2b2723", "0x3e3a3632, 0x2f2b2723"),
    )
)
BEYOND_WORDS = tuple(
    (target, Fault(what, file, right, wrong, ROUNDED))
    for target, file, what, right, wrong in (
        (
            "gcc-vnni",
            AVX512_CODES,
            "beyond int32 is cut",
            "bits = _mm512_mask_mov_epi32(bits, beyond, last);",
            "(void)last; (void)beyond;",
        ),
        (
            "gcc-vnni",
            AVX512_CODES,
            "beyond int32 may be a tie",
            "less, _mm512_sllv_epi32(low, up), more)",
            "less, _mm512_sllv_epi32(low, up), _mm512_sllv_epi32(low, up))",
        ),
        (
            "haswell-gcc-O2",
            AVX2,
            "beyond int32 is cut",
            "selected(last, bits, fits)",
            "((void)fits, (void)last, bits)",
        ),
        (
            "haswell-gcc-O2",
            AVX2,
            "beyond int32 may be a tie",
            "_mm256_or_si256(_mm256_sllv_epi32(bottom, up), more)",
            "_mm256_sllv_epi32(bottom, up)",
        ),
        (
            "nehalem-gcc-O2",
            SSE41,
            "beyond int32 is cut",
            "return _mm_blendv_epi8(bits, last, beyond);",
            "return (void)last, bits;",
        ),
        (
            "nehalem-gcc-O2",
            SSE41,
            "beyond int32 may be a tie",
            "_mm_or_si128(beyond, lanes_of(even_low",
            "_mm_or_si128(_mm_setzero_si128(), lanes_of(even_low",
        ),
        (
            "nehalem-gcc-O2",
            SSE41,
            "33 among the small shifts",
            "less[n] = shift <= 32",
            "less[n] = shift <= 33",
        ),
    )
)
LIMITS_OF_STEPS = tuple(
    (
        target,
        Fault(
            "one channel's steps for all",
            file,
            "ares_least_value(rescale, first + n)",
            "ares_least_value(rescale, first)",
            f"{ROUNDED}|{CRASH}",
        ),
    )
    for target, file in (("gcc-vnni", AVX512), ("haswell-gcc-O2", AVX2), ("nehalem-gcc-O2", SSE41))
)
SPECIAL = (
    *STEPS,
    *BEYOND_WORDS,
    *LIMITS_OF_STEPS,
    (
        "gcc-portable",
        Fault(
            "codes always signed",
            VECTORS,
            "TILE_4X4(tile_4x4_u8, U8)",
            "TILE_4X4(tile_4x4_u8, S8)",
            SUMS,
        ),
    ),
    (
        "gcc-portable",
        Fault(
            "two products in 16 bits",
            VECTORS,
            "return ((s32x4)((u32x4)products << 16) >> 16) + ((s32x4)products >> 16);",
            "return (s32x4)((u32x4)(products + (s16x8)((s32x4)products >> 16)) << 16) >> 16;",
            SUMS,
        ),
    ),
    (
        "gcc-portable",
        Fault("last channels forgotten", VECTORS, "n < width; n += 4", "n < last; n += 4", SUMS),
    ),
    (
        "gcc-portable",
        Fault("rows beyond are read", VECTORS, "rows->rows > 2 ? 2 : 0", "2", CRASH),
    ),
    (
        "gcc-portable",
        Fault(
            "weights beyond are read",
            VECTORS,
            "const int32_t c = n < last ? n : last;",
            "const int32_t c = n;",
            CRASH,
        ),
    ),
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
            ROUNDED,
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
            AVX512_CODES,
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
    (
        "m4-gcc-O2",
        Fault("tie bit not cleared, steps", DSP, "bic r9, r9, #1", "bic r9, r9, #0", ROUNDED),
    ),
    ("m4-gcc-O2", Fault("all fits a word", DSP, "bne 4f", "nop", ROUNDED)),
    (
        "m4-gcc-O2",
        Fault("thresholds one too far", DSP, "sub r4, r4, #4", "sub r4, r4, #0", ROUNDED),
    ),
    ("m4-gcc-O2", Fault("below the steps", DSP, "movlt r11, #0", "movlt r11, r8", ROUNDED)),
    ("m55-gcc-O2", Fault("rows swapped", MVE, "str r8, [r0, #128]", "str r10, [r0, #128]", SUMS)),
    (
        "m55-gcc-O2",
        Fault("codes flipped halfway", MVE, "vmov.i8 q3, #128\\n", "vmov.i8 q3, #64\\n", SUMS),
    ),
    (
        "m55-gcc-O2",
        Fault("tie bit not cleared", MVE, "vbict.i32 q3, #1", "vbict.i32 q3, #0", ROUNDED),
    ),
    (
        "m55-gcc-O2",
        Fault(
            "tie bit not cleared, small shifts", MVE, "vbic.i32 q3, #1", "vbic.i32 q3, #0", ROUNDED
        ),
    ),
    (
        "m55-gcc-O2",
        Fault("all fits a word", MVE, "vqshl.s32 q2", "vshl.s32 q2", ROUNDED),
    ),
    (
        "m55-gcc-O2",
        Fault("lower parts beside the last word", MVE, "veor q0, q0, q3", "vmov q0, q0", ROUNDED),
    ),
    (
        "m55-gcc-O2",
        Fault("step after its threshold", MVE, "vpt.s32 ge", "vpt.s32 gt", ROUNDED),
    ),
    (
        "m55-gcc-O2",
        Fault("tie bit not cleared, sums", MVE, "vbict.i32 q0, #1", "vbict.i32 q0, #0", ADDED),
    ),
    (
        "m55-gcc-O2",
        Fault("ties by the lower part alone", MVE, "vcmpt.i32 eq, q1, zr", "nop", ADDED),
    ),
    (
        "m55-gcc-O2",
        Fault("lower parts unsigned", MVE, "vshr.s32 q0, q3, #16", "vshr.u32 q0, q3, #16", ADDED),
    ),
    (
        "m55-gcc-O2",
        Fault(
            "the second code as the first",
            MVE,
            "} else if (in0_signed) {",
            "} else if (in1_signed) {",
            ADDED,
        ),
    ),
    (
        "m55-gcc-O2",
        Fault("sums leave their words", ADDING, "<< 47) - 1", "<< 50) - 1", ADDED),
    ),
    ("aarch64-gcc-O2", Fault("weights beyond are read", NEON, "i < 4 * channels", "i < 16", CRASH)),
    (
        "aarch64-gcc-O2",
        Fault("tail forgotten", NEON, "n < channels; ++n", "n + 1 < channels; ++n", SUMS),
    ),
    (
        "aarch64-gcc-O2",
        Fault("tie bit not cleared", NEON, "vdupq_n_s32(-2)", "vdupq_n_s32(-1)", ROUNDED_OR_ADDED),
    ),
    (
        "aarch64-gcc-O2",
        Fault("what is lifted wraps", NEON, "vqshlq_s64(high", "vshlq_s64(high", ROUNDED),
    ),
    (
        "aarch64-gcc-O2",
        Fault(
            "step lanes swapped",
            NEON,
            "vgetq_lane_s32(values, 3)",
            "vgetq_lane_s32(values, 2)",
            ROUNDED,
        ),
    ),
    (
        "armhf-gcc-O3",
        Fault(
            "nothing is carried",
            NEON,
            "vsraq_n_s32(high, low, 16)",
            "high",
            ADDED,
        ),
    ),
    (
        "aarch64-gcc-O2",
        Fault(
            "codes are not flipped",
            NEON,
            "p->input1_signed ? 128 : 0",
            "p->input0_signed ? 128 : 0",
            ADDED,
        ),
    ),
    (
        "aarch64-gcc-O2",
        Fault(
            "nothing is added in vectors",
            NEON,
            "p->count - p->count % 16",
            "0",
            "wrong ares_add_some number",
        ),
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
    (
        "wasm32-zig-simd",
        Fault(
            "all fits a word",
            WASM,
            "wasm_i32x4_eq(inside, upper)",
            "wasm_i32x4_eq(upper, upper)",
            ROUNDED,
        ),
    ),
    (
        "wasm32-zig-simd",
        Fault(
            "step lanes swapped",
            WASM,
            "wasm_u32x4_extract_lane(bucket, 3)",
            "wasm_u32x4_extract_lane(bucket, 2)",
            f"{ROUNDED}|{CRASH}",
        ),
    ),
    ("riscv64-zig-v128", Fault("codes swapped", RVV, "ADD_CODES(3);", "ADD_CODES(2);", SUMS)),
    (
        "riscv64-zig-v256",
        Fault("rows swapped", RVV, "sums1, code_at(x1 + k", "sums1, code_at(x2 + k", SUMS),
    ),
    (
        "riscv64-zig-v128",
        Fault("step after its threshold", RVV, "vmsle_vv_i32m2", "vmslt_vv_i32m2", ROUNDED),
    ),
    ("riscv64-zig-v128", Fault("ties up", RVV, "__RISCV_VXRM_RNE", "__RISCV_VXRM_RNU", ROUNDED)),
)


def _first_usable() -> Target:
    for target in default_targets():
        if target.missing() is None:
            return target
    pytest.skip("no C compiler is installed, not even ziglang")


def _see(fault: Fault, target: Target) -> None:
    if fault.file == AVX512_STEPS:
        target = replace(target, features=(*target.features, "avx512vbmi"))
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
    if fault.shown in (CODES, OUTSIDE, EITHER):
        # Runs are made of the same functions: they would meet the fault first.
        every, single = b"run_positions, run_panels,", b"run_requantize, run_requantize,"
        assert every in files["check.c"]
        files["check.c"] = files["check.c"].replace(every, single)
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
