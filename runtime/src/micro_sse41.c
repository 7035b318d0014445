/* The micro-kernels with SSE4.1: codes and weights widened to 16 bits, products of pairs summed in 32 (PMADDWD). */
#include "../inc/micro_steps.h"
#include "../inc/micro_x86.h"

#if defined(ARES_MICRO_X86)

#include <smmintrin.h>
#include <stddef.h>
#include <string.h>

#define SSE41 __attribute__((target("sse4.1")))
#define SSE41_INLINE SSE41 __attribute__((always_inline)) static inline

enum { QUARTER = 4 }; /* channels of a panel at a time */

/* Eight codes of 16 bits. */
SSE41_INLINE __m128i widened(const void *bytes, int is_signed)
{
    const __m128i codes = _mm_loadl_epi64((const __m128i *)bytes);
    return is_signed ? _mm_cvtepi8_epi16(codes) : _mm_cvtepu8_epi16(codes);
}

/* Four codes of 16 bits, twice. */
SSE41_INLINE __m128i four_codes(const uint8_t *x, const int is_signed)
{
    int32_t codes;
    memcpy(&codes, x, sizeof codes);
    const __m128i four = _mm_cvtsi32_si128(codes);
    const __m128i wide = is_signed ? _mm_cvtepi8_epi16(four) : _mm_cvtepu8_epi16(four);
    return _mm_unpacklo_epi64(wide, wide);
}

SSE41_INLINE __m128i products(__m128i sum, __m128i x, __m128i w)
{
    return _mm_add_epi32(sum, _mm_madd_epi16(x, w));
}

/* Two sums for each of four channels to one. */
SSE41_INLINE void store_sums(int32_t *acc, __m128i first, __m128i second)
{
    const __m128 a = _mm_castsi128_ps(first);
    const __m128 b = _mm_castsi128_ps(second);
    const __m128i even = _mm_castps_si128(_mm_shuffle_ps(a, b, 0x88));
    const __m128i odd = _mm_castps_si128(_mm_shuffle_ps(a, b, 0xdd));
    void *const to = acc;
    _mm_storeu_si128((__m128i *)to, _mm_add_epi32(even, odd));
}

/*
 * Rows r and r_next times channels n to n + 3 of a panel. Where there are fewer (not is_full) what follows them in the panel
 * is taken with them, into sums without meaning.
 */
SSE41_INLINE void tile(const ares_tile_rows *rows, int32_t r, int32_t r_next, const int8_t *panel,
                       int32_t n, int32_t width, int32_t *acc, const int is_signed,
                       const int is_full)
{
    const int8_t *const end = panel + rows->segments * rows->length * (ptrdiff_t)width;
    const int8_t *w = panel + 4 * n;
    int8_t last[4 * QUARTER] = {0};
    __m128i sum00 = _mm_setzero_si128();
    __m128i sum01 = sum00;
    __m128i sum10 = sum00;
    __m128i sum11 = sum00;
    for (int32_t s = 0; s < rows->segments; ++s) {
        const uint8_t *const x0 = rows->x[s * ARES_TILE_ROWS + r];
        const uint8_t *const x1 = rows->x[s * ARES_TILE_ROWS + r_next];
        for (ptrdiff_t i = 0; i < rows->length; i += 4) {
            const __m128i a0 = four_codes(x0 + i, is_signed);
            const __m128i a1 = four_codes(x1 + i, is_signed);
            const int8_t *channels = w;
            if (!is_full && end - w < 4 * QUARTER) {
                memcpy(last, w, (size_t)(end - w));
                channels = last;
            }
            const __m128i w0 = widened(channels, 1);
            const __m128i w1 = widened(channels + 8, 1);
            sum00 = products(sum00, a0, w0);
            sum01 = products(sum01, a0, w1);
            sum10 = products(sum10, a1, w0);
            sum11 = products(sum11, a1, w1);
            w += 4 * width;
        }
    }
    store_sums(acc + r_next * ARES_PANEL_WIDTH + n, sum10, sum11);
    store_sums(acc + r * ARES_PANEL_WIDTH + n, sum00, sum01);
}

