/* What the micro-kernels with AVX-512 VNNI share: from sums to codes (N1, N3, N4), inline. */
#ifndef ARES_MICRO_AVX512_H
#define ARES_MICRO_AVX512_H

#include "symbols.h"

#include "micro_x86.h"

#if defined(ARES_MICRO_X86)

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define AVX512_INLINE AVX512 __attribute__((always_inline)) static inline

/* Constants of N3 for sixteen channels, those of even and of odd lanes apart: products have 64 bits. */
typedef struct scaling {
    __m512i multiplier[2];
    __m512i offset[2];
    __m512i shift; /* of the high half: what is left above 32 */
} scaling;

/* Whether all shifts are at least 32, as they have to be here. */
AVX512_INLINE int load_scaling(const ares_rescale *rescale, int32_t first, int32_t width,
                               scaling *s)
{
    const __mmask16 lanes = (__mmask16)((1u << width) - 1u);
    const __m512i thirty_two = _mm512_set1_epi32(32);
    if (rescale->channel_stride == 0) {
        const int32_t shift = rescale->shift[0];
        s->multiplier[0] = s->multiplier[1] = _mm512_set1_epi32(rescale->multiplier[0]);
        s->offset[0] = s->offset[1] = _mm512_set1_epi64(rescale->offset[0]);
        s->shift = _mm512_set1_epi32(shift - 32);
        return shift >= 32;
    }
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    const __m512i odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    const __m512i low = _mm512_maskz_loadu_epi64((__mmask8)lanes, rescale->offset + first);
    const __m512i high = _mm512_maskz_loadu_epi64((__mmask8)(lanes >> 8),
                                                  rescale->offset + first + (width > 8 ? 8 : 0));
    const __m512i shift = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes, rescale->shift + first));
    s->multiplier[0] = _mm512_maskz_loadu_epi32(lanes, rescale->multiplier + first);
    s->multiplier[1] = _mm512_srli_epi64(s->multiplier[0], 32);
    s->offset[0] = _mm512_permutex2var_epi64(low, even, high);
    s->offset[1] = _mm512_permutex2var_epi64(low, odd, high);
    s->shift = _mm512_sub_epi32(shift, thirty_two);
    return _mm512_mask_cmplt_epu32_mask(lanes, shift, thirty_two) == 0;
}

/* acc * M + B of even and of odd lanes. */
AVX512_INLINE __m512i even_total(const scaling *s, __m512i acc)
{
    return _mm512_add_epi64(_mm512_mul_epi32(acc, s->multiplier[0]), s->offset[0]);
}

AVX512_INLINE __m512i odd_total(const scaling *s, __m512i acc)
{
    return _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(acc, 32), s->multiplier[1]),
                            s->offset[1]);
}

AVX512_INLINE __m512i high_halves(__m512i even, __m512i odd)
{
    return _mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB);
}

AVX512_INLINE __m512i low_halves(__m512i even, __m512i odd)
{
    return _mm512_mask_shuffle_epi32(even, 0xaaaa, odd, _MM_PERM_CCAA);
}

/*
 * N1 of sixteen totals but for ties: low becomes the smallest low half there was. A tie has zero there, as shifts are at
 * least 32; shift is what is left of them.
 */
AVX512_INLINE __m512i rounded(__m512i even, __m512i odd, __m512i shift, __m512i *low)
{
    *low = _mm512_min_epu32(*low, low_halves(even, odd));
    return _mm512_srav_epi32(high_halves(even, odd), shift);
}

/* The same with ties: where nothing is left below the point, bit 0 goes. */
AVX512_INLINE __m512i rounded_even(__m512i even, __m512i odd, __m512i shift)
{
    const __m512i high = high_halves(even, odd);
    const __m512i value = _mm512_srav_epi32(high, shift);
    const __m512i cut = _mm512_sub_epi32(high, _mm512_sllv_epi32(value, shift));
    const __m512i below = _mm512_or_si512(cut, low_halves(even, odd));
    const __mmask16 tie = _mm512_testn_epi32_mask(below, below);
    return _mm512_mask_and_epi32(value, tie, value, _mm512_set1_epi32(-2));
}

/*
 * N1 of sixteen totals with shifts of any size, or the int32 that is nearest; shift is negative in lanes of less than 32.
 * There the value is the 32 bits from the point on, some of either half. Where the high half has more it is beyond int32,
 * and the last int32 takes its place, no tie: rounding keeps order, and limits are int32, so that what is limited then (N4,
 * N5) is the same.
 */
