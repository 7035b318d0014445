/*
 * AVX-512 in parts: the intrinsics of the micro-kernels (micro_*avx512.c) written in AVX2 and in C, and a processor that claims to
 * have them. Included before every file of a build (`-include`), so that those kernels run on every x86 with AVX2, and can be
 * checked, measured and altered there; it says nothing of speed, and products never see it.
 *
 * An intrinsic does what Intel's guide says, lane by lane; what AVX2 does to 128 or 256 bits in the same way AVX2 does here, to
 * halves. What the guide leaves undefined has a value of its own here. Lanes that a mask turns off are neither read nor written
 * in memory. Rounding is to nearest and comparing asks for NaNs, or else it traps; sums, products and quotients of floats round as
 * MXCSR says, which the runtime wants to nearest too (float_probe.h).
 *
 * Compilers make such instructions by themselves where a function's target has them, so that targets lose them here. What is
 * missing below does not compile for that reason. Vectors of 512 bits go from function to function in memory, here and in the
 * kernels alike, of which gcc and clang warn: -Wno-psabi (rows.py).
 *
 * ARES_CLAIMED: the bits that are claimed of VBMI (2) and VNNI (2048), of CPUID's leaf 7, ecx; without it both.
 */
#ifndef ARES_AVX512_IN_PARTS_H
#define ARES_AVX512_IN_PARTS_H

#include "avx512_meaning.h"

#include <cpuid.h>

#if !defined(ARES_CLAIMED)
#define ARES_CLAIMED 0x802u
#endif

/* --- Sums of products: exact in 32 bits, but for what goes over. */

PARTS __m512i parts_dpwssd_epi32(__m512i sum, __m512i a, __m512i b)
{
    return parts_add_epi32(sum, parts_madd_epi16(a, b));
}

/* u8 by s8, the even bytes and the odd ones. */
PARTS __m512i parts_dpbusd_epi32(__m512i sum, __m512i u, __m512i s)
{
    const parts_vector x = {.all = u};
    const parts_vector y = {.all = s};
    parts_vector z = {.all = sum};
    for (int i = 0; i < 2; ++i) {
        const __m256i even_u = _mm256_and_si256(x.half[i], _mm256_set1_epi16(0xff));
        const __m256i odd_u = _mm256_srli_epi16(x.half[i], 8);
        const __m256i even_s = _mm256_srai_epi16(_mm256_slli_epi16(y.half[i], 8), 8);
        const __m256i odd_s = _mm256_srai_epi16(y.half[i], 8);
        const __m256i even = _mm256_madd_epi16(even_u, even_s);
        const __m256i odd = _mm256_madd_epi16(odd_u, odd_s);
        z.half[i] = _mm256_add_epi32(z.half[i], _mm256_add_epi32(even, odd));
    }
    return z.all;
}

PARTS int parts_reduce_add_epi32(__m512i a)
{
    const parts_vector x = {.all = a};
    uint32_t sum = 0;
    for (int i = 0; i < 16; ++i) {
        sum += x.u32[i];
    }
    return (int)sum;
}

/* --- Floats. */

