/* The micro-kernels for NEON, 32 and 64 bits, with dot products of four codes where the processor has them. */
#include "../inc/micro_add.h"
#include "../inc/micro_elements.h"
#include "../inc/microkernels.h"

#if defined(ARES_MICRO_NEON)

#include <arm_neon.h>
#include <string.h>

#if defined(__aarch64__)
#define ADD_HIGH_PRODUCTS(sums, a, b) vmlal_high_s32(sums, a, b)
#else
#define ADD_HIGH_PRODUCTS(sums, a, b) vmlal_s32(sums, vget_high_s32(a), vget_high_s32(b))
#endif

/* Numbers of rows and quads are constants of the callers: without inlining, sums would lie in memory. */
#define INLINE static inline __attribute__((always_inline))

/* A quad is four channels; `channels` of it are there. One row, or ARES_TILE_ROWS: those that do not exist are the first. */
typedef struct pass {
    int32_t rows;
    int32_t quads;
    int32_t channels;
    int is_signed;
} pass;

/* The weights of four codes of four channels; of fewer channels nothing is read behind them. */
INLINE int8x16_t load_weights(const int8_t *w, int32_t channels)
{
    int8_t bytes[16] = {0};
    if (channels == 4) {
        return vld1q_s8(w);
    }
    for (int32_t i = 0; i < 4 * channels; ++i) {
        bytes[i] = w[i];
    }
    return vld1q_s8(bytes);
}

INLINE void store_sums(int32_t *acc, int32x4_t sums, int32_t channels)
{
    int32_t lanes[4];
    if (channels == 4) {
        vst1q_s32(acc, sums);
        return;
    }
    vst1q_s32(lanes, sums);
    for (int32_t n = 0; n < channels; ++n) {
        acc[n] = lanes[n];
    }
}

/* Four codes, and zeros. */
INLINE uint8x8_t load_group(const uint8_t *x)
{
    uint32_t word;
    memcpy(&word, x, sizeof word);
    return vcreate_u8(word);
}

/*
 * Two ways to multiply, in the same words:
 *
 *   QUADS        whose sums of four rows the registers hold
 *   row_codes    codes of a row: a BLOCK of them, or the last four with zeros
 *   quad_sums    what is summed up for a quad: for each row, and of the weights themselves
 *   add_quad     a block, or the last four codes, of all rows and a quad
 *   row_sum      the sums of a row in the end
 */
#if defined(__ARM_FEATURE_DOTPROD)

enum { BLOCK = 16 };
#if defined(__aarch64__)
enum { QUADS = 4, QUADS_OF_ONE_ROW = 4 };
#define DOT(sums, w, x, group) vdotq_laneq_s32(sums, w, vreinterpretq_s8_u8(x), group)
#else
enum { QUADS = 2, QUADS_OF_ONE_ROW = 2 };
#define HALF(x, group) vreinterpret_s8_u8((group) < 2 ? vget_low_u8(x) : vget_high_u8(x))
#define DOT(sums, w, x, group) vdotq_lane_s32(sums, w, HALF(x, group), (group) % 2)
#endif

#if defined(__aarch64__) && defined(__ARM_FEATURE_MATMUL_INT8)
#define DOT_UNSIGNED(sums, w, x, group) vsudotq_laneq_s32(sums, w, x, group)
#define IS_FLIPPED(is_signed) ((is_signed) && 0)
#else
/* Unsigned codes are made signed ones, 128 less each; 128 times the sum of the weights is added in the end. */
#define DOT_UNSIGNED(sums, w, x, group) DOT(sums, w, x, group)
#define IS_FLIPPED(is_signed) (!(is_signed))
#endif

typedef uint8x16_t row_codes;

typedef struct quad_sums {
    int32x4_t row[ARES_TILE_ROWS];
    int32x4_t weights;
} quad_sums;

