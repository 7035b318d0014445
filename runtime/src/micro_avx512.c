/* The micro-kernels with AVX-512 VNNI: four products of bytes and their sum in each of sixteen lanes. */
#include "../inc/micro_x86.h"

#if defined(ARES_MICRO_X86)

#include <immintrin.h>
#include <stddef.h>
#include <string.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define AVX512_INLINE AVX512 __attribute__((always_inline)) static inline

/* Four codes, in every lane. */
AVX512_INLINE __m512i four_codes(const uint8_t *x)
{
    int32_t codes;
    memcpy(&codes, x, sizeof codes);
    return _mm512_set1_epi32(codes);
}

/*
 * VPDPBUSD multiplies u8 by s8. Weights are s8, so that codes have to be u8: s8 codes are taken for the s8 operand
 * and weights + 128 for the u8 one, which adds 128 times the sum of the codes.
 */
AVX512_INLINE __m512i products(__m512i sum, __m512i x, __m512i w, int is_signed)
{
    return is_signed ? _mm512_dpbusd_epi32(
                           sum, _mm512_xor_si512(w, _mm512_set1_epi32((int)0x80808080u)), x)
                     : _mm512_dpbusd_epi32(sum, x, w);
}

/* 128 times the sum of 64 s8 codes, in parts; only so many of them as there are. */
AVX512_INLINE __m512i excess(__m512i sum, const uint8_t *x, __mmask16 lanes)
{
    const __m512i weight = _mm512_set1_epi8((char)-128); /* 128 as u8 */
    return _mm512_dpbusd_epi32(sum, weight, _mm512_maskz_loadu_epi32(lanes, x));
}

/* The first so many of sixteen lanes. */
AVX512_INLINE __mmask16 first_lanes(ptrdiff_t count)
{
    return (__mmask16)(count < 16 ? (1u << count) - 1u : 0xffffu);
}

/* 128 times the sums of four rows, as excess gives their parts: four lanes, and again. */
AVX512_INLINE __m512i excess_of_rows(__m512i sum0, __m512i sum1, __m512i sum2, __m512i sum3)
{
    /* Half as many parts of twice as many rows, twice; then four lanes to one. */
    sum0 = _mm512_add_epi32(_mm512_unpacklo_epi32(sum0, sum1), _mm512_unpackhi_epi32(sum0, sum1));
    sum2 = _mm512_add_epi32(_mm512_unpacklo_epi32(sum2, sum3), _mm512_unpackhi_epi32(sum2, sum3));
    sum0 = _mm512_add_epi32(_mm512_unpacklo_epi64(sum0, sum2), _mm512_unpackhi_epi64(sum0, sum2));
    sum0 = _mm512_add_epi32(sum0, _mm512_shuffle_i32x4(sum0, sum0, 0x4e));
    return _mm512_add_epi32(sum0, _mm512_shuffle_i32x4(sum0, sum0, 0xb1));
}

/*
 * The sums of four rows times a panel, while its segments are gone through. Two steps at a time have sums of their own, as
 * a product waits several cycles for the one before it.
 */
typedef struct four_sums {
    __m512i even[4];
    __m512i odd[4];
    __m512i more[4]; /* excess, of s8 codes */
} four_sums;

AVX512_INLINE void start(four_sums *sums)
{
    const __m512i zero = _mm512_setzero_si512();
    sums->even[0] = sums->even[1] = sums->even[2] = sums->even[3] = zero;
    sums->odd[0] = sums->odd[1] = sums->odd[2] = sums->odd[3] = zero;
    sums->more[0] = sums->more[1] = sums->more[2] = sums->more[3] = zero;
}

