/* The micro-kernels with AVX2: codes and weights widened to 16 bits, products of pairs summed in 32 (VPMADDWD). */
#include "../inc/micro_steps.h"
#include "../inc/micro_x86.h"

#if defined(ARES_MICRO_X86)

#include <immintrin.h>
#include <stddef.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

enum { HALF = 8 }; /* channels of a panel at a time */

/* Four codes of 16 bits, four times. */
AVX2_INLINE __m256i four_codes(const uint8_t *x, const int is_signed)
{
    int32_t codes;
    memcpy(&codes, x, sizeof codes);
    const __m128i four = _mm_set1_epi32(codes);
    return is_signed ? _mm256_cvtepi8_epi16(four) : _mm256_cvtepu8_epi16(four);
}

/* The weights of four channels. */
AVX2_INLINE __m256i four_channels(const void *w)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)w));
}

AVX2_INLINE __m256i products(__m256i sum, __m256i x, __m256i w)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(x, w));
}

/* Two sums for each of eight channels to one. */
AVX2_INLINE void store_sums(int32_t *acc, __m256i first, __m256i second)
{
    const __m256i pairs = _mm256_hadd_epi32(first, second);
    void *const to = acc;
    _mm256_storeu_si256((__m256i *)to, _mm256_permute4x64_epi64(pairs, 0xd8));
}

/*
 * count rows, 1 or 4, times channels n to n + 7 of a panel. Where there are fewer (not is_full) what follows them in the
 * panel is taken with them, into sums without meaning.
 */
AVX2_INLINE void tile(const ares_tile_rows *rows, const int8_t *panel, int32_t n, int32_t width,
                      int32_t *acc, const int count, const int is_signed, const int is_full)
{
    const __m256i zero = _mm256_setzero_si256();
    const int8_t *const end = panel + rows->segments * rows->length * (ptrdiff_t)width;
    int8_t last[4 * HALF] = {0};
    /* Rows that do not exist are the first one again. */
    const int32_t r1 = rows->rows > 1 ? 1 : 0;
    const int32_t r2 = rows->rows > 2 ? 2 : 0;
    const int32_t r3 = rows->rows > 3 ? 3 : 0;
    const int8_t *w = panel + 4 * n;
    __m256i sum00 = zero;
    __m256i sum01 = zero;
    __m256i sum10 = zero;
    __m256i sum11 = zero;
    __m256i sum20 = zero;
    __m256i sum21 = zero;
    __m256i sum30 = zero;
    __m256i sum31 = zero;
    for (int32_t s = 0; s < rows->segments; ++s) {
        const uint8_t *const *const x = &rows->x[s * ARES_TILE_ROWS];
        for (ptrdiff_t i = 0; i < rows->length; i += 4) {
            const int8_t *eight = w;
            if (!is_full && end - w < 4 * HALF) {
                memcpy(last, w, (size_t)(end - w));
                eight = last;
            }
            const __m256i w0 = four_channels(eight);
            const __m256i w1 = four_channels(eight + 16);
            const __m256i x0 = four_codes(x[0] + i, is_signed);
            sum00 = products(sum00, x0, w0);
            sum01 = products(sum01, x0, w1);
            if (count > 1) {
                const __m256i x1 = four_codes(x[r1] + i, is_signed);
                const __m256i x2 = four_codes(x[r2] + i, is_signed);
                const __m256i x3 = four_codes(x[r3] + i, is_signed);
                sum10 = products(sum10, x1, w0);
                sum11 = products(sum11, x1, w1);
                sum20 = products(sum20, x2, w0);
                sum21 = products(sum21, x2, w1);
                sum30 = products(sum30, x3, w0);
                sum31 = products(sum31, x3, w1);
            }
            w += 4 * width;
        }
    }
    store_sums(acc + n, sum00, sum01);
    if (rows->rows > 1) {
        store_sums(acc + ARES_PANEL_WIDTH + n, sum10, sum11);
    }
    if (rows->rows > 2) {
        store_sums(acc + 2 * ARES_PANEL_WIDTH + n, sum20, sum21);
    }
    if (rows->rows > 3) {
        store_sums(acc + 3 * ARES_PANEL_WIDTH + n, sum30, sum31);
    }
}