INLINE row_codes flipped(row_codes x, int is_signed)
{
    return IS_FLIPPED(is_signed) ? veorq_u8(x, vdupq_n_u8(0x80)) : x;
}

INLINE row_codes load_block(const uint8_t *x, int is_signed)
{
    return flipped(vld1q_u8(x), is_signed);
}

INLINE row_codes load_last(const uint8_t *x, int is_signed)
{
    return flipped(vcombine_u8(load_group(x), vcreate_u8(0)), is_signed);
}

INLINE int32x4_t add_row(int32x4_t sums, const int8x16_t w[4], row_codes x, int is_last,
                         int is_signed)
{
    sums = is_signed ? DOT(sums, w[0], x, 0) : DOT_UNSIGNED(sums, w[0], x, 0);
    if (is_last) {
        return sums;
    }
    sums = is_signed ? DOT(sums, w[1], x, 1) : DOT_UNSIGNED(sums, w[1], x, 1);
    sums = is_signed ? DOT(sums, w[2], x, 2) : DOT_UNSIGNED(sums, w[2], x, 2);
    return is_signed ? DOT(sums, w[3], x, 3) : DOT_UNSIGNED(sums, w[3], x, 3);
}

INLINE int32x4_t add_weights(int32x4_t sums, const int8x16_t w[4], int is_last)
{
    const int8x16_t ones = vdupq_n_s8(1);
    sums = vdotq_s32(sums, w[0], ones);
    if (is_last) {
        return sums;
    }
    sums = vdotq_s32(sums, w[1], ones);
    sums = vdotq_s32(sums, w[2], ones);
    return vdotq_s32(sums, w[3], ones);
}

INLINE void add_quad(quad_sums *sums, const int8_t *w, int32_t step,
                     const row_codes x[ARES_TILE_ROWS], int is_last, pass now)
{
    int8x16_t weights[4];
    weights[0] = load_weights(w, now.channels);
    if (!is_last) {
        weights[1] = load_weights(w + step, now.channels);
        weights[2] = load_weights(w + 2 * step, now.channels);
        weights[3] = load_weights(w + 3 * step, now.channels);
    }
    sums->row[0] = add_row(sums->row[0], weights, x[0], is_last, now.is_signed);
    if (now.rows > 1) {
        sums->row[1] = add_row(sums->row[1], weights, x[1], is_last, now.is_signed);
        sums->row[2] = add_row(sums->row[2], weights, x[2], is_last, now.is_signed);
        sums->row[3] = add_row(sums->row[3], weights, x[3], is_last, now.is_signed);
    }
    if (IS_FLIPPED(now.is_signed)) {
        sums->weights = add_weights(sums->weights, weights, is_last);
    }
}

INLINE quad_sums no_sums(void)
{
    const int32x4_t zero = vdupq_n_s32(0);
    const quad_sums sums = {{zero, zero, zero, zero}, zero};
    return sums;
}

INLINE int32x4_t row_sum(const quad_sums *sums, int32_t r, int is_signed)
{
    return IS_FLIPPED(is_signed) ? vmlaq_n_s32(sums->row[r], sums->weights, 128) : sums->row[r];
}

#else

/*
 * Of eight codes those of even groups are multiplied with their weights, and of odd groups -x - 1 with theirs, which is
 * subtracted: that is the sum of both products, and the odd weight too much. So it fits 16 bits even where all
 * four are -128. Unsigned codes are made signed ones, 128 less each.
 */
