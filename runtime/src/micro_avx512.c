/* The micro-kernels with AVX-512 VNNI: four products of bytes and their sum in each of sixteen lanes. */
#include "../inc/micro_avx512.h"
#include "../inc/micro_steps.h"
#include "../inc/micro_steps_avx512.h"

#if defined(ARES_MICRO_X86)

#include <stddef.h>
#include <string.h>

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
 * The sums of up to eight rows times a panel, while its segments are gone through. Two steps of a panel at a time: eight
 * codes of a row come to all lanes by one load, and a channel's two steps lie side by side, those of channels 4 L and 4 L + 1 in low,
 * of 4 L + 2 and 4 L + 3 in high.
 */
enum { RUN_ROWS = 8 };

typedef struct row_sums {
    __m512i low[RUN_ROWS];
    __m512i high[RUN_ROWS];
    __m512i more[RUN_ROWS]; /* excess, of s8 codes */
} row_sums;

/*
 * How codes are taken: u8 as they are; s8 for the s8 operand, with an excess in each row; or s8 with their highest bit flipped,
 * as u8 that are 128 more, which sums begin without: the same for all rows, but as much work as a row.
 */
enum { AS_U8, AS_S8, FLIPPED };

/* What is done to each of so many rows, 2, 4 or 8: as many lines of code, as compilers keep no array in registers else. */
#define EACH_ROW(count, DO)                                                                        \
    DO(0)                                                                                          \
    DO(1)                                                                                          \
    if ((count) > 2) {                                                                             \
        DO(2)                                                                                      \
        DO(3)                                                                                      \
    }                                                                                              \
    if ((count) > 4) {                                                                             \
        DO(4)                                                                                      \
        DO(5)                                                                                      \
        DO(6)                                                                                      \
        DO(7)                                                                                      \
    }

/* Eight codes, again and again. */
AVX512_INLINE __m512i eight_codes(const uint8_t *x)
{
    int64_t codes;
    memcpy(&codes, x, sizeof codes);
    return _mm512_set1_epi64(codes);
}

/* begin: low and high. */
AVX512_INLINE void start(row_sums *sums, const __m512i *begin, const int count)
{
    const __m512i zero = _mm512_setzero_si512();
#define START(r)                                                                                   \
    sums->low[r] = begin[0];                                                                       \
    sums->high[r] = begin[1];                                                                      \
    sums->more[r] = zero;
    EACH_ROW(count, START)
#undef START
}

/* One segment of count rows; step: bytes of a step of the panel. */
AVX512_INLINE void add_segment(row_sums *sums, const uint8_t *const *x, ptrdiff_t length,
                               const int8_t *panel, ptrdiff_t step, __mmask16 lanes, const int how,
                               const int count)
{
    const __m512i bits = _mm512_set1_epi32((int)0x80808080u);
    const __m512i zero = _mm512_setzero_si512();
    const __m512i flip = how == AS_S8 ? bits : zero;
    ptrdiff_t i = 0;
#define ADD(r)                                                                                     \
    {                                                                                              \
        const __m512i codes =                                                                      \
            how == FLIPPED ? _mm512_xor_si512(CODES(x[r] + i), bits) : CODES(x[r] + i);            \
        sums->low[r] = _mm512_dpbusd_epi32(sums->low[r], how == AS_S8 ? low : codes,               \
                                           how == AS_S8 ? codes : low);                            \
        sums->high[r] = _mm512_dpbusd_epi32(sums->high[r], how == AS_S8 ? high : codes,            \
                                            how == AS_S8 ? codes : high);                          \
    }
#define CODES eight_codes
    for (; i + 8 <= length; i += 8) {
        const __m512i w0 = _mm512_xor_si512(_mm512_maskz_loadu_epi32(lanes, panel), flip);
        const __m512i w1 = _mm512_xor_si512(_mm512_maskz_loadu_epi32(lanes, panel + step), flip);
        const __m512i low = _mm512_unpacklo_epi32(w0, w1);
        const __m512i high = _mm512_unpackhi_epi32(w0, w1);
        EACH_ROW(count, ADD)
        panel += 2 * step;
    }
#undef CODES
#define CODES four_codes
    if (i < length) {
        const __m512i w0 = _mm512_xor_si512(_mm512_maskz_loadu_epi32(lanes, panel), flip);
        const __m512i low = _mm512_unpacklo_epi32(w0, zero);
        const __m512i high = _mm512_unpackhi_epi32(w0, zero);
        EACH_ROW(count, ADD)
    }
#undef CODES
#undef ADD
    for (i = 0; i < length && how == AS_S8; i += 64) {
        const __mmask16 there = first_lanes((length - i) / 4);
#define EXCESS(r) sums->more[r] = excess(sums->more[r], x[r] + i, there);
        EACH_ROW(count, EXCESS)
#undef EXCESS
    }
}