AVX2_INLINE void tile_of(const ares_tile_rows *rows, const int8_t *panel, int32_t n, int32_t width,
                         int32_t *acc, const int is_signed, const int is_full)
{
    if (rows->rows == 1) {
        tile(rows, panel, n, width, acc, 1, is_signed, is_full);
    } else {
        tile(rows, panel, n, width, acc, 4, is_signed, is_full);
    }
}

AVX2 static void tile_avx2(const ares_tile_rows *rows, const int8_t *panel, int32_t width,
                           int32_t *acc)
{
    for (int32_t n = 0; n < width; n += HALF) {
        if (width - n >= HALF) {
            if (rows->is_signed) {
                tile_of(rows, panel, n, width, acc, 1, 1);
            } else {
                tile_of(rows, panel, n, width, acc, 0, 1);
            }
        } else if (rows->is_signed) {
            tile_of(rows, panel, n, width, acc, 1, 0);
        } else {
            tile_of(rows, panel, n, width, acc, 0, 0);
        }
    }
}

AVX2_INLINE __m256i widened(const void *bytes, int is_signed)
{
    const __m128i codes = _mm_loadu_si128((const __m128i *)bytes);
    return is_signed ? _mm256_cvtepi8_epi16(codes) : _mm256_cvtepu8_epi16(codes);
}

/* Sixteen channels, or the first width. */
AVX2_INLINE __m256i channels_of(const void *bytes, int32_t width, int is_signed)
{
    uint8_t few[16] = {0};
    if (width < 16) {
        memcpy(few, bytes, (size_t)width);
        return widened(few, is_signed);
    }
    return widened(bytes, is_signed);
}

/* Up to sixteen channels, first and on, two taps at a time. */
AVX2_INLINE void depthwise(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                           int32_t *acc)
{
    const int is_signed = taps->is_signed;
    const ptrdiff_t step = taps->channels;
    const int8_t *w = taps->weight + first;
    const __m256i zero = _mm256_setzero_si256();
    __m256i low = zero;
    __m256i high = zero;
    for (int32_t t = 0; t < taps->taps; t += 2) {
        const int is_pair = t + 1 < taps->taps;
        const __m256i x0 = channels_of(taps->x[t] + first, width, is_signed);
        const __m256i w0 = channels_of(w, width, 1);
        __m256i x1 = zero;
        __m256i w1 = zero;
        if (is_pair) {
            x1 = channels_of(taps->x[t + 1] + first, width, is_signed);
            w1 = channels_of(w + step, width, 1);
        }
        low = products(low, _mm256_unpacklo_epi16(x0, x1), _mm256_unpacklo_epi16(w0, w1));
        high = products(high, _mm256_unpackhi_epi16(x0, x1), _mm256_unpackhi_epi16(w0, w1));
        w += is_pair ? 2 * step : 0;
    }
    int32_t few[16];
    void *const to = width < 16 ? few : acc;
    _mm256_storeu_si256((__m256i *)to, _mm256_permute2x128_si256(low, high, 0x20));
    _mm256_storeu_si256((__m256i *)to + 1, _mm256_permute2x128_si256(low, high, 0x31));
    if (width < 16) {
        memcpy(acc, few, (size_t)width * sizeof *acc);
    }
}

AVX2 static void depthwise_tile_avx2(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                                     int32_t *acc)
{
    if (width < 16) {
        depthwise(taps, first, width, acc);
        return;
    }
    for (int32_t c = 0; c < width; c += 16) { /* the last ones begin before where the others end */
        const int32_t from = c + 16 <= width ? c : width - 16;
        depthwise(taps, first + from, 16, acc + from);
    }
}

/* Constants of N3 for eight channels, those of even and of odd lanes apart: products have 64 bits. */
typedef struct scaling {
    __m256i multiplier;
    __m256i even;
    __m256i odd;
    __m256i shift; /* of the high half: what is left above 32, negative where it is less */
    int has_less;
} scaling;

