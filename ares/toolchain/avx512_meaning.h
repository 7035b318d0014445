/* What the intrinsics of avx512_in_parts.h mean, which alone includes this: the vectors of 512 bits. */
#ifndef ARES_AVX512_MEANING_H
#define ARES_AVX512_MEANING_H

#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* as files may ask behind this, when it is too late */
#endif

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Not counted where a build counts what runs; loops are no part of their caller, as compilers would unroll them all. */
#define PARTS_HOW target("avx2"), unused, no_profile_instrument_function
#define PARTS __attribute__((noinline, PARTS_HOW)) static
#define PARTS_LOOP __attribute__((noinline, PARTS_HOW)) static

typedef int8_t parts_s8x64 __attribute__((vector_size(64)));
typedef int16_t parts_s16x32 __attribute__((vector_size(64)));
typedef int32_t parts_s32x16 __attribute__((vector_size(64)));
typedef int64_t parts_s64x8 __attribute__((vector_size(64)));

/* The same in each lane. */
#define PARTS_SET1(type, value) ((__m512i)((type){0} + (value)))

/* A vector, and its lanes. */
typedef union parts_vector {
    __m512i all;
    __m512 floats;
    __m256i half[2];
    __m256 float_half[2];
    __m128i quarter[4];
    int8_t s8[64];
    uint8_t u8[64];
    int16_t s16[32];
    uint16_t u16[32];
    int32_t s32[16];
    uint32_t u32[16];
    int64_t s64[8];
    uint64_t u64[8];
} parts_vector;

PARTS __m512i parts_join(__m256i low, __m256i high)
{
    return ((parts_vector){.half = {low, high}}).all;
}

PARTS __m256i parts_half(__m512i a, int i)
{
    return ((parts_vector){.all = a}).half[i & 1];
}

/* --- Two operands, each half by AVX2. */