/* One segment of count rows, 2 or 4; step: bytes of a step of the panel. */
AVX512_INLINE void add_segment(four_sums *sums, const uint8_t *x0, const uint8_t *x1,
                               const uint8_t *x2, const uint8_t *x3, ptrdiff_t length,
                               const int8_t *panel, ptrdiff_t step, __mmask16 lanes,
                               const int is_signed, const int count)
{
    ptrdiff_t i = 0;
    for (; i + 8 <= length; i += 8) {
        const __m512i w0 = _mm512_maskz_loadu_epi32(lanes, panel);
        const __m512i w1 = _mm512_maskz_loadu_epi32(lanes, panel + step);
        sums->even[0] = products(sums->even[0], four_codes(x0 + i), w0, is_signed);
        sums->even[1] = products(sums->even[1], four_codes(x1 + i), w0, is_signed);
        if (count > 2) {
            sums->even[2] = products(sums->even[2], four_codes(x2 + i), w0, is_signed);
            sums->even[3] = products(sums->even[3], four_codes(x3 + i), w0, is_signed);
        }
        sums->odd[0] = products(sums->odd[0], four_codes(x0 + i + 4), w1, is_signed);
        sums->odd[1] = products(sums->odd[1], four_codes(x1 + i + 4), w1, is_signed);
        if (count > 2) {
            sums->odd[2] = products(sums->odd[2], four_codes(x2 + i + 4), w1, is_signed);
            sums->odd[3] = products(sums->odd[3], four_codes(x3 + i + 4), w1, is_signed);
        }
        panel += 2 * step;
    }
    if (i < length) {
        const __m512i w0 = _mm512_maskz_loadu_epi32(lanes, panel);
        sums->even[0] = products(sums->even[0], four_codes(x0 + i), w0, is_signed);
        sums->even[1] = products(sums->even[1], four_codes(x1 + i), w0, is_signed);
        if (count > 2) {
            sums->even[2] = products(sums->even[2], four_codes(x2 + i), w0, is_signed);
            sums->even[3] = products(sums->even[3], four_codes(x3 + i), w0, is_signed);
        }
    }
    for (i = 0; i < length && is_signed; i += 64) {
        const __mmask16 there = first_lanes((length - i) / 4);
        sums->more[0] = excess(sums->more[0], x0 + i, there);
        sums->more[1] = excess(sums->more[1], x1 + i, there);
        if (count > 2) {
            sums->more[2] = excess(sums->more[2], x2 + i, there);
            sums->more[3] = excess(sums->more[3], x3 + i, there);
        }
    }
}

/* What comes out: even. */
AVX512_INLINE void end(four_sums *sums, const int is_signed)
{
    __m512i *const sum = sums->even;
    sum[0] = _mm512_add_epi32(sum[0], sums->odd[0]);
    sum[1] = _mm512_add_epi32(sum[1], sums->odd[1]);
    sum[2] = _mm512_add_epi32(sum[2], sums->odd[2]);
    sum[3] = _mm512_add_epi32(sum[3], sums->odd[3]);
    if (is_signed) {
        const __m512i more =
            excess_of_rows(sums->more[0], sums->more[1], sums->more[2], sums->more[3]);
        sum[0] = _mm512_sub_epi32(sum[0], _mm512_shuffle_epi32(more, _MM_PERM_AAAA));
        sum[1] = _mm512_sub_epi32(sum[1], _mm512_shuffle_epi32(more, _MM_PERM_BBBB));
        sum[2] = _mm512_sub_epi32(sum[2], _mm512_shuffle_epi32(more, _MM_PERM_CCCC));
        sum[3] = _mm512_sub_epi32(sum[3], _mm512_shuffle_epi32(more, _MM_PERM_DDDD));
    }
}

AVX512_INLINE void store_sums(const four_sums *sums, int32_t rows, int32_t *acc)
{
    _mm512_storeu_si512(acc, sums->even[0]);
    if (rows > 1) {
        _mm512_storeu_si512(acc + ARES_PANEL_WIDTH, sums->even[1]);
    }
    if (rows > 2) {
        _mm512_storeu_si512(acc + 2 * ARES_PANEL_WIDTH, sums->even[2]);
    }
    if (rows > 3) {
        _mm512_storeu_si512(acc + 3 * ARES_PANEL_WIDTH, sums->even[3]);
    }
}

AVX512_INLINE void tile_rows(const ares_tile_rows *rows, const int8_t *panel, int32_t width,
                             int32_t *acc, const int is_signed)
{
    const ptrdiff_t step = 4 * (ptrdiff_t)width;
    const ptrdiff_t length = rows->length;
    /* Rows that do not exist are the first one again. */
    const int32_t r1 = rows->rows > 1 ? 1 : 0;
    const int32_t r2 = rows->rows > 2 ? 2 : 0;
    const int32_t r3 = rows->rows > 3 ? 3 : 0;
    four_sums sums;
    start(&sums);
    for (int32_t s = 0; s < rows->segments; ++s) {
        const uint8_t *const *const x = &rows->x[s * ARES_TILE_ROWS];
        add_segment(&sums, x[0], x[r1], x[r2], x[r3], length, panel, step, first_lanes(width),
                    is_signed, ARES_TILE_ROWS);
        panel += length * width;
    }
    end(&sums, is_signed);
    store_sums(&sums, rows->rows, acc);
}