enum { BLOCK = 8 };
#if defined(__aarch64__)
enum { QUADS = 2, QUADS_OF_ONE_ROW = 4 };
#define FOUR_TIMES(x, group) vreinterpretq_s8_s32(vdupq_lane_s32(x, group))
#define LOW(x) vget_low_s8(x)
#define HIGH_PRODUCTS(w, x) vmull_high_s8(w, x)
#define SUBTRACT_HIGH(sums, w, x) vmlsl_high_s8(sums, w, x)
typedef int8x16_t spread;
#else
enum { QUADS = 1, QUADS_OF_ONE_ROW = 2 };
#define FOUR_TIMES(x, group) vreinterpret_s8_s32(vdup_lane_s32(x, group))
#define LOW(x) (x)
#define HIGH_PRODUCTS(w, x) vmull_s8(vget_high_s8(w), x)
#define SUBTRACT_HIGH(sums, w, x) vmlsl_s8(sums, vget_high_s8(w), x)
typedef int8x8_t spread;
#endif

typedef uint8x8_t row_codes;

/* Of a row two sums a channel; of the weights those of odd groups, and for unsigned codes of all. */
typedef struct quad_sums {
    int32x4_t row[ARES_TILE_ROWS][2];
    int32x4_t odd;
    int32x4_t all;
} quad_sums;

INLINE row_codes flipped(row_codes x, int is_signed)
{
    const uint64_t mask = is_signed ? 0xffffffff00000000u : 0x7f7f7f7f80808080u;
    return veor_u8(x, vcreate_u8(mask));
}

INLINE row_codes load_block(const uint8_t *x, int is_signed)
{
    return flipped(vld1_u8(x), is_signed);
}

INLINE row_codes load_last(const uint8_t *x, int is_signed)
{
    return flipped(load_group(x), is_signed);
}

INLINE void add_row(int32x4_t sums[2], int8x16_t even, int8x16_t odd, row_codes x, int is_last)
{
    const int32x2_t groups = vreinterpret_s32_u8(x);
    const spread x_even = FOUR_TIMES(groups, 0);
    const spread x_odd = FOUR_TIMES(groups, 1);
    int16x8_t low = vmull_s8(vget_low_s8(even), LOW(x_even));
    int16x8_t high = HIGH_PRODUCTS(even, x_even);
    if (!is_last) {
        low = vmlsl_s8(low, vget_low_s8(odd), LOW(x_odd));
        high = SUBTRACT_HIGH(high, odd, x_odd);
    }
    sums[0] = vpadalq_s16(sums[0], low);
    sums[1] = vpadalq_s16(sums[1], high);
}

INLINE void add_quad(quad_sums *sums, const int8_t *w, int32_t step,
                     const row_codes x[ARES_TILE_ROWS], int is_last, pass now)
{
    const int8x16_t even = load_weights(w, now.channels);
    const int8x16_t odd = is_last ? vdupq_n_s8(0) : load_weights(w + step, now.channels);
    const int16x8_t odd_sums = vpaddlq_s8(odd);
    add_row(sums->row[0], even, odd, x[0], is_last);
    if (now.rows > 1) {
        add_row(sums->row[1], even, odd, x[1], is_last);
        add_row(sums->row[2], even, odd, x[2], is_last);
        add_row(sums->row[3], even, odd, x[3], is_last);
    }
    if (!is_last) {
        sums->odd = vpadalq_s16(sums->odd, odd_sums);
    }
    if (!now.is_signed) {
        sums->all = vpadalq_s16(sums->all, vpadalq_s8(odd_sums, even));
    }
}

INLINE quad_sums no_sums(void)
{
    const int32x4_t zero = vdupq_n_s32(0);
    const quad_sums sums = {{{zero, zero}, {zero, zero}, {zero, zero}, {zero, zero}}, zero, zero};
    return sums;
}

INLINE int32x4_t row_sum(const quad_sums *sums, int32_t r, int is_signed)
{
    const int32x4_t low = sums->row[r][0];
    const int32x4_t high = sums->row[r][1];
    const int32x4_t sum = vcombine_s32(vpadd_s32(vget_low_s32(low), vget_high_s32(low)),
                                       vpadd_s32(vget_low_s32(high), vget_high_s32(high)));
    const int32x4_t right = vsubq_s32(sum, sums->odd);
    return is_signed ? right : vmlaq_n_s32(right, sums->all, 128);
}