AVX2_INLINE void load_scaling(const ares_rescale *rescale, int32_t first, int32_t width, scaling *s)
{
    int32_t multipliers[HALF];
    int64_t offsets[HALF];
    uint8_t shifts[HALF];
    const void *m = rescale->multiplier + first;
    const void *b = rescale->offset + first;
    const void *d = rescale->shift + first;
    if (width < HALF || rescale->channel_stride == 0) {
        for (int32_t n = 0; n < HALF; ++n) { /* the last one again where there are no more */
            const int32_t c = (first + (n < width ? n : width - 1)) * rescale->channel_stride;
            multipliers[n] = rescale->multiplier[c];
            offsets[n] = rescale->offset[c];
            shifts[n] = rescale->shift[c];
        }
        m = multipliers;
        b = offsets;
        d = shifts;
    }
    const __m256i low = _mm256_loadu_si256((const __m256i *)b);
    const __m256i high = _mm256_loadu_si256((const __m256i *)b + 1);
    s->multiplier = _mm256_loadu_si256((const __m256i *)m);
    s->even = _mm256_permute4x64_epi64(_mm256_unpacklo_epi64(low, high), 0xd8);
    s->odd = _mm256_permute4x64_epi64(_mm256_unpackhi_epi64(low, high), 0xd8);
    s->shift = _mm256_sub_epi32(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)d)),
                                _mm256_set1_epi32(32));
    s->has_less = _mm256_movemask_ps(_mm256_castsi256_ps(s->shift)) != 0;
}

/* Lanes of the second where a lane of what decides is negative. */
AVX2_INLINE __m256i selected(__m256i first, __m256i second, __m256i decides)
{
    return _mm256_castps_si256(_mm256_blendv_ps(
        _mm256_castsi256_ps(first), _mm256_castsi256_ps(second), _mm256_castsi256_ps(decides)));
}

/*
 * What a shift under 32 makes of totals, in lanes that have one; the others stay. The value is the 32 bits from the point
 * on, some of either half. Where the high half has more it is beyond int32, and the last int32 takes its place, no tie:
 * rounding keeps order, and limits are int32, so that what is limited then (N4, N5) is the same. Shifts out of range give 0
 * or signs here, which other lanes leave alone.
 */
AVX2_INLINE void apply_less(__m256i shift, __m256i top, __m256i bottom, __m256i *value,
                            __m256i *below)
{
    const __m256i up = _mm256_sub_epi32(_mm256_setzero_si256(), shift);
    const __m256i whole = _mm256_add_epi32(shift, _mm256_set1_epi32(32));
    const __m256i sign = _mm256_srai_epi32(top, 31);
    const __m256i more = _mm256_xor_si256(
        _mm256_srav_epi32(top, _mm256_add_epi32(shift, _mm256_set1_epi32(31))), sign);
    const __m256i fits = _mm256_cmpeq_epi32(more, _mm256_setzero_si256());
    const __m256i last = _mm256_xor_si256(sign, _mm256_set1_epi32(INT32_MAX));
    const __m256i bits =
        _mm256_or_si256(_mm256_sllv_epi32(top, up), _mm256_srlv_epi32(bottom, whole));
    const __m256i cut = _mm256_or_si256(_mm256_sllv_epi32(bottom, up), more);
    *value = selected(*value, selected(last, bits, fits), shift);
    *below = selected(*below, cut, shift);
}

/* N1 of eight accumulators, or the int32 that is nearest. */
AVX2_INLINE __m256i rounded(const scaling *s, __m256i sums)
{
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(sums, s->multiplier), s->even);
    const __m256i odd = _mm256_add_epi64(
        _mm256_mul_epi32(_mm256_srli_epi64(sums, 32), _mm256_srli_epi64(s->multiplier, 32)),
        s->odd);
    const __m256i top = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
    const __m256i bottom = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
    __m256i value = _mm256_srav_epi32(top, s->shift);
    const __m256i cut = _mm256_sub_epi32(top, _mm256_sllv_epi32(value, s->shift));
    __m256i below = _mm256_or_si256(cut, bottom);
    if (s->has_less) {
        apply_less(s->shift, top, bottom, &value, &below);
    }
    /* A tie, where nothing is left below the point: bit 0 goes. */
    const __m256i tie = _mm256_cmpeq_epi32(below, _mm256_setzero_si256());
    return _mm256_andnot_si256(_mm256_srli_epi32(tie, 31), value);
}