/* The sums of one row times a panel, four steps at a time. x are step bytes apart. */
AVX512_INLINE __m512i one_row(const uint8_t *const *x, ptrdiff_t apart, int32_t segments,
                              ptrdiff_t length, const int8_t *panel, int32_t width,
                              const int is_signed)
{
    const __mmask16 lanes = first_lanes(width);
    const ptrdiff_t step = 4 * (ptrdiff_t)width;
    __m512i sum0 = _mm512_setzero_si512();
    __m512i sum1 = sum0;
    __m512i sum2 = sum0;
    __m512i sum3 = sum0;
    __m512i more = sum0;
    for (int32_t s = 0; s < segments; ++s) {
        const uint8_t *const codes = x[s * apart];
        ptrdiff_t i = 0;
        for (; i + 16 <= length; i += 16) {
            const int8_t *const w = panel + step;
            sum0 = products(sum0, four_codes(codes + i), _mm512_maskz_loadu_epi32(lanes, panel),
                            is_signed);
            sum1 = products(sum1, four_codes(codes + i + 4), _mm512_maskz_loadu_epi32(lanes, w),
                            is_signed);
            sum2 = products(sum2, four_codes(codes + i + 8),
                            _mm512_maskz_loadu_epi32(lanes, w + step), is_signed);
            sum3 = products(sum3, four_codes(codes + i + 12),
                            _mm512_maskz_loadu_epi32(lanes, w + 2 * step), is_signed);
            panel += 4 * step;
        }
        for (; i < length; i += 4) {
            sum0 = products(sum0, four_codes(codes + i), _mm512_maskz_loadu_epi32(lanes, panel),
                            is_signed);
            panel += step;
        }
        for (i = 0; i < length && is_signed; i += 64) {
            more = excess(more, codes + i, first_lanes((length - i) / 4));
        }
    }
    sum0 = _mm512_add_epi32(_mm512_add_epi32(sum0, sum1), _mm512_add_epi32(sum2, sum3));
    return is_signed ? _mm512_sub_epi32(sum0, _mm512_set1_epi32(_mm512_reduce_add_epi32(more)))
                     : sum0;
}

AVX512 static void tile_avx512(const ares_tile_rows *rows, const int8_t *panel, int32_t width,
                               int32_t *acc)
{
    if (rows->rows == 1) {
        if (rows->is_signed) {
            _mm512_storeu_si512(acc, one_row(rows->x, ARES_TILE_ROWS, rows->segments, rows->length,
                                             panel, width, 1));
        } else {
            _mm512_storeu_si512(acc, one_row(rows->x, ARES_TILE_ROWS, rows->segments, rows->length,
                                             panel, width, 0));
        }
    } else if (rows->is_signed) {
        tile_rows(rows, panel, width, acc, 1);
    } else {
        tile_rows(rows, panel, width, acc, 0);
    }
}

/* Four quarters of 64 channels' bytes, four taps a channel: lane L of quarter q holds channels 16 L + 4 q and on. */
AVX512_INLINE void interleaved(__m512i t0, __m512i t1, __m512i t2, __m512i t3, __m512i *quarters)
{
    const __m512i lo01 = _mm512_unpacklo_epi8(t0, t1);
    const __m512i hi01 = _mm512_unpackhi_epi8(t0, t1);
    const __m512i lo23 = _mm512_unpacklo_epi8(t2, t3);
    const __m512i hi23 = _mm512_unpackhi_epi8(t2, t3);
    quarters[0] = _mm512_unpacklo_epi16(lo01, lo23);
    quarters[1] = _mm512_unpackhi_epi16(lo01, lo23);
    quarters[2] = _mm512_unpacklo_epi16(hi01, hi23);
    quarters[3] = _mm512_unpackhi_epi16(hi01, hi23);
}