#endif

INLINE row_codes load_codes(const uint8_t *x, int is_last, int is_signed)
{
    return is_last ? load_last(x, is_signed) : load_block(x, is_signed);
}

/* A block, or the last four codes, of all rows and quads. */
INLINE void add_codes(quad_sums sums[4], const int8_t *w, int32_t step,
                      const uint8_t *const at[ARES_TILE_ROWS], int is_last, pass now)
{
    row_codes x[ARES_TILE_ROWS];
    x[0] = load_codes(at[0], is_last, now.is_signed);
    if (now.rows > 1) {
        x[1] = load_codes(at[1], is_last, now.is_signed);
        x[2] = load_codes(at[2], is_last, now.is_signed);
        x[3] = load_codes(at[3], is_last, now.is_signed);
    }
    add_quad(&sums[0], w, step, x, is_last, now);
    if (now.quads > 1) {
        add_quad(&sums[1], w + 16, step, x, is_last, now);
    }
    if (now.quads > 2) {
        add_quad(&sums[2], w + 32, step, x, is_last, now);
        add_quad(&sums[3], w + 48, step, x, is_last, now);
    }
}

INLINE void store_row(int32_t *acc, const quad_sums sums[4], int32_t r, pass now)
{
    int32_t *const to = acc + r * ARES_PANEL_WIDTH;
    store_sums(to, row_sum(&sums[0], r, now.is_signed), now.channels);
    if (now.quads > 1) {
        vst1q_s32(to + 4, row_sum(&sums[1], r, now.is_signed));
    }
    if (now.quads > 2) {
        vst1q_s32(to + 8, row_sum(&sums[2], r, now.is_signed));
        vst1q_s32(to + 12, row_sum(&sums[3], r, now.is_signed));
    }
}

INLINE void tile_quads(const ares_tile_rows *rows, const int8_t *w, int32_t width, int32_t *acc,
                       pass now)
{
    const int32_t step = 4 * width;
    quad_sums sums[4] = {no_sums(), no_sums(), no_sums(), no_sums()};
    for (int32_t s = 0; s < rows->segments; ++s) {
        const uint8_t *const *const x = &rows->x[s * ARES_TILE_ROWS];
        const uint8_t *at[ARES_TILE_ROWS] = {
            x[0],
            x[rows->rows > 1 ? 1 : 0],
            x[rows->rows > 2 ? 2 : 0],
            x[rows->rows > 3 ? 3 : 0],
        };
        int32_t left = rows->length;
        for (; left >= BLOCK; left -= BLOCK) {
            add_codes(sums, w, step, at, 0, now);
            w += BLOCK / 4 * step;
            at[0] += BLOCK;
            at[1] += BLOCK;
            at[2] += BLOCK;
            at[3] += BLOCK;
        }
        for (; left > 0; left -= 4) {
            add_codes(sums, w, step, at, 1, now);
            w += step;
            at[0] += 4;
            at[1] += 4;
            at[2] += 4;
            at[3] += 4;
        }
    }
    store_row(acc, sums, 0, now);
    if (now.rows > 1 && rows->rows > 1) {
        store_row(acc, sums, 1, now);
    }
    if (now.rows > 1 && rows->rows > 2) {
        store_row(acc, sums, 2, now);
    }
    if (now.rows > 1 && rows->rows > 3) {
        store_row(acc, sums, 3, now);
    }
}

/* As many quads at once as there are, then one by one. The last one may have channels that the one before it had. */
INLINE void tile_panel(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc,
                       int32_t count, int32_t quads, int is_signed)
{
    const pass many = {count, quads, 4, is_signed};
    const pass one = {count, 1, 4, is_signed};
    int32_t n = 0;
    for (; n + 4 * quads <= width; n += 4 * quads) {
        tile_quads(rows, panel + 4 * n, width, acc + n, many);
    }
    for (; n < width; n += 4) {
        const int32_t first = n + 4 <= width ? n : width - 4;
        tile_quads(rows, panel + 4 * first, width, acc + first, one);
    }
}