/* What sums begin with whose codes are 128 more: 128 times the weights of the panel less, for each of its so many steps. */
AVX512_INLINE void less_of_flipped(const int8_t *panel, ptrdiff_t step, ptrdiff_t steps,
                                   __mmask16 lanes, __m512i *begin)
{
    const __m512i excess_of = _mm512_set1_epi8((char)-128); /* 128 as u8 */
    __m512i sum0 = _mm512_setzero_si512();
    __m512i sum1 = sum0;
    ptrdiff_t i = 0;
    for (; i + 2 <= steps; i += 2) {
        const __m512i w1 = _mm512_maskz_loadu_epi32(lanes, panel + step);
        sum0 = _mm512_dpbusd_epi32(sum0, excess_of, _mm512_maskz_loadu_epi32(lanes, panel));
        sum1 = _mm512_dpbusd_epi32(sum1, excess_of, w1);
        panel += 2 * step;
    }
    if (i < steps) {
        sum0 = _mm512_dpbusd_epi32(sum0, excess_of, _mm512_maskz_loadu_epi32(lanes, panel));
    }
    const __m512i zero = _mm512_setzero_si512();
    const __m512i less = _mm512_sub_epi32(zero, _mm512_add_epi32(sum0, sum1));
    begin[0] = _mm512_unpacklo_epi32(less, zero);
    begin[1] = _mm512_unpackhi_epi32(less, zero);
}

/* What comes out of rows first to first + 3: sixteen channels each. */
AVX512_INLINE void end(const row_sums *sums, const int first, const int how, __m512i *sum)
{
#define END(r)                                                                                     \
    {                                                                                              \
        const __m512 low = _mm512_castsi512_ps(sums->low[first + (r)]);                            \
        const __m512 high = _mm512_castsi512_ps(sums->high[first + (r)]);                          \
        sum[r] = _mm512_add_epi32(_mm512_castps_si512(_mm512_shuffle_ps(low, high, 0x88)),         \
                                  _mm512_castps_si512(_mm512_shuffle_ps(low, high, 0xdd)));        \
    }
    EACH_ROW(4, END)
#undef END
    if (how == AS_S8) {
        const __m512i *const parts = sums->more + first;
        const __m512i more = excess_of_rows(parts[0], parts[1], parts[2], parts[3]);
        sum[0] = _mm512_sub_epi32(sum[0], _mm512_shuffle_epi32(more, _MM_PERM_AAAA));
        sum[1] = _mm512_sub_epi32(sum[1], _mm512_shuffle_epi32(more, _MM_PERM_BBBB));
        sum[2] = _mm512_sub_epi32(sum[2], _mm512_shuffle_epi32(more, _MM_PERM_CCCC));
        sum[3] = _mm512_sub_epi32(sum[3], _mm512_shuffle_epi32(more, _MM_PERM_DDDD));
    }
}

AVX512_INLINE void store_sums(const __m512i *sums, int32_t rows, int32_t *acc)
{
    _mm512_storeu_si512(acc, sums[0]);
    if (rows > 1) {
        _mm512_storeu_si512(acc + ARES_PANEL_WIDTH, sums[1]);
    }
    if (rows > 2) {
        _mm512_storeu_si512(acc + 2 * ARES_PANEL_WIDTH, sums[2]);
    }
    if (rows > 3) {
        _mm512_storeu_si512(acc + 3 * ARES_PANEL_WIDTH, sums[3]);
    }
}