AVX512 static void depthwise_tile_avx512(const ares_depthwise_taps *taps, int32_t first,
                                         int32_t width, int32_t *acc)
{
    const __mmask64 bytes = ~(__mmask64)0 >> (64 - width);
    const __m512i flip = _mm512_set1_epi8((char)(taps->is_signed ? -128 : 0));
    const __m512i zero = _mm512_setzero_si512();
    const int8_t *w = taps->weight + first;
    __m512i sums[4] = {zero, zero, zero, zero};
    for (int32_t t = 0; t < taps->taps; t += 4) {
        __m512i x4[4];
        __m512i w4[4];
        for (int32_t k = 0; k < 4; ++k) {
            x4[k] = zero;
            w4[k] = zero;
            if (t + k < taps->taps) {
                x4[k] = _mm512_maskz_loadu_epi8(bytes, taps->x[t + k] + first);
                x4[k] = _mm512_xor_si512(x4[k], flip);
                w4[k] = _mm512_maskz_loadu_epi8(bytes, w);
                w += taps->channels;
            }
        }
        interleaved(x4[0], x4[1], x4[2], x4[3], x4);
        interleaved(w4[0], w4[1], w4[2], w4[3], w4);
        for (int32_t q = 0; q < 4; ++q) {
            sums[q] = _mm512_dpbusd_epi32(sums[q], x4[q], w4[q]);
            if (taps->is_signed) { /* x + 128 were taken */
                const __m512i excess_of = _mm512_dpbusd_epi32(zero, flip, w4[q]);
                sums[q] = _mm512_sub_epi32(sums[q], excess_of);
            }
        }
    }
    /* Quarters to rows of sixteen channels: a transposition of 4 x 4 lanes. */
    const __m512i a = _mm512_shuffle_i32x4(sums[0], sums[1], 0x44);
    const __m512i b = _mm512_shuffle_i32x4(sums[2], sums[3], 0x44);
    const __m512i c = _mm512_shuffle_i32x4(sums[0], sums[1], 0xee);
    const __m512i d = _mm512_shuffle_i32x4(sums[2], sums[3], 0xee);
    const __m512i natural[4] = {_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd),
                                _mm512_shuffle_i32x4(c, d, 0x88), _mm512_shuffle_i32x4(c, d, 0xdd)};
    for (int32_t l = 0; 16 * l < width; ++l) {
        const int32_t left = width - 16 * l;
        const __mmask16 lanes = (__mmask16)(left < 16 ? (1u << left) - 1u : 0xffffu);
        _mm512_mask_storeu_epi32(acc + 16 * l, lanes, natural[l]);
    }
}

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

AVX512_INLINE void store_row(uint8_t *out, __m128i codes)
{
    void *const to = out;
    _mm_storeu_si128((__m128i *)to, codes);
}

/* The codes of up to four rows, as finished gives them, to where they belong. */
AVX512_INLINE void store_codes(__m512i codes, int32_t rows, int32_t width, uint8_t *out,
                               int32_t out_step)
{
    const __mmask16 lanes = first_lanes(width);
    const __m512i transpose =
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    codes = _mm512_permutexvar_epi32(transpose, codes);
    if (rows == 4 && width == 16 && out_step == 16) {
        _mm512_storeu_si512(out, codes);
        return;
    }
    if (width == 16) { /* several times faster than where masks are used */
        store_row(out, _mm512_castsi512_si128(codes));
        if (rows > 1) {
            store_row(out + out_step, _mm512_extracti32x4_epi32(codes, 1));
        }
        if (rows > 2) {
            store_row(out + 2 * out_step, _mm512_extracti32x4_epi32(codes, 2));
        }
        if (rows > 3) {
            store_row(out + 3 * out_step, _mm512_extracti32x4_epi32(codes, 3));
        }
        return;
    }
    uint8_t few[64];
    _mm512_storeu_si512(few, codes);
    for (int32_t r = 0; r < rows; ++r) {
        uint8_t *const to = out + r * out_step;
        if (width == 8) {
            memcpy(to, few + 16 * r, 8);
        } else {
            const void *const from = few + 16 * r;
            _mm_mask_storeu_epi8(to, lanes, _mm_loadu_si128((const __m128i *)from));
        }
    }
}

/* Up to four rows of one panel. */
AVX512_INLINE void requantize_rows(const ares_rescale *rescale, const scaling *s,
                                   const int32_t *acc, int32_t rows, int32_t width, uint8_t *out,
                                   int32_t out_step)
{
    const __mmask16 lanes = first_lanes(width);
    const scaling *const same[4] = {s, s, s, s};
    const ptrdiff_t step = ARES_PANEL_WIDTH;
    /* Rows that do not exist are the first one again. */
    const __m512i sums0 = _mm512_maskz_loadu_epi32(lanes, acc);
    const __m512i sums1 = _mm512_maskz_loadu_epi32(lanes, acc + (rows > 1 ? step : 0));
    const __m512i sums2 = _mm512_maskz_loadu_epi32(lanes, acc + (rows > 2 ? 2 * step : 0));
    const __m512i sums3 = _mm512_maskz_loadu_epi32(lanes, acc + (rows > 3 ? 3 * step : 0));
    store_codes(finished(same, sums0, sums1, sums2, sums3, rescale, lanes), rows, width, out,
                out_step);
}

AVX512 static void requantize_avx512(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                                     int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    if (rescale->num_thresholds > 0) {
        ares_requantize_portable(rescale, first, acc, rows, width, out, out_step);
        return;
    }
    for (int32_t n = 0; n < width; n += ARES_PANEL_WIDTH) {
        const int32_t left = width - n;
        const int32_t part = left < ARES_PANEL_WIDTH ? left : ARES_PANEL_WIDTH;
        scaling s;
        if (!load_scaling(rescale, first + n, part, &s)) {
            ares_requantize_portable(rescale, first + n, acc + n, rows, part, out + n, out_step);
            continue;
        }
        for (int32_t r = 0; r < rows; r += 4) {
            requantize_rows(rescale, &s, acc + n + r * ARES_PANEL_WIDTH,
                            rows - r < 4 ? rows - r : 4, part, out + n + r * out_step, out_step);
        }
    }
}