/* Eight bytes. lo and hi decide on the sign. */
AVX2_INLINE __m128i limited(__m256i values, const ares_rescale *rescale)
{
    const __m128i lo = _mm_set1_epi8((char)rescale->lo);
    const __m128i hi = _mm_set1_epi8((char)rescale->hi);
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
    if (rescale->lo < 0) {
        return _mm_min_epi8(_mm_max_epi8(_mm_packs_epi16(words, words), lo), hi);
    }
    return _mm_min_epu8(_mm_max_epu8(_mm_packus_epi16(words, words), lo), hi);
}

/* Lanes of a row's sums; what is not there is 0. */
AVX2_INLINE __m256i sums_of(const int32_t *acc, int32_t width)
{
    int32_t sums[HALF] = {0};
    const void *from = acc;
    if (width < HALF) {
        memcpy(sums, acc, (size_t)width * sizeof *sums);
        from = sums;
    }
    return _mm256_loadu_si256((const __m256i *)from);
}

/* Values within the limits of channels that have steps of their own, or share them. */
AVX2_INLINE void limited_values(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                                int32_t rows, int32_t width, int32_t *values)
{
    int32_t limits[2][HALF] = {{0}};
    for (int32_t n = 0; n < width; ++n) {
        limits[0][n] = ares_least_value(rescale, first + n);
        limits[1][n] = ares_most_value(rescale, first + n);
    }
    const void *const from = limits;
    const __m256i least = _mm256_loadu_si256((const __m256i *)from);
    const __m256i most = _mm256_loadu_si256((const __m256i *)from + 1);
    scaling s;
    load_scaling(rescale, first, width, &s);
    for (int32_t r = 0; r < rows; ++r) {
        void *const to = values + r * ARES_PANEL_WIDTH;
        const __m256i row = rounded(&s, sums_of(acc + r * ARES_PANEL_WIDTH, width));
        _mm256_storeu_si256((__m256i *)to, _mm256_min_epi32(_mm256_max_epi32(row, least), most));
    }
}

AVX2 static void requantize_steps(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                                  int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    for (int32_t r = 0; r < rows; r += ARES_TILE_ROWS) {
        const int32_t left = rows - r;
        const int32_t count = left < ARES_TILE_ROWS ? left : ARES_TILE_ROWS;
        const int32_t *const from = acc + r * ARES_PANEL_WIDTH;
        int32_t values[ARES_DEPTHWISE_WIDTH];
        for (int32_t n = 0; n < width; n += HALF) {
            const int32_t part = width - n < HALF ? width - n : HALF;
            limited_values(rescale, first + n, from + n, count, part, values + n);
        }
        ares_code_rows(rescale, first, values, count, width, out + r * out_step, out_step);
    }
}

AVX2 static void requantize_avx2(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                                 int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    if (rescale->num_thresholds > 0) {
        requantize_steps(rescale, first, acc, rows, width, out, out_step);
        return;
    }
    for (int32_t n = 0; n < width; n += HALF) {
        const int32_t part = width - n < HALF ? width - n : HALF;
        scaling s;
        load_scaling(rescale, first + n, part, &s);
        for (int32_t r = 0; r < rows; ++r) {
            uint8_t codes[16];
            uint8_t *const to = out + n + r * out_step;
            void *const at = part == HALF ? to : codes;
            const __m256i values = rounded(&s, sums_of(acc + n + r * ARES_PANEL_WIDTH, part));
            _mm_storel_epi64((__m128i *)at, limited(values, rescale));
            if (part < HALF) {
                memcpy(to, codes, (size_t)part);
            }
        }
    }
}

const ares_x86_kernels ares_x86_avx2 = {.ares_tile = tile_avx2,
                                        .ares_depthwise_tile = depthwise_tile_avx2,
                                        .ares_requantize = requantize_avx2,
                                        .instruction_set = "avx2"};

#endif