SSE41 static void tile_sse41(const ares_tile_rows *rows, const int8_t *panel, int32_t width,
                             int32_t *acc)
{
    for (int32_t r = 0; r < rows->rows; r += 2) {
        const int32_t r_next = r + 1 < rows->rows ? r + 1 : r;
        for (int32_t n = 0; n < width; n += QUARTER) {
            if (width - n >= QUARTER) {
                if (rows->is_signed) {
                    tile(rows, r, r_next, panel, n, width, acc, 1, 1);
                } else {
                    tile(rows, r, r_next, panel, n, width, acc, 0, 1);
                }
            } else if (rows->is_signed) {
                tile(rows, r, r_next, panel, n, width, acc, 1, 0);
            } else {
                tile(rows, r, r_next, panel, n, width, acc, 0, 0);
            }
        }
    }
}

/* Eight channels, or the first width. */
SSE41_INLINE __m128i channels_of(const void *bytes, int32_t width, int is_signed)
{
    uint8_t few[8] = {0};
    if (width < 8) {
        memcpy(few, bytes, (size_t)width);
        return widened(few, is_signed);
    }
    return widened(bytes, is_signed);
}

/* Up to eight channels, first and on, two taps at a time. */
SSE41_INLINE void depthwise(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                            int32_t *acc)
{
    const int is_signed = taps->is_signed;
    const ptrdiff_t step = taps->channels;
    const int8_t *w = taps->weight + first;
    const __m128i zero = _mm_setzero_si128();
    __m128i low = zero;
    __m128i high = zero;
    for (int32_t t = 0; t < taps->taps; t += 2) {
        const int is_pair = t + 1 < taps->taps;
        const __m128i x0 = channels_of(taps->x[t] + first, width, is_signed);
        const __m128i w0 = channels_of(w, width, 1);
        __m128i x1 = zero;
        __m128i w1 = zero;
        if (is_pair) {
            x1 = channels_of(taps->x[t + 1] + first, width, is_signed);
            w1 = channels_of(w + step, width, 1);
        }
        low = products(low, _mm_unpacklo_epi16(x0, x1), _mm_unpacklo_epi16(w0, w1));
        high = products(high, _mm_unpackhi_epi16(x0, x1), _mm_unpackhi_epi16(w0, w1));
        w += is_pair ? 2 * step : 0;
    }
    int32_t few[8];
    void *const to = width < 8 ? few : acc;
    _mm_storeu_si128((__m128i *)to, low);
    _mm_storeu_si128((__m128i *)to + 1, high);
    if (width < 8) {
        memcpy(acc, few, (size_t)width * sizeof *acc);
    }
}

SSE41 static void depthwise_tile_sse41(const ares_depthwise_taps *taps, int32_t first,
                                       int32_t width, int32_t *acc)
{
    if (width < 8) {
        depthwise(taps, first, width, acc);
        return;
    }
    for (int32_t c = 0; c < width; c += 8) { /* the last ones begin before where the others end */
        const int32_t from = c + 8 <= width ? c : width - 8;
        depthwise(taps, first + from, 8, acc + from);
    }
}

/*
 * Constants of N3 for four channels, those of even and of odd lanes apart: products have 64 bits. Shifts are products too:
 * of the high half from 33 on, and up to 32 of both, where high halves beyond [~most, most] are beyond int32.
 */
typedef struct scaling {
    __m128i multiplier;
    __m128i even;
    __m128i odd;
    __m128i power; /* 2^(63 - shift), or 2^(32 - shift) in lanes of less */
    __m128i less;  /* lanes with shifts up to 32 */
    __m128i most;
    int has_less;
    int has_more;
} scaling;