/* The sums of rows i and on of a run, 1 to count of them, times a panel. Rows that do not exist are the last one again. */
AVX512_INLINE void rows_of_run(four_sums *sums, const ares_tile_run *run, int32_t i, int32_t rows,
                               const int8_t *panel, int32_t width, const int is_signed,
                               const int count)
{
    const ptrdiff_t length = run->length;
    start(sums);
    for (int32_t k = 0; k < run->segments; ++k) {
        const ptrdiff_t step = k >= run->first && k < run->end ? run->step : 0;
        const uint8_t *const x0 = run->x[k] + i * step;
        const uint8_t *const x1 = x0 + (rows > 1 ? step : 0);
        const uint8_t *const x2 = x1 + (rows > 2 ? step : 0);
        const uint8_t *const x3 = x2 + (rows > 3 ? step : 0);
        add_segment(sums, x0, x1, x2, x3, length, panel, 4 * (ptrdiff_t)width, first_lanes(width),
                    is_signed, count);
        panel += length * width;
    }
    end(sums, is_signed);
}

/* A run times one panel; s: NULL where the codes cannot be had from scaling. */
AVX512_INLINE void run_panel(const ares_tile_run *run, const int8_t *panel, int32_t width,
                             const ares_rescale *rescale, int32_t first, const scaling *s,
                             uint8_t *out, int32_t out_step, const int is_signed)
{
    const __mmask16 lanes = first_lanes(width);
    const scaling *const same[4] = {s, s, s, s};
    for (int32_t i = 0; i < run->positions; i += ARES_TILE_ROWS) {
        const int32_t left = run->positions - i;
        const int32_t rows = left < ARES_TILE_ROWS ? left : ARES_TILE_ROWS;
        uint8_t *const to = out + i * out_step;
        four_sums sums;
        if (run->positions == 1) {
            sums.even[0] = one_row(run->x, 1, run->segments, run->length, panel, width, is_signed);
            sums.even[1] = sums.even[2] = sums.even[3] = sums.even[0];
        } else if (rows <= 2) {
            rows_of_run(&sums, run, i, rows, panel, width, is_signed, 2);
        } else {
            rows_of_run(&sums, run, i, rows, panel, width, is_signed, ARES_TILE_ROWS);
        }
        if (s == NULL) {
            int32_t acc[ARES_TILE_ROWS * ARES_PANEL_WIDTH];
            store_sums(&sums, rows, acc);
            ares_requantize_portable(rescale, first, acc, rows, width, to, out_step);
        } else {
            store_codes(finished(same, sums.even[0], sums.even[1], sums.even[2], sums.even[3],
                                 rescale, lanes),
                        rows, width, to, out_step);
        }
    }
}

AVX512 static void run_panels_avx512(const ares_tile_run *run, const int8_t *panels,
                                     const ares_rescale *rescale, int32_t first, int32_t channels,
                                     uint8_t *out, int32_t out_step)
{
    for (int32_t n = 0; n < channels; n += ARES_PANEL_WIDTH) {
        const int32_t left = channels - n;
        const int32_t width = left < ARES_PANEL_WIDTH ? left : ARES_PANEL_WIDTH;
        scaling s;
        const scaling *scales = NULL;
        if (rescale->num_thresholds == 0 && load_scaling(rescale, first + n, width, &s)) {
            scales = &s;
        }
        if (run->is_signed) {
            run_panel(run, panels, width, rescale, first + n, scales, out + n, out_step, 1);
        } else {
            run_panel(run, panels, width, rescale, first + n, scales, out + n, out_step, 0);
        }
        panels += (ptrdiff_t)width * run->segments * run->length;
    }
}

/* Depthwise blocks: 64 bytes of result at a time, of one position, or of several where channels are few. */
enum { MOST_GROUPS = 7 };

typedef struct depthwise_constants {
    __m512i weight[MOST_GROUPS][4]; /* of four taps, by quarters */
    __m512i start[4];               /* of the sums */
    scaling scale[4];
    int32_t repeat; /* positions in 64 bytes */
} depthwise_constants;

_Static_assert(sizeof(depthwise_constants) + 64 <= ARES_DEPTHWISE_PREPARED, "too small");

static depthwise_constants *aligned(const uint8_t *prepared)
{
    return (depthwise_constants *)(((uintptr_t)prepared + 63u) & ~(uintptr_t)63u);
}