AVX512_INLINE __m512i rounded_any(__m512i even, __m512i odd, __m512i shift)
{
    const __m512i high = high_halves(even, odd);
    const __m512i low = low_halves(even, odd);
    const __mmask16 less = _mm512_movepi32_mask(shift);
    const __m512i up = _mm512_sub_epi32(_mm512_setzero_si512(), shift);
    const __m512i whole = _mm512_add_epi32(shift, _mm512_set1_epi32(32));
    const __m512i sign = _mm512_srai_epi32(high, 31);
    const __m512i more = _mm512_xor_si512(
        _mm512_srav_epi32(high, _mm512_add_epi32(shift, _mm512_set1_epi32(31))), sign);
    const __mmask16 beyond = _mm512_test_epi32_mask(more, more);
    const __m512i last = _mm512_xor_si512(sign, _mm512_set1_epi32(INT32_MAX));
    __m512i bits = _mm512_or_si512(_mm512_sllv_epi32(high, up), _mm512_srlv_epi32(low, whole));
    bits = _mm512_mask_mov_epi32(bits, beyond, last);
    __m512i value = _mm512_srav_epi32(high, shift);
    const __m512i cut = _mm512_sub_epi32(high, _mm512_sllv_epi32(value, shift));
    __m512i below = _mm512_or_si512(cut, low);
    below = _mm512_mask_or_epi32(below, less, _mm512_sllv_epi32(low, up), more);
    value = _mm512_mask_mov_epi32(value, less, bits);
    const __mmask16 tie = _mm512_testn_epi32_mask(below, below);
    return _mm512_mask_and_epi32(value, tie, value, _mm512_set1_epi32(-2));
}

/* Codes of 4 x 16 values as bytes: dword 4 j + r holds values 4 j to 4 j + 3 of r. lo and hi decide on the sign. */
AVX512_INLINE __m512i limited(__m512i values0, __m512i values1, __m512i values2, __m512i values3,
                              const ares_rescale *rescale)
{
    const __m512i lo = _mm512_set1_epi8((char)rescale->lo);
    const __m512i hi = _mm512_set1_epi8((char)rescale->hi);
    const __m512i words01 = _mm512_packs_epi32(values0, values1);
    const __m512i words23 = _mm512_packs_epi32(values2, values3);
    if (rescale->lo < 0) {
        const __m512i codes = _mm512_packs_epi16(words01, words23);
        return _mm512_min_epi8(_mm512_max_epi8(codes, lo), hi);
    }
    const __m512i codes = _mm512_packus_epi16(words01, words23);
    return _mm512_min_epu8(_mm512_max_epu8(codes, lo), hi);
}

/* Codes of four vectors of sums, each scaled in its own way; ties are looked for in lanes. */
AVX512_INLINE __m512i finished(const scaling *const s[4], __m512i sums0, __m512i sums1,
                               __m512i sums2, __m512i sums3, const ares_rescale *rescale,
                               __mmask16 lanes)
{
    __m512i low = _mm512_set1_epi32(-1);
    __m512i values0 = rounded(even_total(s[0], sums0), odd_total(s[0], sums0), s[0]->shift, &low);
    __m512i values1 = rounded(even_total(s[1], sums1), odd_total(s[1], sums1), s[1]->shift, &low);
    __m512i values2 = rounded(even_total(s[2], sums2), odd_total(s[2], sums2), s[2]->shift, &low);
    __m512i values3 = rounded(even_total(s[3], sums3), odd_total(s[3], sums3), s[3]->shift, &low);
    if (_mm512_mask_testn_epi32_mask(lanes, low, low) != 0) {
        values0 = rounded_even(even_total(s[0], sums0), odd_total(s[0], sums0), s[0]->shift);
        values1 = rounded_even(even_total(s[1], sums1), odd_total(s[1], sums1), s[1]->shift);
        values2 = rounded_even(even_total(s[2], sums2), odd_total(s[2], sums2), s[2]->shift);
        values3 = rounded_even(even_total(s[3], sums3), odd_total(s[3], sums3), s[3]->shift);
    }
    return limited(values0, values1, values2, values3, rescale);
}

#endif

#endif