SSE41_INLINE void load_scaling(const ares_rescale *rescale, int32_t first, int32_t width,
                               scaling *s)
{
    int32_t multiplier[QUARTER];
    int64_t offset[QUARTER];
    uint32_t power[QUARTER];
    uint32_t most[QUARTER];
    int32_t less[QUARTER];
    for (int32_t n = 0; n < QUARTER; ++n) { /* the last one again where there are no more */
        const int32_t c = (first + (n < width ? n : width - 1)) * rescale->channel_stride;
        const int32_t shift = rescale->shift[c];
        multiplier[n] = rescale->multiplier[c];
        offset[n % 2 * 2 + n / 2] = rescale->offset[c];
        less[n] = shift <= 32 ? -1 : 0;
        power[n] = (uint32_t)1 << (shift <= 32 ? 32 - shift : 63 - shift);
        most[n] = shift <= 32 ? ((uint32_t)1 << (shift - 1)) - 1u : INT32_MAX;
    }
    const void *const m = multiplier;
    const void *const b = offset;
    const void *const d = power;
    const void *const l = less;
    const void *const o = most;
    s->multiplier = _mm_loadu_si128((const __m128i *)m);
    s->even = _mm_loadu_si128((const __m128i *)b);
    s->odd = _mm_loadu_si128((const __m128i *)b + 1);
    s->power = _mm_loadu_si128((const __m128i *)d);
    s->less = _mm_loadu_si128((const __m128i *)l);
    s->most = _mm_loadu_si128((const __m128i *)o);
    s->has_less = _mm_movemask_epi8(s->less) != 0;
    s->has_more = _mm_movemask_epi8(s->less) != 0xffff;
}

/* Lanes 0 and 2 of the first, 1 and 3 of the second. */
SSE41_INLINE __m128i lanes_of(__m128i even, __m128i odd)
{
    return _mm_blend_epi16(even, odd, 0xcc);
}

/* Values of totals, and in below what is left below the point. */
SSE41_INLINE __m128i value_of_more(const scaling *s, __m128i even, __m128i odd, __m128i *below)
{
    const __m128i bottom = lanes_of(even, _mm_slli_epi64(odd, 32));
    /* The high halves times 2^(32 - what is left of the shift): above the point, and below it. */
    const __m128i even_top = _mm_slli_epi64(_mm_mul_epi32(_mm_srli_epi64(even, 32), s->power), 1);
    const __m128i odd_top =
        _mm_slli_epi64(_mm_mul_epi32(_mm_srli_epi64(odd, 32), _mm_srli_epi64(s->power, 32)), 1);
    *below = _mm_or_si128(bottom, lanes_of(even_top, _mm_slli_epi64(odd_top, 32)));
    return lanes_of(_mm_srli_epi64(even_top, 32), odd_top);
}

/*
 * The same for shifts up to 32: the 32 bits from the point on, some of either half. Where the high half has more the value is
 * beyond int32, and the last int32 takes its place, no tie: rounding keeps order, and limits are int32, so that what is
 * limited then (N4, N5) is the same.
 */
SSE41_INLINE __m128i value_of_less(const scaling *s, __m128i even, __m128i odd, __m128i *below)
{
    const __m128i odd_power = _mm_srli_epi64(s->power, 32);
    const __m128i even_low = _mm_mul_epu32(even, s->power);
    const __m128i odd_low = _mm_mul_epu32(odd, odd_power);
    const __m128i even_top = _mm_mul_epu32(_mm_srli_epi64(even, 32), s->power);
    const __m128i odd_top = _mm_mul_epu32(_mm_srli_epi64(odd, 32), odd_power);
    const __m128i top = lanes_of(_mm_srli_epi64(even, 32), odd);
    const __m128i bits = _mm_or_si128(lanes_of(even_top, _mm_slli_epi64(odd_top, 32)),
                                      lanes_of(_mm_srli_epi64(even_low, 32), odd_low));
    const __m128i sign = _mm_srai_epi32(top, 31);
    const __m128i beyond = _mm_cmpgt_epi32(_mm_xor_si128(top, sign), s->most);
    const __m128i last = _mm_xor_si128(sign, _mm_set1_epi32(INT32_MAX));
    *below = _mm_or_si128(beyond, lanes_of(even_low, _mm_slli_epi64(odd_low, 32)));
    return _mm_blendv_epi8(bits, last, beyond);
}

/* N1 of four accumulators, or the int32 that is nearest. */
SSE41_INLINE __m128i rounded(const scaling *s, __m128i sums)
{
    const __m128i even = _mm_add_epi64(_mm_mul_epi32(sums, s->multiplier), s->even);
    const __m128i odd = _mm_add_epi64(
        _mm_mul_epi32(_mm_srli_epi64(sums, 32), _mm_srli_epi64(s->multiplier, 32)), s->odd);
    __m128i below = _mm_setzero_si128();
    __m128i value = below;
    if (s->has_more) {
        value = value_of_more(s, even, odd, &below);
    }
    if (s->has_less) {
        __m128i below_less;
        const __m128i value_less = value_of_less(s, even, odd, &below_less);
        value = _mm_blendv_epi8(value, value_less, s->less);
        below = _mm_blendv_epi8(below, below_less, s->less);
    }
    /* A tie, where nothing is left below the point: bit 0 goes. */
    const __m128i tie = _mm_cmpeq_epi32(below, _mm_setzero_si128());
    return _mm_andnot_si128(_mm_srli_epi32(tie, 31), value);
}