/* Rows of sixteen values to quarters, and back. */
AVX512_INLINE void transpose_lanes(__m512i *v)
{
    const __m512i a = _mm512_shuffle_i32x4(v[0], v[1], 0x44);
    const __m512i b = _mm512_shuffle_i32x4(v[2], v[3], 0x44);
    const __m512i c = _mm512_shuffle_i32x4(v[0], v[1], 0xee);
    const __m512i d = _mm512_shuffle_i32x4(v[2], v[3], 0xee);
    v[0] = _mm512_shuffle_i32x4(a, b, 0x88);
    v[1] = _mm512_shuffle_i32x4(a, b, 0xdd);
    v[2] = _mm512_shuffle_i32x4(c, d, 0x88);
    v[3] = _mm512_shuffle_i32x4(c, d, 0xdd);
}

/* The first width of 64 elements, again and again. */
static void repeated(void *elements, size_t size, int32_t width)
{
    for (size_t done = size * (size_t)width; done < 64 * size;) {
        const size_t more = done < 64 * size - done ? done : 64 * size - done;
        memcpy((uint8_t *)elements + done, elements, more);
        done += more;
    }
}

AVX512_INLINE int prepare_scaling(const ares_rescale *rescale, int32_t first, int32_t width,
                                  scaling *quarters)
{
    int32_t multiplier[64];
    int64_t offset[64];
    uint8_t shift[64];
    const int32_t known = rescale->channel_stride == 0 ? 1 : width;
    const int32_t at = rescale->channel_stride == 0 ? 0 : first;
    memcpy(multiplier, rescale->multiplier + at, (size_t)known * sizeof *multiplier);
    memcpy(offset, rescale->offset + at, (size_t)known * sizeof *offset);
    memcpy(shift, rescale->shift + at, (size_t)known);
    repeated(multiplier, sizeof *multiplier, known);
    repeated(offset, sizeof *offset, known);
    repeated(shift, 1, known);
    ares_rescale whole = *rescale;
    whole.multiplier = multiplier;
    whole.offset = offset;
    whole.shift = shift;
    whole.channel_stride = 1;
    __m512i parts[5][4];
    int is_right = 1;
    for (int32_t l = 0; l < 4; ++l) {
        scaling s;
        is_right &= load_scaling(&whole, 16 * l, 16, &s);
        parts[0][l] = s.multiplier[0];
        parts[1][l] = s.offset[0];
        parts[2][l] = s.offset[1];
        parts[3][l] = s.shift;
    }
    for (int32_t k = 0; k < 4; ++k) {
        transpose_lanes(parts[k]);
    }
    for (int32_t q = 0; q < 4; ++q) {
        quarters[q].multiplier[0] = parts[0][q];
        quarters[q].multiplier[1] = _mm512_srli_epi64(parts[0][q], 32);
        quarters[q].offset[0] = parts[1][q];
        quarters[q].offset[1] = parts[2][q];
        quarters[q].shift = parts[3][q];
    }
    return is_right;
}

AVX512 static int32_t depthwise_prepare_avx512(ares_depthwise_block *block)
{
    const ares_depthwise_taps *const taps = block->taps;
    const int32_t width = block->width;
    depthwise_constants *const constants = aligned(block->prepared);
    const __m512i zero = _mm512_setzero_si512();
    if (block->rescale->num_thresholds > 0 || taps->taps > 4 * MOST_GROUPS ||
        !prepare_scaling(block->rescale, block->first, width, constants->scale)) {
        return 0;
    }
    constants->repeat = width == taps->channels && 64 % width == 0 ? 64 / width : 1;
    for (int32_t q = 0; q < 4; ++q) {
        constants->start[q] = zero;
    }
    for (int32_t t = 0; t < taps->taps; t += 4) {
        __m512i *const w = constants->weight[t / 4];
        uint8_t rows[4][64] = {{0}};
        for (int32_t k = 0; k < 4 && t + k < taps->taps; ++k) {
            memcpy(rows[k], taps->weight + (t + k) * taps->channels + block->first, (size_t)width);
            repeated(rows[k], 1, width);
        }
        interleaved(_mm512_loadu_si512(rows[0]), _mm512_loadu_si512(rows[1]),
                    _mm512_loadu_si512(rows[2]), _mm512_loadu_si512(rows[3]), w);
        for (int32_t q = 0; q < 4 && taps->is_signed; ++q) { /* x + 128 will be taken */
            const __m512i more = _mm512_dpbusd_epi32(zero, _mm512_set1_epi8((char)-128), w[q]);
            constants->start[q] = _mm512_sub_epi32(constants->start[q], more);
        }
    }
    return 1;
}