INLINE void tile(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc,
                 int is_signed)
{
    if (width < 4) {
        const pass narrow = {ARES_TILE_ROWS, 1, width, is_signed};
        tile_quads(rows, panel, width, acc, narrow);
    } else if (rows->rows == 1) {
        tile_panel(rows, panel, width, acc, 1, QUADS_OF_ONE_ROW, is_signed);
    } else {
        tile_panel(rows, panel, width, acc, ARES_TILE_ROWS, QUADS, is_signed);
    }
}

void ares_tile_neon(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc)
{
    if (rows->is_signed) {
        tile(rows, panel, width, acc, 1);
    } else {
        tile(rows, panel, width, acc, 0);
    }
}

/* Sums of eight channels and the products of as many codes. */
INLINE void add_products(int32x4_t sums[2], uint8x8_t x, int8x8_t w, int is_signed)
{
    if (is_signed) {
        const int16x8_t products = vmull_s8(vreinterpret_s8_u8(x), w);
        sums[0] = vaddw_s16(sums[0], vget_low_s16(products));
        sums[1] = vaddw_s16(sums[1], vget_high_s16(products));
    } else {
        const int16x8_t wide_x = vreinterpretq_s16_u16(vmovl_u8(x));
        const int16x8_t wide_w = vmovl_s8(w);
        sums[0] = vmlal_s16(sums[0], vget_low_s16(wide_x), vget_low_s16(wide_w));
        sums[1] = vmlal_s16(sums[1], vget_high_s16(wide_x), vget_high_s16(wide_w));
    }
}

INLINE void depthwise_16(const ares_depthwise_taps *taps, int32_t first, int32_t *acc,
                         int is_signed)
{
    const int32x4_t zero = vdupq_n_s32(0);
    const int8_t *w = taps->weight + first;
    int32x4_t low[2] = {zero, zero};
    int32x4_t high[2] = {zero, zero};
    for (int32_t t = 0; t < taps->taps; ++t) {
        const uint8x16_t x = vld1q_u8(taps->x[t] + first);
        const int8x16_t weights = vld1q_s8(w);
        add_products(low, vget_low_u8(x), vget_low_s8(weights), is_signed);
        add_products(high, vget_high_u8(x), vget_high_s8(weights), is_signed);
        w += taps->channels;
    }
    vst1q_s32(acc, low[0]);
    vst1q_s32(acc + 4, low[1]);
    vst1q_s32(acc + 8, high[0]);
    vst1q_s32(acc + 12, high[1]);
}