/* Four bytes. lo and hi decide on the sign. */
SSE41_INLINE __m128i limited(__m128i values, const ares_rescale *rescale)
{
    const __m128i lo = _mm_set1_epi8((char)rescale->lo);
    const __m128i hi = _mm_set1_epi8((char)rescale->hi);
    const __m128i words = _mm_packs_epi32(values, values);
    if (rescale->lo < 0) {
        return _mm_min_epi8(_mm_max_epi8(_mm_packs_epi16(words, words), lo), hi);
    }
    return _mm_min_epu8(_mm_max_epu8(_mm_packus_epi16(words, words), lo), hi);
}

/* Lanes of a row's sums; what is not there is 0. */
SSE41_INLINE __m128i sums_of(const int32_t *acc, int32_t width)
{
    int32_t sums[QUARTER] = {0};
    const void *from = acc;
    if (width < QUARTER) {
        memcpy(sums, acc, (size_t)width * sizeof *sums);
        from = sums;
    }
    return _mm_loadu_si128((const __m128i *)from);
}

/* Values within the limits of channels that have steps of their own, or share them. */
SSE41_INLINE void limited_values(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                                 int32_t rows, int32_t width, int32_t *values)
{
    int32_t limits[2][QUARTER] = {{0}};
    for (int32_t n = 0; n < width; ++n) {
        limits[0][n] = ares_least_value(rescale, first + n);
        limits[1][n] = ares_most_value(rescale, first + n);
    }
    const void *const from = limits;
    const __m128i least = _mm_loadu_si128((const __m128i *)from);
    const __m128i most = _mm_loadu_si128((const __m128i *)from + 1);
    scaling s;
    load_scaling(rescale, first, width, &s);
    for (int32_t r = 0; r < rows; ++r) {
        void *const to = values + r * ARES_PANEL_WIDTH;
        const __m128i row = rounded(&s, sums_of(acc + r * ARES_PANEL_WIDTH, width));
        _mm_storeu_si128((__m128i *)to, _mm_min_epi32(_mm_max_epi32(row, least), most));
    }
}

SSE41 static void requantize_steps(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                                   int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    for (int32_t r = 0; r < rows; r += ARES_TILE_ROWS) {
        const int32_t left = rows - r;
        const int32_t count = left < ARES_TILE_ROWS ? left : ARES_TILE_ROWS;
        const int32_t *const from = acc + r * ARES_PANEL_WIDTH;
        int32_t values[ARES_DEPTHWISE_WIDTH];
        for (int32_t n = 0; n < width; n += QUARTER) {
            const int32_t part = width - n < QUARTER ? width - n : QUARTER;
            limited_values(rescale, first + n, from + n, count, part, values + n);
        }
        ares_code_rows(rescale, first, values, count, width, out + r * out_step, out_step);
    }
}

SSE41 static void requantize_sse41(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                                   int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    if (rescale->num_thresholds > 0) {
        requantize_steps(rescale, first, acc, rows, width, out, out_step);
        return;
    }
    for (int32_t n = 0; n < width; n += QUARTER) {
        const int32_t part = width - n < QUARTER ? width - n : QUARTER;
        scaling s;
        load_scaling(rescale, first + n, part, &s);
        for (int32_t r = 0; r < rows; ++r) {
            const __m128i values = rounded(&s, sums_of(acc + n + r * ARES_PANEL_WIDTH, part));
            const int32_t codes = _mm_cvtsi128_si32(limited(values, rescale));
            memcpy(out + n + r * out_step, &codes, (size_t)part);
        }
    }
}

const ares_x86_kernels ares_x86_sse41 = {.ares_tile = tile_sse41,
                                         .ares_depthwise_tile = depthwise_tile_sse41,
                                         .ares_requantize = requantize_sse41,
                                         .instruction_set = "sse4.1"};

#endif