/* Where the positions of one step are, and which of their 64 bytes there are. */
typedef struct places {
    __mmask64 bytes;
    ptrdiff_t second;
    ptrdiff_t third;
    ptrdiff_t fourth;
} places;

/*
 * One tap: 64 bytes in a row, or, where positions are apart, 2 of 32 channels or 4 of 16 together. A tap that is at the zero
 * points has one code everywhere.
 */
AVX512_INLINE __m512i load_tap(const uint8_t *x, ptrdiff_t at, const places *where, const int apart)
{
    const uint8_t *const code = x + at;
    if (apart == 2) {
        const __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)code);
        const void *const second = code + where->second;
        return _mm512_inserti64x4(_mm512_castsi256_si512(first),
                                  _mm256_loadu_si256((const __m256i *)second), 1);
    }
    if (apart == 4) {
        const void *const first = code;
        const void *const second = code + where->second;
        const void *const third = code + where->third;
        const void *const fourth = code + where->fourth;
        __m512i all = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)first));
        all = _mm512_inserti32x4(all, _mm_loadu_si128((const __m128i *)second), 1);
        all = _mm512_inserti32x4(all, _mm_loadu_si128((const __m128i *)third), 2);
        return _mm512_inserti32x4(all, _mm_loadu_si128((const __m128i *)fourth), 3);
    }
    return _mm512_maskz_loadu_epi8(where->bytes, code);
}

AVX512_INLINE void depthwise_positions(const ares_depthwise_block *block,
                                       const ares_depthwise_run *run, uint8_t *out, int32_t repeat,
                                       const int is_signed, const int apart)
{
    const depthwise_constants *const constants = aligned(block->prepared);
    const uint8_t *const *const x = block->taps->x;
    const int32_t taps = block->taps->taps;
    const int32_t width = block->width;
    const __m512i flip = _mm512_set1_epi8((char)(is_signed ? -128 : 0));
    const __m512i zero = _mm512_setzero_si512();
    const ptrdiff_t step = run->step;
    const scaling *const scales[4] = {&constants->scale[0], &constants->scale[1],
                                      &constants->scale[2], &constants->scale[3]};
    for (int32_t i = 0; i < run->positions; i += repeat) {
        const int32_t left = run->positions - i;
        const int32_t count = left < repeat ? left : repeat;
        const ptrdiff_t last = (count - 1) * step;
        const ptrdiff_t at = block->first + i * step;
        const places where = {~(__mmask64)0 >> (64 - width * count), step < last ? step : last,
                              2 * step < last ? 2 * step : last, last};
        __m512i sum0 = constants->start[0];
        __m512i sum1 = constants->start[1];
        __m512i sum2 = constants->start[2];
        __m512i sum3 = constants->start[3];
        const __m512i(*w)[4] = constants->weight;
#define TAP(t)                                                                                     \
    _mm512_xor_si512((t) >= run->first && (t) < run->end ? load_tap(x[t], at, &where, apart)       \
                                                         : _mm512_set1_epi8((char)*x[t]),          \
                     flip)
        for (int32_t t = 0; t < taps; t += 4) {
            const __m512i tap0 = TAP(t);
            const __m512i tap1 = t + 1 < taps ? TAP(t + 1) : zero;
            const __m512i tap2 = t + 2 < taps ? TAP(t + 2) : zero;
            const __m512i tap3 = t + 3 < taps ? TAP(t + 3) : zero;
            __m512i x4[4];
            interleaved(tap0, tap1, tap2, tap3, x4);
            sum0 = _mm512_dpbusd_epi32(sum0, x4[0], (*w)[0]);
            sum1 = _mm512_dpbusd_epi32(sum1, x4[1], (*w)[1]);
            sum2 = _mm512_dpbusd_epi32(sum2, x4[2], (*w)[2]);
            sum3 = _mm512_dpbusd_epi32(sum3, x4[3], (*w)[3]);
            ++w;
        }
#undef TAP
        const __m512i codes = finished(scales, sum0, sum1, sum2, sum3, block->rescale, 0xffff);
        if (width * count == 64) { /* several times faster than with a mask */
            _mm512_storeu_si512(out, codes);
        } else {
            _mm512_mask_storeu_epi8(out, where.bytes, codes);
        }
        out += (ptrdiff_t)block->taps->channels * repeat;
    }
}

AVX512 static void depthwise_positions_avx512(const ares_depthwise_block *block,
                                              const ares_depthwise_run *run, uint8_t *out)
{
    const int32_t repeat = aligned(block->prepared)->repeat;
    const int is_signed = block->taps->is_signed;
    const int is_apart = run->step != block->taps->channels;
    if (is_apart && repeat == 2) {
        depthwise_positions(block, run, out, 2, is_signed, 2);
    } else if (is_apart && repeat == 4) {
        depthwise_positions(block, run, out, 4, is_signed, 4);
    } else {
        depthwise_positions(block, run, out, is_apart ? 1 : repeat, is_signed, 1);
    }
}