INLINE void depthwise_8(const ares_depthwise_taps *taps, int32_t first, int32_t *acc, int is_signed)
{
    const int8_t *w = taps->weight + first;
    int32x4_t sums[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
    for (int32_t t = 0; t < taps->taps; ++t) {
        add_products(sums, vld1_u8(taps->x[t] + first), vld1_s8(w), is_signed);
        w += taps->channels;
    }
    vst1q_s32(acc, sums[0]);
    vst1q_s32(acc + 4, sums[1]);
}

INLINE void depthwise_4(const ares_depthwise_taps *taps, int32_t first, int32_t *acc, int is_signed)
{
    const int8_t *w = taps->weight + first;
    int32x4_t sums[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
    for (int32_t t = 0; t < taps->taps; ++t) {
        const uint8x8_t weights = load_group((const uint8_t *)w);
        add_products(sums, load_group(taps->x[t] + first), vreinterpret_s8_u8(weights), is_signed);
        w += taps->channels;
    }
    vst1q_s32(acc, sums[0]);
}

INLINE void depthwise(const ares_depthwise_taps *taps, int32_t first, int32_t width, int32_t *acc,
                      int is_signed)
{
    int32_t c = 0;
    for (; c + 16 <= width; c += 16) {
        depthwise_16(taps, first + c, acc + c, is_signed);
    }
    if (c + 8 <= width) {
        depthwise_8(taps, first + c, acc + c, is_signed);
        c += 8;
    }
    for (; c < width; c += 4) {
        const int32_t start = c + 4 <= width ? c : width - 4;
        depthwise_4(taps, first + start, acc + start, is_signed);
    }
}

void ares_depthwise_tile_neon(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                              int32_t *acc)
{
    if (width < 4) {
        ares_depthwise_tile_portable(taps, first, width, acc);
    } else if (taps->is_signed) {
        depthwise(taps, first, width, acc, 1);
    } else {
        depthwise(taps, first, width, acc, 0);
    }
}

/* Constants of a quad (N3), and its limits. What is shifted is the upper word of a total. */
typedef struct rescale_quad {
    int32x4_t multiplier;
    int64x2_t offset[2];
    int64x2_t lift[2]; /* of shifts under 32, what makes them 32; unused without such */
    int32x4_t left;    /* how far to the left then: 32 - shift */
    int32x4_t below;   /* bits of the upper word below the point */
    int32x4_t lo;
    int32x4_t hi;
} rescale_quad;

INLINE int is_lifted(uint8x8_t shift)
{
    /* Shifts end at 61: those from 32 on are those with this bit. */
    return (~vget_lane_u32(vreinterpret_u32_u8(shift), 0) & 0x20202020u) != 0;
}

INLINE void set_shifts(rescale_quad *quad, uint8x8_t shift, int lifts)
{
    int32x4_t wide = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(shift))));
    if (lifts) {
        const int32x4_t whole = vmaxq_s32(wide, vdupq_n_s32(32));
        const int32x4_t lift = vsubq_s32(whole, wide);
        quad->lift[0] = vmovl_s32(vget_low_s32(lift));
        quad->lift[1] = vmovl_s32(vget_high_s32(lift));
        wide = whole;
    }
    const int32x4_t ones = vsubq_s32(wide, vdupq_n_s32(64));
    quad->left = vsubq_s32(vdupq_n_s32(32), wide);
    quad->below = vreinterpretq_s32_u32(vshlq_u32(vdupq_n_u32(UINT32_MAX), ones));
}

/* All but shifts and limits; the former are returned. */
INLINE uint8x8_t load_quad(rescale_quad *quad, const ares_rescale *rescale, int32_t channel)
{
    if (rescale->channel_stride == 0) {
        quad->multiplier = vdupq_n_s32(*rescale->multiplier);
        quad->offset[0] = quad->offset[1] = vdupq_n_s64(*rescale->offset);
        return vdup_n_u8(*rescale->shift);
    }
    quad->multiplier = vld1q_s32(rescale->multiplier + channel);
    quad->offset[0] = vld1q_s64(rescale->offset + channel);
    quad->offset[1] = vld1q_s64(rescale->offset + channel + 2);
    return load_group(rescale->shift + channel);
}

/* Where nothing is left below the point, the even one of two is right. */
INLINE int32x4_t to_even(int32x4_t value, int32x4_t rest)
{
    const int32x4_t is_no_tie = vreinterpretq_s32_u32(vtstq_s32(rest, rest));
    return vandq_s32(value, vorrq_s32(is_no_tie, vdupq_n_s32(-2)));
}

/*
 * N1 to N4 of four accumulators. A lift saturates, which limits see no difference of: what does not fit is beyond them, as
 * its nearest word is, that of no tie.
 */