#define PARTS_FLOATS(name)                                                                         \
    PARTS __m512 parts_##name(__m512 a, __m512 b)                                                  \
    {                                                                                              \
        const parts_vector x = {.floats = a};                                                      \
        const parts_vector y = {.floats = b};                                                      \
        const parts_vector z = {.float_half = {_mm256_##name(x.float_half[0], y.float_half[0]),    \
                                               _mm256_##name(x.float_half[1], y.float_half[1])}};  \
        return z.floats;                                                                           \
    }

PARTS_FLOATS(add_ps)
PARTS_FLOATS(div_ps)
PARTS_FLOATS(max_ps)
PARTS_FLOATS(min_ps)
PARTS_FLOATS(mul_ps)

#define PARTS_TO_NEAREST (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

PARTS __m512 parts_mul_round_ps(__m512 a, __m512 b, int how)
{
    if (how != PARTS_TO_NEAREST) {
        __builtin_trap();
    }
    return parts_mul_ps(a, b);
}

PARTS __m512i parts_cvt_roundps_epi32(__m512 a, int how)
{
    const parts_vector x = {.floats = a};
    if (how != PARTS_TO_NEAREST) {
        __builtin_trap();
    }
    return parts_join(_mm256_cvtps_epi32(_mm256_round_ps(x.float_half[0], PARTS_TO_NEAREST)),
                      _mm256_cvtps_epi32(_mm256_round_ps(x.float_half[1], PARTS_TO_NEAREST)));
}

PARTS __m512 parts_cvtepi32_ps(__m512i a)
{
    const parts_vector z = {
        .float_half = {_mm256_cvtepi32_ps(parts_half(a, 0)), _mm256_cvtepi32_ps(parts_half(a, 1))}};
    return z.floats;
}

/* Neither is a NaN. */
PARTS __mmask16 parts_cmp_ps_mask(__m512 a, __m512 b, int how)
{
    if (how != _CMP_ORD_Q) {
        __builtin_trap();
    }
    const parts_vector x = {.floats = a};
    const parts_vector y = {.floats = b};
    const int low = _mm256_movemask_ps(_mm256_cmp_ps(x.float_half[0], y.float_half[0], _CMP_ORD_Q));
    const int high =
        _mm256_movemask_ps(_mm256_cmp_ps(x.float_half[1], y.float_half[1], _CMP_ORD_Q));
    return (__mmask16)(low | high << 8);
}

PARTS void parts_storeu_ps(void *to, __m512 a)
{
    memcpy(to, &a, sizeof a);
}

PARTS __m512 parts_set1_ps(float a)
{
    return (__m512){0} + a;
}

/* --- One number in all lanes. */

#define PARTS_ALL_LANES(name, lane, element, type)                                                 \
    PARTS __m512i parts_##name(lane a)                                                             \
    {                                                                                              \
        return PARTS_SET1(type, (element)a);                                                       \
    }

PARTS_ALL_LANES(set1_epi8, char, int8_t, parts_s8x64)
PARTS_ALL_LANES(set1_epi16, short, int16_t, parts_s16x32)
PARTS_ALL_LANES(set1_epi32, int, int32_t, parts_s32x16)
PARTS_ALL_LANES(set1_epi64, long long, int64_t, parts_s64x8)

PARTS __m512i parts_reversed(parts_s32x16 a)
{
    parts_vector z;
    for (int i = 0; i < 16; ++i) {
        z.s32[i] = a[15 - i];
    }
    return z.all;
}

PARTS __m256i parts_abs_epi64(__m256i a)
{
    const __m256i sign = _mm256_cmpgt_epi64(_mm256_setzero_si256(), a);
    return _mm256_sub_epi64(_mm256_xor_si256(a, sign), sign);
}

/* --- The processor. */

__attribute__((unused)) static inline int parts_cpuid(unsigned leaf, unsigned sub, unsigned *a,
                                                      unsigned *b, unsigned *c, unsigned *d)
{
    const int is_known = __get_cpuid_count(leaf, sub, a, b, c, d);
    if (is_known && leaf == 7 && (*b & 1u << 5) != 0) {  /* AVX2 */
        *b |= 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW and VL */
        *c = (*c & ~0x802u) | ARES_CLAIMED;
    }
    return is_known;
}

#define __get_cpuid_count parts_cpuid
#define target(features) target(features ",no-avx512f")

/* Asked what the system keeps (micro_x86.c), it keeps ZMM too. The function's own definition stays as it is. */
#define kept_registers(nothing) parts_kept_##nothing
#define parts_kept_void kept_registers(void)
#define parts_kept_ (kept_registers() | 0xe0u)

/* --- The names. A condition in an operand of a macro with operands would not be counted: there is none. */

/* Of some compilers these are macros. */
#undef _mm512_cmp_ps_mask
#undef _mm512_cmpeq_epu8_mask
#undef _mm512_cmpgt_epi32_mask
#undef _mm512_cmpgt_epu8_mask
#undef _mm512_cmplt_epu8_mask
#undef _mm512_cvt_roundps_epi32
#undef _mm512_extracti32x4_epi32
#undef _mm512_extracti64x4_epi64
#undef _mm512_inserti32x4
#undef _mm512_inserti64x4
#undef _mm512_mask_cmpeq_epu8_mask
#undef _mm512_mask_cmpgt_epu8_mask
#undef _mm512_mask_cmplt_epu32_mask
#undef _mm512_mask_shuffle_epi32
#undef _mm512_mul_round_ps
#undef _mm512_setr_epi32
#undef _mm512_setr_epi64
#undef _mm512_shuffle_epi32
#undef _mm512_shuffle_i32x4
#undef _mm512_shuffle_ps
#undef _mm512_slli_epi16
#undef _mm512_slli_epi32
#undef _mm512_slli_epi64
#undef _mm512_srai_epi32
#undef _mm512_srai_epi64
#undef _mm512_srli_epi16
#undef _mm512_srli_epi32
#undef _mm512_srli_epi64

/* Written from lane 0 on. */
#define _mm512_set1_epi8 parts_set1_epi8
#define _mm512_set1_epi16 parts_set1_epi16
#define _mm512_set1_epi32 parts_set1_epi32
#define _mm512_set1_epi64 parts_set1_epi64
#define _mm512_set1_ps parts_set1_ps
#define _mm512_set_epi32(...) parts_reversed((parts_s32x16){__VA_ARGS__})
#define _mm512_setr_epi32(...) ((__m512i)(parts_s32x16){__VA_ARGS__})
#define _mm512_setr_epi64(...) ((__m512i)(parts_s64x8){__VA_ARGS__})
#define _mm512_setzero_si512() PARTS_SET1(parts_s64x8, 0)

/* The same bits. */
#define _mm512_castps_si512(a) ((__m512i)(a))
#define _mm512_castsi512_ps(a) ((__m512)(a))
#define _mm512_castsi128_si512 parts_castsi128_si512
#define _mm512_castsi512_si128(a) parts_extracti32x4_epi32(a, 0)
#define _mm512_castsi512_si256(a) parts_half(a, 0)
#define _mm512_extracti64x4_epi64 parts_half
#define _mm512_loadu_ps(from) ((__m512)parts_loadu_si512(from))
#define _mm512_storeu_ps parts_storeu_ps
#define _mm512_mask_blend_ps(k, a, b) ((__m512)parts_mask_mov_epi32((__m512i)(a), k, (__m512i)(b)))

/* 256 and 128 bits: the low ones of 512. */
#define PARTS_WIDE(a) parts_castsi256_si512(a)
#define PARTS_LOW(a) parts_half(a, 0)
#define PARTS_4(k) ((__mmask8)((k) & 0xf))
#define _mm256_abs_epi64 parts_abs_epi64
#define _mm256_mullo_epi64(a, b) PARTS_LOW(parts_mullo_epi64(PARTS_WIDE(a), PARTS_WIDE(b)))
#define _mm256_sra_epi64(a, count) PARTS_LOW(parts_sra_epi64(PARTS_WIDE(a), count))
#define _mm256_movepi64_mask(a) PARTS_4(parts_movepi64_mask(PARTS_WIDE(a)))
#define _mm256_testn_epi64_mask(a, b) PARTS_4(parts_testn_epi64_mask(PARTS_WIDE(a), PARTS_WIDE(b)))
#define _mm256_mask_and_epi64(rest, k, a, b)                                                       \
    PARTS_LOW(parts_mask_and_epi64(PARTS_WIDE(rest), k, PARTS_WIDE(a), PARTS_WIDE(b)))
#define _mm256_mask_sub_epi64(rest, k, a, b)                                                       \
    PARTS_LOW(parts_mask_sub_epi64(PARTS_WIDE(rest), k, PARTS_WIDE(a), PARTS_WIDE(b)))
#define _mm256_maskz_mov_epi64(k, a)                                                               \
    PARTS_LOW(parts_mask_mov_epi64(PARTS_SET1(parts_s64x8, 0), k, PARTS_WIDE(a)))
#define _mm256_maskz_loadu_epi8(k, from) PARTS_LOW(parts_maskz_loadu_epi8((__mmask32)(k), from))
#define _mm256_maskz_loadu_epi32(k, from) PARTS_LOW(parts_maskz_loadu_epi32((__mmask8)(k), from))
#define _mm256_maskz_loadu_epi64(k, from) PARTS_LOW(parts_maskz_loadu_epi64(PARTS_4(k), from))
#define _mm_maskz_loadu_epi8(k, from)                                                              \
    parts_extracti32x4_epi32(parts_maskz_loadu_epi8((__mmask16)(k), from), 0)
#define _mm_mask_storeu_epi8(to, k, a)                                                             \
    parts_mask_storeu_epi8(to, (__mmask16)(k), parts_broadcast_i32x4(a))

/* 512 bits, and nothing more to say. */
#define _mm512_mask_mov_epi8 parts_mask_mov_epi8
#define _mm512_add_epi32 parts_add_epi32
#define _mm512_add_epi64 parts_add_epi64
#define _mm512_add_ps parts_add_ps
#define _mm512_and_si512 parts_and_si512
#define _mm512_andnot_si512 parts_andnot_si512
#define _mm512_broadcast_i32x4 parts_broadcast_i32x4
#define _mm512_castsi256_si512 parts_castsi256_si512
#define _mm512_cmp_ps_mask parts_cmp_ps_mask
#define _mm512_cmpeq_epu8_mask parts_cmpeq_epu8_mask
#define _mm512_cmpgt_epi32_mask parts_cmpgt_epi32_mask
#define _mm512_cmpgt_epu8_mask parts_cmpgt_epu8_mask
#define _mm512_cmplt_epu8_mask parts_cmplt_epu8_mask
#define _mm512_cvt_roundps_epi32 parts_cvt_roundps_epi32
#define _mm512_cvtepi16_epi64 parts_cvtepi16_epi64
#define _mm512_cvtepi32_epi64 parts_cvtepi32_epi64
#define _mm512_cvtepi32_epi8 parts_cvtepi32_epi8
#define _mm512_cvtepi32_ps parts_cvtepi32_ps
#define _mm512_cvtepi64_epi8 parts_cvtepi64_epi8
#define _mm512_cvtepi8_epi16 parts_cvtepi8_epi16
#define _mm512_cvtepi8_epi32 parts_cvtepi8_epi32
#define _mm512_cvtepi8_epi64 parts_cvtepi8_epi64
#define _mm512_cvtepu16_epi64 parts_cvtepu16_epi64
#define _mm512_cvtepu32_epi64 parts_cvtepu32_epi64
#define _mm512_cvtepu8_epi16 parts_cvtepu8_epi16
#define _mm512_cvtepu8_epi32 parts_cvtepu8_epi32
#define _mm512_cvtepu8_epi64 parts_cvtepu8_epi64
#define _mm512_div_ps parts_div_ps
#define _mm512_dpbusd_epi32 parts_dpbusd_epi32
#define _mm512_dpwssd_epi32 parts_dpwssd_epi32
#define _mm512_extracti32x4_epi32 parts_extracti32x4_epi32
#define _mm512_inserti32x4 parts_inserti32x4
#define _mm512_inserti64x4 parts_inserti64x4
#define _mm512_loadu_si512 parts_loadu_si512
#define _mm512_madd_epi16 parts_madd_epi16
#define _mm512_mask_add_epi64 parts_mask_add_epi64
#define _mm512_mask_and_epi32 parts_mask_and_epi32
#define _mm512_mask_and_epi64 parts_mask_and_epi64
#define _mm512_mask_cmpeq_epu8_mask parts_mask_cmpeq_epu8_mask
#define _mm512_mask_cmpgt_epu8_mask parts_mask_cmpgt_epu8_mask
#define _mm512_mask_cmplt_epu32_mask parts_mask_cmplt_epu32_mask
#define _mm512_mask_loadu_epi8 parts_mask_loadu_epi8
#define _mm512_mask_max_epu8 parts_mask_max_epu8
#define _mm512_mask_mov_epi16 parts_mask_mov_epi16
#define _mm512_mask_mov_epi32 parts_mask_mov_epi32
#define _mm512_mask_or_epi32 parts_mask_or_epi32
#define _mm512_mask_shuffle_epi32 parts_mask_shuffle_epi32
#define _mm512_mask_shuffle_epi8 parts_mask_shuffle_epi8
#define _mm512_mask_storeu_epi32 parts_mask_storeu_epi32
#define _mm512_mask_storeu_epi8 parts_mask_storeu_epi8
#define _mm512_mask_testn_epi32_mask parts_mask_testn_epi32_mask
#define _mm512_maskz_loadu_epi32 parts_maskz_loadu_epi32
#define _mm512_maskz_loadu_epi64 parts_maskz_loadu_epi64
#define _mm512_maskz_loadu_epi8 parts_maskz_loadu_epi8
#define _mm512_max_epi32 parts_max_epi32
#define _mm512_max_epi64 parts_max_epi64
#define _mm512_max_epi8 parts_max_epi8
#define _mm512_max_epu8 parts_max_epu8
#define _mm512_max_ps parts_max_ps
#define _mm512_min_epi32 parts_min_epi32
#define _mm512_min_epi64 parts_min_epi64
#define _mm512_min_epi8 parts_min_epi8
#define _mm512_min_epu32 parts_min_epu32
#define _mm512_min_epu8 parts_min_epu8
#define _mm512_min_ps parts_min_ps
#define _mm512_movepi32_mask parts_movepi32_mask
#define _mm512_movepi8_mask parts_movepi8_mask
#define _mm512_mul_epi32 parts_mul_epi32
#define _mm512_mul_epu32 parts_mul_epu32
#define _mm512_mul_round_ps parts_mul_round_ps
#define _mm512_mullo_epi64 parts_mullo_epi64
#define _mm512_or_si512 parts_or_si512
#define _mm512_packs_epi16 parts_packs_epi16
#define _mm512_packs_epi32 parts_packs_epi32
#define _mm512_packus_epi16 parts_packus_epi16
#define _mm512_permutex2var_epi64 parts_permutex2var_epi64
#define _mm512_permutex2var_epi8 parts_permutex2var_epi8
#define _mm512_permutexvar_epi32 parts_permutexvar_epi32
#define _mm512_permutexvar_epi64 parts_permutexvar_epi64
#define _mm512_permutexvar_epi8 parts_permutexvar_epi8
#define _mm512_reduce_add_epi32 parts_reduce_add_epi32
#define _mm512_rorv_epi64 parts_rorv_epi64
#define _mm512_shuffle_epi32 parts_shuffle_epi32
#define _mm512_shuffle_epi8 parts_shuffle_epi8
#define _mm512_shuffle_i32x4 parts_shuffle_i32x4
#define _mm512_shuffle_ps parts_shuffle_ps
#define _mm512_sll_epi32 parts_sll_epi32
#define _mm512_sll_epi64 parts_sll_epi64
#define _mm512_slli_epi16 parts_slli_epi16
#define _mm512_slli_epi32 parts_slli_epi32
#define _mm512_slli_epi64 parts_slli_epi64
#define _mm512_sllv_epi32 parts_sllv_epi32
#define _mm512_sllv_epi64 parts_sllv_epi64
#define _mm512_sra_epi32 parts_sra_epi32
#define _mm512_sra_epi64 parts_sra_epi64
#define _mm512_srai_epi32 parts_srai_epi32
#define _mm512_srai_epi64 parts_srai_epi64
#define _mm512_srav_epi32 parts_srav_epi32
#define _mm512_srav_epi64 parts_srav_epi64
#define _mm512_srli_epi16 parts_srli_epi16
#define _mm512_srli_epi32 parts_srli_epi32
#define _mm512_srli_epi64 parts_srli_epi64
#define _mm512_srlv_epi32 parts_srlv_epi32
#define _mm512_srlv_epi64 parts_srlv_epi64
#define _mm512_storeu_si512 parts_storeu_si512
#define _mm512_sub_epi32 parts_sub_epi32
#define _mm512_sub_epi64 parts_sub_epi64
#define _mm512_sub_epi8 parts_sub_epi8
#define _mm512_test_epi32_mask parts_test_epi32_mask
#define _mm512_test_epi64_mask parts_test_epi64_mask
#define _mm512_test_epi8_mask parts_test_epi8_mask
#define _mm512_testn_epi32_mask parts_testn_epi32_mask
#define _mm512_testn_epi64_mask parts_testn_epi64_mask
#define _mm512_unpackhi_epi16 parts_unpackhi_epi16
#define _mm512_unpackhi_epi32 parts_unpackhi_epi32
#define _mm512_unpackhi_epi64 parts_unpackhi_epi64
#define _mm512_unpackhi_epi8 parts_unpackhi_epi8
#define _mm512_unpacklo_epi16 parts_unpacklo_epi16
#define _mm512_unpacklo_epi32 parts_unpacklo_epi32
#define _mm512_unpacklo_epi64 parts_unpacklo_epi64
#define _mm512_unpacklo_epi8 parts_unpacklo_epi8
#define _mm512_xor_si512 parts_xor_si512

#endif