/* The code of what is read: s8 or u8. */
AVX512_INLINE __m512i sixteen_codes(const uint8_t *codes, int32_t is_signed)
{
    const void *const from = codes;
    const __m128i bytes = _mm_loadu_si128((const __m128i *)from);
    return is_signed ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes);
}

/* Whether every total is less than 2^bits. */
static int has_room(const ares_add_params *p, int32_t bits)
{
    const int64_t offset = p->rescale.offset[0];
    const int64_t a0 = p->coefficient0;
    const int64_t a1 = p->coefficient1;
    const int64_t largest = (a0 < 0 ? -a0 : a0) + (a1 < 0 ? -a1 : a1);
    return 255 * largest + (offset < 0 ? -offset : offset) < (int64_t)1 << bits;
}

AVX512 static int32_t add_avx512(const ares_add_params *p, const uint8_t *in0, const uint8_t *in1,
                                 uint8_t *out)
{
    const int32_t shift = p->rescale.shift[0];
    const int32_t end = p->count - p->count % 16;
    const __m512i a0 = _mm512_set1_epi32(p->coefficient0);
    const __m512i a1 = _mm512_set1_epi32(p->coefficient1);
    const __m512i offset = _mm512_set1_epi64(p->rescale.offset[0]);
    const __m512i all = _mm512_set1_epi32(-1);
    const __m512i least = _mm512_set1_epi32(p->rescale.lo);
    const __m512i most = _mm512_set1_epi32(p->rescale.hi);
    /* Smaller shifts than 32 become 32, where totals have room for that. */
    const int32_t raised = shift < 32 ? 32 - shift : 0;
    const __m512i left = _mm512_set1_epi32(shift + raised - 32);
    const __m128i raise = _mm_cvtsi32_si128(raised);
    if (p->rescale.num_thresholds > 0 || !has_room(p, 62 - raised)) {
        return 0;
    }
    for (int32_t i = 0; i < end; i += 16) {
        const __m512i x0 = sixteen_codes(in0 + i, p->input0_signed);
        const __m512i x1 = sixteen_codes(in1 + i, p->input1_signed);
        const __m512i odd0 = _mm512_mul_epi32(_mm512_srli_epi64(x0, 32), a0);
        const __m512i odd1 = _mm512_mul_epi32(_mm512_srli_epi64(x1, 32), a1);
        const __m512i even0 = _mm512_mul_epi32(x0, a0);
        const __m512i even1 = _mm512_mul_epi32(x1, a1);
        const __m512i even =
            _mm512_sll_epi64(_mm512_add_epi64(_mm512_add_epi64(even0, even1), offset), raise);
        const __m512i odd =
            _mm512_sll_epi64(_mm512_add_epi64(_mm512_add_epi64(odd0, odd1), offset), raise);
        __m512i low = all;
        __m512i values = rounded(even, odd, left, &low);
        if (_mm512_testn_epi32_mask(low, low) != 0) {
            values = rounded_even(even, odd, left);
        }
        values = _mm512_min_epi32(_mm512_max_epi32(values, least), most);
        store_row(out + i, _mm512_cvtepi32_epi8(values));
    }
    return end;
}

AVX512 static int32_t sum_avx512(const uint8_t *in, int32_t count, int32_t step, int32_t channels,
                                 int32_t is_signed, int32_t *sums)
{
    const int32_t end = channels - channels % 16;
    for (int32_t c = 0; c < end; c += 16) {
        const uint8_t *x = in + c;
        __m512i sum = _mm512_loadu_si512(sums + c);
        for (int32_t k = 0; k < count; ++k) {
            sum = _mm512_add_epi32(sum, sixteen_codes(x, is_signed));
            x += step;
        }
        _mm512_storeu_si512(sums + c, sum);
    }
    return end;
}

const ares_x86_kernels ares_x86_avx512 = {.ares_tile = tile_avx512,
                                          .ares_depthwise_tile = depthwise_tile_avx512,
                                          .ares_requantize = requantize_avx512,
                                          .depthwise_prepare = depthwise_prepare_avx512,
                                          .depthwise_positions = depthwise_positions_avx512,
                                          .run_panels = run_panels_avx512,
                                          .add = add_avx512,
                                          .quantize = ares_quantize_avx512,
                                          .sum = sum_avx512,
                                          .real_outputs = ares_real_outputs_avx512,
                                          .instruction_set = "avx512-vnni"};

#endif