INLINE int32x4_t limited(const rescale_quad *quad, const int32_t *acc, int lifts)
{
    const int32x4_t sums = vld1q_s32(acc);
    int64x2_t low = vmlal_s32(quad->offset[0], vget_low_s32(sums), vget_low_s32(quad->multiplier));
    int64x2_t high = ADD_HIGH_PRODUCTS(quad->offset[1], sums, quad->multiplier);
    if (lifts) {
        low = vqshlq_s64(low, quad->lift[0]);
        high = vqshlq_s64(high, quad->lift[1]);
    }
    const int32x4x2_t words = vuzpq_s32(vreinterpretq_s32_s64(low), vreinterpretq_s32_s64(high));
    const int32x4_t rest = vorrq_s32(words.val[0], vandq_s32(words.val[1], quad->below));
    const int32x4_t floor = vshlq_s32(words.val[1], quad->left);
    return vmaxq_s32(vminq_s32(to_even(floor, rest), quad->hi), quad->lo);
}

INLINE void put_bytes(uint8_t *out, int32x4_t values)
{
    const int16x4_t codes = vmovn_s32(values);
    const int8x8_t bytes = vmovn_s16(vcombine_s16(codes, codes));
    const uint32_t four = vget_lane_u32(vreinterpret_u32_s8(bytes), 0);
    memcpy(out, &four, sizeof four);
}

/* ares_step_of with the bucket at hand. */
INLINE uint8_t step_of(const ares_steps *steps, int32_t value, uint32_t bucket)
{
    return steps->codes[ares_step_place_in(steps, value, bucket)];
}

INLINE void put_steps(uint8_t *out, int32x4_t values, const ares_steps *steps)
{
    const int32x4_t distance = vsubq_s32(values, vdupq_n_s32(steps->below));
    const uint32x4_t bucket = vshlq_u32(vreinterpretq_u32_s32(distance), vdupq_n_s32(-steps->bits));
    out[0] = step_of(steps, vgetq_lane_s32(values, 0), vgetq_lane_u32(bucket, 0));
    out[1] = step_of(steps, vgetq_lane_s32(values, 1), vgetq_lane_u32(bucket, 1));
    out[2] = step_of(steps, vgetq_lane_s32(values, 2), vgetq_lane_u32(bucket, 2));
    out[3] = step_of(steps, vgetq_lane_s32(values, 3), vgetq_lane_u32(bucket, 3));
}

/* Rows of a quad; steps NULL without, else those that all channels share (N5). */
INLINE void requantize_quad(const rescale_quad *quad, const ares_steps *steps, const int32_t *acc,
                            int32_t rows, uint8_t *out, int32_t out_step, int lifts)
{
    for (int32_t r = 0; r < rows; ++r) {
        const int32x4_t values = limited(quad, acc, lifts);
        if (steps == NULL) {
            put_bytes(out, values);
        } else {
            put_steps(out, values, steps);
        }
        acc += ARES_PANEL_WIDTH;
        out += out_step;
    }
}

INLINE void requantize(const ares_rescale *rescale, const ares_steps *steps, int32_t first,
                       const int32_t *acc, int32_t rows, int32_t width, uint8_t *out,
                       int32_t out_step)
{
    rescale_quad quad;
    quad.lo = vdupq_n_s32(rescale->lo);
    quad.hi = vdupq_n_s32(rescale->hi);
    for (int32_t next = 0; next < width; next += 4) {
        const int32_t n = next + 4 <= width ? next : width - 4;
        const uint8x8_t shift = load_quad(&quad, rescale, first + n);
        if (is_lifted(shift)) {
            set_shifts(&quad, shift, 1);
            requantize_quad(&quad, steps, acc + n, rows, out + n, out_step, 1);
        } else {
            set_shifts(&quad, shift, 0);
            requantize_quad(&quad, steps, acc + n, rows, out + n, out_step, 0);
        }
    }
}