#define PARTS_BY_HALVES_AS(name, avx2)                                                             \
    PARTS __m512i parts_##name(__m512i a, __m512i b)                                               \
    {                                                                                              \
        return parts_join(_mm256_##avx2(parts_half(a, 0), parts_half(b, 0)),                       \
                          _mm256_##avx2(parts_half(a, 1), parts_half(b, 1)));                      \
    }
#define PARTS_BY_HALVES(name) PARTS_BY_HALVES_AS(name, name)

PARTS_BY_HALVES(add_epi32)
PARTS_BY_HALVES(add_epi64)
PARTS_BY_HALVES_AS(and_si512, and_si256)
PARTS_BY_HALVES_AS(andnot_si512, andnot_si256)
PARTS_BY_HALVES(madd_epi16)
PARTS_BY_HALVES(max_epi32)
PARTS_BY_HALVES(max_epi8)
PARTS_BY_HALVES(max_epu8)
PARTS_BY_HALVES(min_epi32)
PARTS_BY_HALVES(min_epi8)
PARTS_BY_HALVES(min_epu32)
PARTS_BY_HALVES(min_epu8)
PARTS_BY_HALVES(mul_epi32)
PARTS_BY_HALVES(mul_epu32)
PARTS_BY_HALVES_AS(or_si512, or_si256)
PARTS_BY_HALVES(packs_epi16)
PARTS_BY_HALVES(packs_epi32)
PARTS_BY_HALVES(packus_epi16)
PARTS_BY_HALVES(shuffle_epi8)
PARTS_BY_HALVES(sllv_epi32)
PARTS_BY_HALVES(sllv_epi64)
PARTS_BY_HALVES(srav_epi32)
PARTS_BY_HALVES(srlv_epi32)
PARTS_BY_HALVES(srlv_epi64)
PARTS_BY_HALVES(sub_epi32)
PARTS_BY_HALVES(sub_epi64)
PARTS_BY_HALVES(sub_epi8)
PARTS_BY_HALVES(unpackhi_epi16)
PARTS_BY_HALVES(unpackhi_epi32)
PARTS_BY_HALVES(unpackhi_epi64)
PARTS_BY_HALVES(unpackhi_epi8)
PARTS_BY_HALVES(unpacklo_epi16)
PARTS_BY_HALVES(unpacklo_epi32)
PARTS_BY_HALVES(unpacklo_epi64)
PARTS_BY_HALVES(unpacklo_epi8)
PARTS_BY_HALVES_AS(xor_si512, xor_si256)

/* --- Shifts of all lanes alike, by a vector's low 64 bits or by a number. */

#define PARTS_SHIFT_BY_HALVES(name, type)                                                          \
    PARTS __m512i parts_##name(__m512i a, type count)                                              \
    {                                                                                              \
        return parts_join(_mm256_##name(parts_half(a, 0), count),                                  \
                          _mm256_##name(parts_half(a, 1), count));                                 \
    }

PARTS_SHIFT_BY_HALVES(sll_epi32, __m128i)
PARTS_SHIFT_BY_HALVES(sll_epi64, __m128i)
PARTS_SHIFT_BY_HALVES(sra_epi32, __m128i)
PARTS_SHIFT_BY_HALVES(slli_epi16, int)
PARTS_SHIFT_BY_HALVES(slli_epi32, int)
PARTS_SHIFT_BY_HALVES(slli_epi64, int)
PARTS_SHIFT_BY_HALVES(srai_epi32, int)
PARTS_SHIFT_BY_HALVES(srli_epi16, int)
PARTS_SHIFT_BY_HALVES(srli_epi32, int)
PARTS_SHIFT_BY_HALVES(srli_epi64, int)

/* --- Lane by lane: x, y and z are the operands, i the lane, value what becomes of it. */

#define PARTS_LANES(lanes, count, value)                                                           \
    {                                                                                              \
        const parts_vector x = {.all = a};                                                         \
        const parts_vector y = {.all = b};                                                         \
        parts_vector z;                                                                            \
        for (int i = 0; i < (count); ++i) {                                                        \
            z.lanes[i] = (value);                                                                  \
        }                                                                                          \
        return z.all;                                                                              \
    }
#define PARTS_BY_LANES(name, lanes, count, value)                                                  \
    PARTS_LOOP __m512i parts_##name(__m512i a, __m512i b) PARTS_LANES(lanes, count, value)

PARTS_BY_LANES(max_epi64, s64, 8, x.s64[i] > y.s64[i] ? x.s64[i] : y.s64[i])
PARTS_BY_LANES(min_epi64, s64, 8, x.s64[i] < y.s64[i] ? x.s64[i] : y.s64[i])
PARTS_BY_LANES(mullo_epi64, u64, 8, x.u64[i] * y.u64[i])
PARTS_BY_LANES(srav_epi64, s64, 8, x.s64[i] >> (y.u64[i] < 63 ? y.u64[i] : 63))
PARTS_BY_LANES(rorv_epi64, u64, 8, x.u64[i] >> (y.u64[i] & 63) | x.u64[i] << (-y.u64[i] & 63))
/* Of a table and the places in it, whose higher bits do not count. */
PARTS_BY_LANES(permutexvar_epi8, u8, 64, y.u8[x.u8[i] & 63])
PARTS_BY_LANES(permutexvar_epi32, u32, 16, y.u32[x.u32[i] & 15])
PARTS_BY_LANES(permutexvar_epi64, u64, 8, y.u64[x.u64[i] & 7])

#define PARTS_FROM_TWO(name, lanes, count)                                                         \
    PARTS_LOOP __m512i parts_##name(__m512i a, __m512i places, __m512i b)                          \
    {                                                                                              \
        const parts_vector p = {.all = places};                                                    \
        PARTS_LANES(lanes, count,                                                                  \
                    p.lanes[i] & (count) ? y.lanes[p.lanes[i] & ((count) - 1)]                     \
                                         : x.lanes[p.lanes[i] & ((count) - 1)])                    \
    }

PARTS_FROM_TWO(permutex2var_epi8, u8, 64)
PARTS_FROM_TWO(permutex2var_epi64, u64, 8)

PARTS __m512i parts_sra_epi64(__m512i a, __m128i count)
{
    uint64_t n;
    memcpy(&n, &count, sizeof n);
    return parts_srav_epi64(a, PARTS_SET1(parts_s64x8, (int64_t)(n < 63 ? n : 63)));
}

PARTS __m512i parts_srai_epi64(__m512i a, unsigned count)
{
    return parts_sra_epi64(a, _mm_cvtsi64_si128((int64_t)count));
}

/* --- Places that an instruction's own bits name, two for each. */

#define PARTS_NAMED(i) (places >> (2 * ((i) % 4)) & 3)

/* Of each four lanes two of a, then two of b. */
PARTS_LOOP __m512i parts_shuffle_of_two(__m512i a, __m512i b, int places){
    PARTS_LANES(u32, 16, (i % 4 < 2 ? x : y).u32[i / 4 * 4 + PARTS_NAMED(i)])}

PARTS __m512i parts_shuffle_epi32(__m512i a, int places)
{
    return parts_shuffle_of_two(a, a, places);
}

PARTS __m512 parts_shuffle_ps(__m512 a, __m512 b, int places)
{
    return (__m512)parts_shuffle_of_two((__m512i)a, (__m512i)b, places);
}

PARTS_LOOP __m512i parts_shuffle_i32x4(__m512i a, __m512i b, int places){
    PARTS_LANES(u64, 8, (i < 4 ? x : y).u64[2 * PARTS_NAMED(i / 2) + i % 2])}

/* --- Whole parts. */

PARTS __m512i parts_broadcast_i32x4(__m128i a)
{
    return ((parts_vector){.quarter = {a, a, a, a}}).all;
}

PARTS __m128i parts_extracti32x4_epi32(__m512i a, int i)
{
    return ((parts_vector){.all = a}).quarter[i & 3];
}

PARTS __m512i parts_inserti32x4(__m512i a, __m128i b, int i)
{
    parts_vector x = {.all = a};
    x.quarter[i & 3] = b;
    return x.all;
}

PARTS __m512i parts_inserti64x4(__m512i a, __m256i b, int i)
{
    parts_vector x = {.all = a};
    x.half[i & 1] = b;
    return x.all;
}

/* What lies above: no kernel may depend on it. */
#define PARTS_UNDEFINED PARTS_SET1(parts_s64x8, INT64_C(0x5aa5c33c69960ff0))

PARTS __m512i parts_castsi128_si512(__m128i a)
{
    return parts_inserti32x4(PARTS_UNDEFINED, a, 0);
}

PARTS __m512i parts_castsi256_si512(__m256i a)
{
    return parts_inserti64x4(PARTS_UNDEFINED, a, 0);
}

/* --- From narrow lanes to wide ones, and back, where the high bits go. */

#define PARTS_WIDENED(name, type, from, to, count)                                                 \
    PARTS_LOOP __m512i parts_##name(type a)                                                        \
    {                                                                                              \
        parts_vector x = {.s64 = {0}};                                                             \
        parts_vector z;                                                                            \
        memcpy(&x, &a, sizeof a);                                                                  \
        for (int i = 0; i < (count); ++i) {                                                        \
            z.to[i] = x.from[i];                                                                   \
        }                                                                                          \
        return z.all;                                                                              \
    }

PARTS_WIDENED(cvtepi8_epi16, __m256i, s8, s16, 32)
PARTS_WIDENED(cvtepi8_epi32, __m128i, s8, s32, 16)
PARTS_WIDENED(cvtepi8_epi64, __m128i, s8, s64, 8)
PARTS_WIDENED(cvtepi16_epi64, __m128i, s16, s64, 8)
PARTS_WIDENED(cvtepi32_epi64, __m256i, s32, s64, 8)
PARTS_WIDENED(cvtepu8_epi16, __m256i, u8, u16, 32)
PARTS_WIDENED(cvtepu8_epi32, __m128i, u8, u32, 16)
PARTS_WIDENED(cvtepu8_epi64, __m128i, u8, u64, 8)
PARTS_WIDENED(cvtepu16_epi64, __m128i, u16, u64, 8)
PARTS_WIDENED(cvtepu32_epi64, __m256i, u32, u64, 8)

#define PARTS_NARROWED(name, from, count)                                                          \
    PARTS_LOOP __m128i parts_##name(__m512i a)                                                     \
    {                                                                                              \
        const parts_vector x = {.all = a};                                                         \
        parts_vector z = {.s64 = {0}};                                                             \
        for (int i = 0; i < (count); ++i) {                                                        \
            z.u8[i] = (uint8_t)x.from[i];                                                          \
        }                                                                                          \
        return z.quarter[0];                                                                       \
    }

PARTS_NARROWED(cvtepi32_epi8, u32, 16)
PARTS_NARROWED(cvtepi64_epi8, u64, 8)

/* --- Masks: bit i is lane i's. */

#define PARTS_MASK(name, type, count, holds)                                                       \
    PARTS_LOOP type parts_##name(__m512i a, __m512i b)                                             \
    {                                                                                              \
        const parts_vector x = {.all = a};                                                         \
        const parts_vector y = {.all = b};                                                         \
        uint64_t mask = 0;                                                                         \
        for (int i = 0; i < (count); ++i) {                                                        \
            mask |= (uint64_t)(holds) << i;                                                        \
        }                                                                                          \
        return (type)mask;                                                                         \
    }

PARTS_MASK(cmpeq_epu8_mask, __mmask64, 64, x.u8[i] == y.u8[i])
PARTS_MASK(cmpgt_epu8_mask, __mmask64, 64, x.u8[i] > y.u8[i])
PARTS_MASK(cmplt_epu8_mask, __mmask64, 64, x.u8[i] < y.u8[i])
PARTS_MASK(cmpgt_epi32_mask, __mmask16, 16, x.s32[i] > y.s32[i])
PARTS_MASK(cmplt_epu32_mask, __mmask16, 16, x.u32[i] < y.u32[i])
PARTS_MASK(test_epi8_mask, __mmask64, 64, (x.u8[i] & y.u8[i]) != 0)
PARTS_MASK(test_epi32_mask, __mmask16, 16, (x.u32[i] & y.u32[i]) != 0)
PARTS_MASK(test_epi64_mask, __mmask8, 8, (x.u64[i] & y.u64[i]) != 0)
PARTS_MASK(testn_epi32_mask, __mmask16, 16, (x.u32[i] & y.u32[i]) == 0)
PARTS_MASK(testn_epi64_mask, __mmask8, 8, (x.u64[i] & y.u64[i]) == 0)

PARTS __mmask64 parts_movepi8_mask(__m512i a)
{
    return parts_test_epi8_mask(a, PARTS_SET1(parts_s8x64, INT8_MIN));
}

PARTS __mmask16 parts_movepi32_mask(__m512i a)
{
    return parts_test_epi32_mask(a, PARTS_SET1(parts_s32x16, INT32_MIN));
}

PARTS __mmask8 parts_movepi64_mask(__m512i a)
{
    return parts_test_epi64_mask(a, PARTS_SET1(parts_s64x8, INT64_MIN));
}

#define PARTS_MASK_OF_SOME(name, type)                                                             \
    PARTS type parts_mask_##name(type k, __m512i a, __m512i b)                                     \
    {                                                                                              \
        return k & parts_##name(a, b);                                                             \
    }

PARTS_MASK_OF_SOME(cmpeq_epu8_mask, __mmask64)
PARTS_MASK_OF_SOME(cmpgt_epu8_mask, __mmask64)
PARTS_MASK_OF_SOME(cmplt_epu32_mask, __mmask16)
PARTS_MASK_OF_SOME(testn_epi32_mask, __mmask16)

/* --- By a mask: lanes of b where it is on, of a elsewhere. */

#define PARTS_MIXED(name, lanes, count)                                                            \
    PARTS_LOOP __m512i parts_mask_mov_##name(__m512i a, uint64_t k, __m512i b)                     \
        PARTS_LANES(lanes, count, k >> i & 1 ? y.lanes[i] : x.lanes[i])

PARTS_MIXED(epi8, u8, 64)
PARTS_MIXED(epi16, u16, 32)
PARTS_MIXED(epi32, u32, 16)
PARTS_MIXED(epi64, u64, 8)

#define PARTS_MASKED_AS(name, element, type, whole)                                                \
    PARTS __m512i parts_mask_##name(__m512i rest, type k, __m512i a, __m512i b)                    \
    {                                                                                              \
        return parts_mask_mov_##element(rest, k, parts_##whole(a, b));                             \
    }

PARTS_MASKED_AS(add_epi64, epi64, __mmask8, add_epi64)
PARTS_MASKED_AS(and_epi32, epi32, __mmask16, and_si512)
PARTS_MASKED_AS(and_epi64, epi64, __mmask8, and_si512)
PARTS_MASKED_AS(max_epu8, epi8, __mmask64, max_epu8)
PARTS_MASKED_AS(or_epi32, epi32, __mmask16, or_si512)
PARTS_MASKED_AS(shuffle_epi8, epi8, __mmask64, shuffle_epi8)
PARTS_MASKED_AS(sub_epi64, epi64, __mmask8, sub_epi64)

PARTS __m512i parts_mask_shuffle_epi32(__m512i rest, __mmask16 k, __m512i a, int places)
{
    return parts_mask_mov_epi32(rest, k, parts_shuffle_epi32(a, places));
}

/* --- Memory. */

PARTS __m512i parts_loadu_si512(const void *from)
{
    parts_vector x;
    memcpy(&x, from, sizeof x);
    return x.all;
}

PARTS void parts_storeu_si512(void *to, __m512i a)
{
    memcpy(to, &a, sizeof a);
}

#define PARTS_MEMORY(element, type, lanes, count)                                                  \
    PARTS_LOOP __m512i parts_mask_loadu_##element(__m512i rest, type k, const void *from)          \
    {                                                                                              \
        parts_vector x = {.all = rest};                                                            \
        for (int i = 0; i < (count); ++i) {                                                        \
            if ((uint64_t)k >> i & 1) {                                                            \
                memcpy(&x.lanes[i], (const char *)from + (size_t)i * sizeof x.lanes[0],            \
                       sizeof x.lanes[0]);                                                         \
            }                                                                                      \
        }                                                                                          \
        return x.all;                                                                              \
    }                                                                                              \
    PARTS __m512i parts_maskz_loadu_##element(type k, const void *from)                            \
    {                                                                                              \
        return parts_mask_loadu_##element(PARTS_SET1(parts_s64x8, 0), k, from);                    \
    }                                                                                              \
    PARTS_LOOP void parts_mask_storeu_##element(void *to, type k, __m512i a)                       \
    {                                                                                              \
        const parts_vector x = {.all = a};                                                         \
        for (int i = 0; i < (count); ++i) {                                                        \
            if ((uint64_t)k >> i & 1) {                                                            \
                memcpy((char *)to + (size_t)i * sizeof x.lanes[0], &x.lanes[i],                    \
                       sizeof x.lanes[0]);                                                         \
            }                                                                                      \
        }                                                                                          \
    }

PARTS_MEMORY(epi8, __mmask64, u8, 64)
PARTS_MEMORY(epi32, __mmask16, u32, 16)
PARTS_MEMORY(epi64, __mmask8, u64, 8)

#endif