AVX512_INLINE void tile_rows(const ares_tile_rows *rows, const int8_t *panel, int32_t width,
                             int32_t *acc, const int how)
{
    const ptrdiff_t step = 4 * (ptrdiff_t)width;
    const ptrdiff_t length = rows->length;
    /* Rows that do not exist are the first one again. */
    const int32_t r1 = rows->rows > 1 ? 1 : 0;
    const int32_t r2 = rows->rows > 2 ? 2 : 0;
    const int32_t r3 = rows->rows > 3 ? 3 : 0;
    row_sums sums;
    __m512i sum[ARES_TILE_ROWS];
    const __m512i begin[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    start(&sums, begin, ARES_TILE_ROWS);
    for (int32_t s = 0; s < rows->segments; ++s) {
        const uint8_t *const *const x = &rows->x[s * ARES_TILE_ROWS];
        const uint8_t *const four[ARES_TILE_ROWS] = {x[0], x[r1], x[r2], x[r3]};
        add_segment(&sums, four, length, panel, step, first_lanes(width), how, ARES_TILE_ROWS);
        panel += length * width;
    }
    end(&sums, 0, how, sum);
    store_sums(sum, rows->rows, acc);
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
        tile_rows(rows, panel, width, acc, AS_S8);
    } else {
        tile_rows(rows, panel, width, acc, AS_U8);
    }
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

/* Up to four rows of one panel with limits of any size, or steps: values within them. */
AVX512_INLINE void limited_values(const ares_rescale *rescale, int32_t first, const scaling *s,
                                  const int32_t *acc, int32_t rows, int32_t width, int32_t *values)
{
    const __mmask16 lanes = first_lanes(width);
    int32_t limits[2][ARES_PANEL_WIDTH] = {{0}};
    for (int32_t n = 0; n < width; ++n) {
        limits[0][n] = ares_least_value(rescale, first + n);
        limits[1][n] = ares_most_value(rescale, first + n);
    }
    const __m512i least = _mm512_loadu_si512(limits[0]);
    const __m512i most = _mm512_loadu_si512(limits[1]);
    for (int32_t r = 0; r < rows; ++r) {
        const __m512i sums = _mm512_maskz_loadu_epi32(lanes, acc + r * ARES_PANEL_WIDTH);
        const __m512i value = rounded_any(even_total(s, sums), odd_total(s, sums), s->shift);
        _mm512_mask_storeu_epi32(values + r * ARES_PANEL_WIDTH, lanes,
                                 _mm512_min_epi32(_mm512_max_epi32(value, least), most));
    }
}

AVX512 static void requantize_any(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                                  int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    for (int32_t r = 0; r < rows; r += ARES_TILE_ROWS) {
        const int32_t left = rows - r;
        const int32_t count = left < ARES_TILE_ROWS ? left : ARES_TILE_ROWS;
        const int32_t *const from = acc + r * ARES_PANEL_WIDTH;
        int32_t values[ARES_DEPTHWISE_WIDTH];
        for (int32_t n = 0; n < width; n += ARES_PANEL_WIDTH) {
            const int32_t part = width - n < ARES_PANEL_WIDTH ? width - n : ARES_PANEL_WIDTH;
            scaling s;
            load_scaling(rescale, first + n, part, &s);
            limited_values(rescale, first + n, &s, from + n, count, part, values + n);
        }
        ares_code_rows(rescale, first, values, count, width, out + r * out_step, out_step);
    }
}

AVX512 static void requantize_avx512(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                                     int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    if (rescale->num_thresholds > 0) {
        requantize_any(rescale, first, acc, rows, width, out, out_step);
        return;
    }
    for (int32_t n = 0; n < width; n += ARES_PANEL_WIDTH) {
        const int32_t left = width - n;
        const int32_t part = left < ARES_PANEL_WIDTH ? left : ARES_PANEL_WIDTH;
        scaling s;
        if (!load_scaling(rescale, first + n, part, &s)) {
            requantize_any(rescale, first + n, acc + n, rows, part, out + n, out_step);
            continue;
        }
        for (int32_t r = 0; r < rows; r += 4) {
            requantize_rows(rescale, &s, acc + n + r * ARES_PANEL_WIDTH,
                            rows - r < 4 ? rows - r : 4, part, out + n + r * out_step, out_step);
        }
    }
}

/*
 * Where the codes of a run's rows go. scales: NULL where they cannot be had from scaling; sums are then kept in acc, for
 * tables of steps, NULL without, or whatever else there is.
 */
typedef struct row_codes {
    const ares_rescale *rescale;
    const scaling *scales;
    const ares_step_tables *tables;
    const ares_step_scaling *steps;
    int32_t *acc; /* ARES_STEP_ROWS */
    int32_t first;
    int32_t width;
    int32_t step;
} row_codes;

/* The codes of up to four rows of sums, row and on; or the sums to be kept. */
AVX512_INLINE void finish(const row_codes *codes, const __m512i *sum, int32_t row, int32_t rows,
                          uint8_t *out)
{
    const scaling *const s = codes->scales;
    const scaling *const same[4] = {s, s, s, s};
    if (s == NULL) {
        store_sums(sum, ARES_TILE_ROWS, codes->acc + row % ARES_STEP_ROWS * ARES_PANEL_WIDTH);
    } else {
        store_codes(finished(same, sum[0], sum[1], sum[2], sum[3], codes->rescale,
                             first_lanes(codes->width)),
                    rows, codes->width, out, codes->step);
    }
}

/* The codes of the first rows of sums that were kept. */
AVX512_INLINE void finish_kept(const row_codes *codes, int32_t rows, uint8_t *out)
{
    if (codes->tables != NULL) {
        ares_step_rows_avx512(codes->tables, codes->steps, codes->rescale, codes->first, codes->acc,
                              rows, codes->width, out, codes->step);
    } else {
        requantize_any(codes->rescale, codes->first, codes->acc, rows, codes->width, out,
                       codes->step);
    }
}

/* Rows i and on of a run, 1 to count of them, times a panel. Rows that do not exist are the last one again. */
AVX512_INLINE void rows_of_run(const ares_tile_run *run, int32_t i, int32_t rows,
                               const int8_t *panel, const row_codes *codes, const __m512i *begin,
                               uint8_t *out, const int how, const int count)
{
    const ptrdiff_t length = run->length;
    row_sums sums;
    __m512i sum[ARES_TILE_ROWS];
    start(&sums, begin, RUN_ROWS);
    for (int32_t k = 0; k < run->segments; ++k) {
        const ptrdiff_t step = k >= run->first && k < run->end ? run->step : 0;
        const uint8_t *x[RUN_ROWS];
        x[0] = run->x[k] + i * step;
        x[1] = x[0] + (rows > 1 ? step : 0);
        x[2] = x[1] + (rows > 2 ? step : 0);
        x[3] = x[2] + (rows > 3 ? step : 0);
        x[4] = x[3] + (rows > 4 ? step : 0);
        x[5] = x[4] + (rows > 5 ? step : 0);
        x[6] = x[5] + (rows > 6 ? step : 0);
        x[7] = x[6] + (rows > 7 ? step : 0);
        add_segment(&sums, x, length, panel, 4 * (ptrdiff_t)codes->width, first_lanes(codes->width),
                    how, count);
        panel += length * codes->width;
    }
    end(&sums, 0, how, sum);
    finish(codes, sum, i, rows < ARES_TILE_ROWS ? rows : ARES_TILE_ROWS, out);
    if (count > ARES_TILE_ROWS) {
        end(&sums, ARES_TILE_ROWS, how, sum);
        finish(codes, sum, i + ARES_TILE_ROWS, rows - ARES_TILE_ROWS,
               out + ARES_TILE_ROWS * (ptrdiff_t)codes->step);
    }
}

/* A run times one panel. */
AVX512_INLINE void run_panel(const ares_tile_run *run, const int8_t *panel, const row_codes *codes,
                             uint8_t *out, const int how)
{
    __m512i begin[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    if (run->positions == 1) {
        const __m512i sum =
            one_row(run->x, 1, run->segments, run->length, panel, codes->width, how == AS_S8);
        const __m512i same[ARES_TILE_ROWS] = {sum, sum, sum, sum};
        finish(codes, same, 0, 1, out);
        if (codes->scales == NULL) {
            finish_kept(codes, 1, out);
        }
        return;
    }
    if (how == FLIPPED) {
        less_of_flipped(panel, 4 * (ptrdiff_t)codes->width, run->segments * run->length / 4,
                        first_lanes(codes->width), begin);
    }
    for (int32_t i = 0; i < run->positions; i += RUN_ROWS) {
        const int32_t left = run->positions - i;
        uint8_t *const to = out + i * (ptrdiff_t)codes->step;
        if (left >= RUN_ROWS) {
            rows_of_run(run, i, RUN_ROWS, panel, codes, begin, to, how, RUN_ROWS);
        }
        for (int32_t k = 0; k < left && left < RUN_ROWS; k += ARES_TILE_ROWS) {
            const int32_t rows = left - k < ARES_TILE_ROWS ? left - k : ARES_TILE_ROWS;
            uint8_t *const part = to + k * (ptrdiff_t)codes->step;
            if (rows <= 2) {
                rows_of_run(run, i + k, rows, panel, codes, begin, part, how, 2);
            } else {
                rows_of_run(run, i + k, rows, panel, codes, begin, part, how, ARES_TILE_ROWS);
            }
        }
        const int32_t before = i % ARES_STEP_ROWS;
        if (codes->scales == NULL && (left <= RUN_ROWS || before + RUN_ROWS == ARES_STEP_ROWS)) {
            finish_kept(codes, before + (left < RUN_ROWS ? left : RUN_ROWS),
                        to - before * (ptrdiff_t)codes->step);
        }
    }
}

AVX512 static void run_panels_avx512(const ares_tile_run *run, const int8_t *panels,
                                     const ares_rescale *rescale, int32_t first, int32_t channels,
                                     uint8_t *out, int32_t out_step)
{
    int32_t acc[ARES_STEP_ROWS * ARES_PANEL_WIDTH];
    ares_step_tables tables;
    const int has_tables = run->positions * (int64_t)channels >= ARES_STEP_WORTH_IT &&
                           ares_step_tables_of(&tables, rescale);
    for (int32_t n = 0; n < channels; n += ARES_PANEL_WIDTH) {
        const int32_t left = channels - n;
        const int32_t width = left < ARES_PANEL_WIDTH ? left : ARES_PANEL_WIDTH;
        scaling s;
        ares_step_scaling steps;
        row_codes codes = {rescale, NULL, NULL, &steps, acc, first + n, width, out_step};
        if (rescale->num_thresholds == 0 && load_scaling(rescale, first + n, width, &s)) {
            codes.scales = &s;
        } else if (has_tables && ares_step_scaling_of(&steps, &tables, rescale, first + n, width)) {
            codes.tables = &tables;
        }
        if (!run->is_signed) {
            run_panel(run, panels, &codes, out + n, AS_U8);
        } else if (run->positions > 1 && 16 * run->positions > run->segments * run->length) {
            run_panel(run, panels, &codes, out + n, FLIPPED); /* fewer steps than rows */
        } else {
            run_panel(run, panels, &codes, out + n, AS_S8);
        }
        panels += (ptrdiff_t)width * run->segments * run->length;
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

/* Thirty-two codes as words: s8 or u8. */
AVX512_INLINE __m512i words(const uint8_t *codes, int32_t is_signed)
{
    const void *const from = codes;
    const __m256i bytes = _mm256_loadu_si256((const __m256i *)from);
    return is_signed ? _mm512_cvtepi8_epi16(bytes) : _mm512_cvtepu8_epi16(bytes);
}

/*
 * Constants of sums whose coefficients are high * 2^16 + low, words both: a total is above * 2^16 + below, and what is above
 * 2^16 in it has 32 bits.
 */
typedef struct add_words {
    __m512i high; /* of both, side by side */
    __m512i low;
    __m512i above; /* of the offset */
    __m512i below;
    __m128i shift; /* what is left above 16 */
    __m128i unshift;
} add_words;

/* Whether it can be done so. */
AVX512_INLINE int load_words(const ares_add_params *p, add_words *words)
{
    const int32_t shift = p->rescale.shift[0];
    const int64_t offset = p->rescale.offset[0];
    const int64_t a[2] = {p->coefficient0, p->coefficient1};
    int64_t high[2];
    int16_t low[2];
    for (int32_t k = 0; k < 2; ++k) {
        const int64_t rest = a[k] & 0xffff;
        low[k] = (int16_t)(rest < 0x8000 ? rest : rest - 0x10000);
        high[k] = (a[k] - low[k]) / 0x10000;
        if (high[k] > INT16_MAX || high[k] < INT16_MIN) {
            return 0;
        }
    }
    if (shift < 17 || shift > 47 || offset >= (int64_t)1 << 46 || offset <= -((int64_t)1 << 46)) {
        return 0;
    }
    words->high = _mm512_set1_epi32((int32_t)((uint32_t)high[1] << 16 | (uint16_t)high[0]));
    words->low = _mm512_set1_epi32((int32_t)((uint32_t)low[1] << 16 | (uint16_t)low[0]));
    words->below = _mm512_set1_epi32((int32_t)(offset & 0xffff));
    words->above = _mm512_set1_epi32((int32_t)((offset - (offset & 0xffff)) / 0x10000));
    words->shift = _mm_cvtsi32_si128(shift - 16);
    words->unshift = _mm_cvtsi32_si128(48 - shift);
    return 1;
}

/* N1 of sixteen totals of codes side by side, but for ties: low becomes the smallest of what is below 2^16 there was. */
AVX512_INLINE __m512i sum_of_words(const add_words *words, __m512i codes, __m512i *low)
{
    const __m512i below = _mm512_dpwssd_epi32(words->below, codes, words->low);
    const __m512i above = _mm512_dpwssd_epi32(words->above, codes, words->high);
    *low = _mm512_min_epu32(*low, _mm512_slli_epi32(below, 16));
    return _mm512_sra_epi32(_mm512_add_epi32(above, _mm512_srai_epi32(below, 16)), words->shift);
}

/* The same with ties. */
AVX512_INLINE __m512i even_sum_of_words(const add_words *words, __m512i codes)
{
    const __m512i below = _mm512_dpwssd_epi32(words->below, codes, words->low);
    const __m512i above = _mm512_add_epi32(_mm512_dpwssd_epi32(words->above, codes, words->high),
                                           _mm512_srai_epi32(below, 16));
    const __m512i cut =
        _mm512_or_si512(_mm512_sll_epi32(above, words->unshift), _mm512_slli_epi32(below, 16));
    const __mmask16 tie = _mm512_testn_epi32_mask(cut, cut);
    const __m512i value = _mm512_sra_epi32(above, words->shift);
    return _mm512_mask_and_epi32(value, tie, value, _mm512_set1_epi32(-2));
}

/* Sixty-four elements at a time, as many as there are. */
AVX512_INLINE int32_t add_by_words(const ares_add_params *p, const uint8_t *in0, const uint8_t *in1,
                                   uint8_t *out)
{
    const int32_t end = p->count - p->count % 64;
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    add_words constants;
    if (!load_words(p, &constants)) {
        return 0;
    }
    for (int32_t i = 0; i < end; i += 64) {
        const __m512i a0 = words(in0 + i, p->input0_signed);
        const __m512i b0 = words(in0 + i + 32, p->input0_signed);
        const __m512i a1 = words(in1 + i, p->input1_signed);
        const __m512i b1 = words(in1 + i + 32, p->input1_signed);
        const __m512i codes0 = _mm512_unpacklo_epi16(a0, a1);
        const __m512i codes1 = _mm512_unpackhi_epi16(a0, a1);
        const __m512i codes2 = _mm512_unpacklo_epi16(b0, b1);
        const __m512i codes3 = _mm512_unpackhi_epi16(b0, b1);
        __m512i low = _mm512_set1_epi32(-1);
        __m512i values0 = sum_of_words(&constants, codes0, &low);
        __m512i values1 = sum_of_words(&constants, codes1, &low);
        __m512i values2 = sum_of_words(&constants, codes2, &low);
        __m512i values3 = sum_of_words(&constants, codes3, &low);
        if (_mm512_testn_epi32_mask(low, low) != 0) {
            values0 = even_sum_of_words(&constants, codes0);
            values1 = even_sum_of_words(&constants, codes1);
            values2 = even_sum_of_words(&constants, codes2);
            values3 = even_sum_of_words(&constants, codes3);
        }
        const __m512i codes = limited(values0, values1, values2, values3, &p->rescale);
        _mm512_storeu_si512(out + i, _mm512_permutexvar_epi64(order, codes));
    }
    return end;
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
    for (int32_t i = add_by_words(p, in0, in1, out); i < end; i += 16) {
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
                                          .ares_depthwise_tile = ares_depthwise_tile_avx512,
                                          .ares_requantize = requantize_avx512,
                                          .depthwise_prepare = ares_depthwise_prepare_avx512,
                                          .depthwise_positions = ares_depthwise_positions_avx512,
                                          .depthwise_image = ares_depthwise_image_avx512,
                                          .run_panels = run_panels_avx512,
                                          .add = add_avx512,
                                          .quantize = ares_quantize_avx512,
                                          .sum = sum_avx512,
                                          .interleave = ares_interleave_avx2,
                                          .real_outputs = ares_real_outputs_avx512,
                                          .norm = ares_norm_avx512,
                                          .moments = ares_moments_avx512,
                                          .lookup = ares_lookup_avx512,
                                          .rotary = ares_rotary_avx512,
                                          .softmax = ares_softmax_avx512,
                                          .scan = ares_scan_avx512,
                                          .instruction_set = "avx512-vnni"};

#endif