void ares_requantize_neon(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                          int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    const int has_steps = rescale->num_thresholds > 0;
    if (width < 4 || (has_steps && rescale->step_stride != 0)) {
        ares_requantize_portable(rescale, first, acc, rows, width, out, out_step);
    } else if (!has_steps) {
        requantize(rescale, NULL, first, acc, rows, width, out, out_step);
    } else {
        /* Not read again for each code: a byte that is written may be any. */
        ares_steps steps = *rescale->steps;
        if (steps.half == 1) {
            steps.half = 1; /* most often, and known to the compiler */
            requantize(rescale, &steps, first, acc, rows, width, out, out_step);
        } else {
            requantize(rescale, &steps, first, acc, rows, width, out, out_step);
        }
    }
}

/* Constants of an addition, of which codes are taken as u8. */
typedef struct add_constants {
    ares_add_halves halves;
    uint8x16_t flip[2];
    int32x4_t down;  /* to the left, in number of bits */
    int32x4_t below; /* bits of the upper part below the point */
    int32x4_t lo;
    int32x4_t hi;
} add_constants;

/* Codes of four sums. */
INLINE int16x4_t add_quad_codes(const add_constants *add, int32x4_t x0, int32x4_t x1)
{
    int32x4_t high = vmlaq_n_s32(vdupq_n_s32(add->halves.high), x0, add->halves.high0);
    int32x4_t low = vmlaq_n_s32(vdupq_n_s32(add->halves.low), x0, add->halves.low0);
    high = vmlaq_n_s32(high, x1, add->halves.high1);
    low = vmlaq_n_s32(low, x1, add->halves.low1);
    high = vsraq_n_s32(high, low, 16);
    const int32x4_t rest = vorrq_s32(vshlq_n_s32(low, 16), vandq_s32(high, add->below));
    const int32x4_t value = to_even(vshlq_s32(high, add->down), rest);
    return vmovn_s32(vmaxq_s32(vminq_s32(value, add->hi), add->lo));
}

INLINE int8x8_t add_eight(const add_constants *add, uint8x8_t x0, uint8x8_t x1)
{
    const int16x8_t wide0 = vreinterpretq_s16_u16(vmovl_u8(x0));
    const int16x8_t wide1 = vreinterpretq_s16_u16(vmovl_u8(x1));
    const int16x4_t low =
        add_quad_codes(add, vmovl_s16(vget_low_s16(wide0)), vmovl_s16(vget_low_s16(wide1)));
    const int16x4_t high =
        add_quad_codes(add, vmovl_s16(vget_high_s16(wide0)), vmovl_s16(vget_high_s16(wide1)));
    return vmovn_s16(vcombine_s16(low, high));
}

int32_t ares_add_neon(const ares_add_params *p, const uint8_t *in0, const uint8_t *in1,
                      uint8_t *out)
{
    const int32_t end = p->count - p->count % 16;
    add_constants add;
    if (!ares_add_halve(&add.halves, p, 1)) {
        return 0;
    }
    add.flip[0] = vdupq_n_u8(p->input0_signed ? 128 : 0);
    add.flip[1] = vdupq_n_u8(p->input1_signed ? 128 : 0);
    add.down = vdupq_n_s32(16 - add.halves.shift);
    add.below = vdupq_n_s32((int32_t)(((uint32_t)1 << (add.halves.shift - 16)) - 1u));
    add.lo = vdupq_n_s32(p->rescale.lo);
    add.hi = vdupq_n_s32(p->rescale.hi);
    for (int32_t i = 0; i < end; i += 16) {
        const uint8x16_t x0 = veorq_u8(vld1q_u8(in0 + i), add.flip[0]);
        const uint8x16_t x1 = veorq_u8(vld1q_u8(in1 + i), add.flip[1]);
        const int8x8_t low = add_eight(&add, vget_low_u8(x0), vget_low_u8(x1));
        const int8x8_t high = add_eight(&add, vget_high_u8(x0), vget_high_u8(x1));
        vst1q_u8(out + i, vreinterpretq_u8_s8(vcombine_s8(low, high)));
    }
    return end;
}

#endif
