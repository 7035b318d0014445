/* The micro-kernels for the vectors of WebAssembly: 128 bits, with sums of two products of halfwords. */
#include "../inc/microkernels.h"

#if defined(ARES_MICRO_WASM)

#include <string.h>
#include <wasm_simd128.h>

/* Numbers of rows and quads are constants of the callers: without inlining, sums would lie in memory. */
#define INLINE static inline __attribute__((always_inline))

/* Of two vectors of pairs of words. */
#define LOW_WORDS(a, b) wasm_i32x4_shuffle(a, b, 0, 2, 4, 6)
#define HIGH_WORDS(a, b) wasm_i32x4_shuffle(a, b, 1, 3, 5, 7)

/* A quad is four channels; `channels` of it are there. One row, or ARES_TILE_ROWS: those that do not exist are the first. */
typedef struct pass {
    int32_t rows;
    int32_t quads;
    int32_t channels;
    int is_signed;
} pass;

enum { QUADS = 1, QUADS_OF_ONE_ROW = 4 };

/* Sums of four channels: of the first and of the last two codes of their groups. */
typedef struct quad_sums {
    v128_t low;
    v128_t high;
} quad_sums;

/* Weights of a group of four codes and four channels; of fewer channels nothing is read behind them. */
INLINE v128_t load_weights(const int8_t *w, int32_t channels)
{
    int8_t bytes[16] = {0};
    if (channels == 4) {
        return wasm_v128_load(w);
    }
    for (int32_t i = 0; i < 4 * channels; ++i) {
        bytes[i] = w[i];
    }
    return wasm_v128_load(bytes);
}

/* Four codes as halfwords, twice. */
INLINE v128_t load_group(const uint8_t *x, int is_signed)
{
    const v128_t group = wasm_v128_load32_splat(x);
    return is_signed ? wasm_i16x8_extend_low_i8x16(group) : wasm_u16x8_extend_low_u8x16(group);
}

INLINE void add_quad(quad_sums sums[ARES_TILE_ROWS], const int8_t *w,
                     const v128_t x[ARES_TILE_ROWS], pass now)
{
    const v128_t weights = load_weights(w, now.channels);
    const v128_t low = wasm_i16x8_extend_low_i8x16(weights);
    const v128_t high = wasm_i16x8_extend_high_i8x16(weights);
    for (int32_t r = 0; r < now.rows; ++r) {
        sums[r].low = wasm_i32x4_add(sums[r].low, wasm_i32x4_dot_i16x8(x[r], low));
        sums[r].high = wasm_i32x4_add(sums[r].high, wasm_i32x4_dot_i16x8(x[r], high));
    }
}

INLINE void store_sums(int32_t *acc, quad_sums sums, int32_t channels)
{
    int32_t lanes[4];
    wasm_v128_store(
        lanes, wasm_i32x4_add(LOW_WORDS(sums.low, sums.high), HIGH_WORDS(sums.low, sums.high)));
    memcpy(acc, lanes, (size_t)channels * sizeof *acc);
}

INLINE void tile_quads(const ares_tile_rows *rows, const int8_t *w, int32_t width, int32_t *acc,
                       pass now)
{
    const v128_t zero = wasm_i32x4_const_splat(0);
    quad_sums sums[4][ARES_TILE_ROWS];
    for (int32_t q = 0; q < now.quads; ++q) {
        for (int32_t r = 0; r < now.rows; ++r) {
            sums[q][r].low = sums[q][r].high = zero;
        }
    }
    for (int32_t s = 0; s < rows->segments; ++s) {
        const uint8_t *const *const x = &rows->x[s * ARES_TILE_ROWS];
        const uint8_t *const at[ARES_TILE_ROWS] = {
            x[0],
            x[rows->rows > 1 ? 1 : 0],
            x[rows->rows > 2 ? 2 : 0],
            x[rows->rows > 3 ? 3 : 0],
        };
        for (int32_t i = 0; i < rows->length; i += 4) {
            v128_t group[ARES_TILE_ROWS];
            for (int32_t r = 0; r < now.rows; ++r) {
                group[r] = load_group(at[r] + i, now.is_signed);
            }
            for (int32_t q = 0; q < now.quads; ++q) {
                add_quad(sums[q], w + 16 * q, group, now);
            }
            w += 4 * width;
        }
    }
    for (int32_t r = 0; r < now.rows && r < rows->rows; ++r) {
        for (int32_t q = 0; q < now.quads; ++q) {
            store_sums(acc + r * ARES_PANEL_WIDTH + 4 * q, sums[q][r], now.channels);
        }
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

void ares_tile_wasm(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc)
{
    if (rows->is_signed) {
        tile(rows, panel, width, acc, 1);
    } else {
        tile(rows, panel, width, acc, 0);
    }
}

INLINE void add_products(v128_t sums[2], v128_t x, v128_t w)
{
    sums[0] = wasm_i32x4_add(sums[0], wasm_i32x4_extmul_low_i16x8(x, w));
    sums[1] = wasm_i32x4_add(sums[1], wasm_i32x4_extmul_high_i16x8(x, w));
}

INLINE void depthwise_8(const ares_depthwise_taps *taps, int32_t first, int32_t *acc, int is_signed)
{
    const int8_t *w = taps->weight + first;
    v128_t sums[2] = {wasm_i32x4_const_splat(0), wasm_i32x4_const_splat(0)};
    for (int32_t t = 0; t < taps->taps; ++t) {
        const uint8_t *const x = taps->x[t] + first;
        add_products(sums, is_signed ? wasm_i16x8_load8x8(x) : wasm_u16x8_load8x8(x),
                     wasm_i16x8_load8x8(w));
        w += taps->channels;
    }
    wasm_v128_store(acc, sums[0]);
    wasm_v128_store(acc + 4, sums[1]);
}

INLINE void depthwise_4(const ares_depthwise_taps *taps, int32_t first, int32_t *acc, int is_signed)
{
    const int8_t *w = taps->weight + first;
    v128_t sums[2] = {wasm_i32x4_const_splat(0), wasm_i32x4_const_splat(0)};
    for (int32_t t = 0; t < taps->taps; ++t) {
        add_products(sums, load_group(taps->x[t] + first, is_signed),
                     load_group((const uint8_t *)w, 1));
        w += taps->channels;
    }
    wasm_v128_store(acc, sums[0]);
}

INLINE void depthwise(const ares_depthwise_taps *taps, int32_t first, int32_t width, int32_t *acc,
                      int is_signed)
{
    int32_t c = 0;
    for (; c + 8 <= width; c += 8) {
        depthwise_8(taps, first + c, acc + c, is_signed);
    }
    for (; c < width; c += 4) {
        const int32_t start = c + 4 <= width ? c : width - 4;
        depthwise_4(taps, first + start, acc + start, is_signed);
    }
}

void ares_depthwise_tile_wasm(const ares_depthwise_taps *taps, int32_t first, int32_t width,
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

/*
 * Constants of a quad (N3). There is no shift by a number a lane: what is above the point is the upper word of a product with
 * a power of two.
 *   offset    of long ones with 2^63, so that all is unsigned; excess is what is taken out behind
 *   factor    2^(32 - shift), of long ones 2^(64 - shift)
 *   least, most  upper words of short totals of which the value fits a word
 */
typedef struct rescale_quad {
    v128_t multiplier;
    v128_t offset[2];
    v128_t factor;
    v128_t excess;
    v128_t least;
    v128_t most;
    v128_t lo;
    v128_t hi;
} rescale_quad;

/* The shifts of a quad, a byte each. */
INLINE uint32_t load_shifts(const ares_rescale *rescale, int32_t first)
{
    uint32_t shifts;
    if (rescale->channel_stride == 0) {
        return rescale->shift[0] * 0x01010101u;
    }
    memcpy(&shifts, rescale->shift + first, sizeof shifts);
    return shifts;
}

/* Whether all are from 33 to 61, so that factors fit: those from 32 on have bit 5, and another one. */
INLINE int are_long(uint32_t shifts)
{
    const uint32_t beyond = (shifts & 0x1f1f1f1fu) + 0x1f1f1f1fu;
    return (shifts & beyond & 0x20202020u) == 0x20202020u;
}

INLINE int are_short(uint32_t shifts)
{
    return (shifts & 0x20202020u) == 0;
}

/* With shifts that are long, or short. */
INLINE void load_rescale(rescale_quad *quad, const ares_rescale *rescale, int32_t first,
                         uint32_t shifts, int is_short)
{
    const uint32_t one = is_short ? 32u : 64u;
    if (rescale->channel_stride == 0) {
        quad->multiplier = wasm_v128_load32_splat(rescale->multiplier);
        quad->offset[0] = wasm_v128_load64_splat(rescale->offset);
        quad->offset[1] = quad->offset[0];
    } else {
        quad->multiplier = wasm_v128_load(rescale->multiplier + first);
        quad->offset[0] = wasm_v128_load(rescale->offset + first);
        quad->offset[1] = wasm_v128_load(rescale->offset + first + 2);
    }
    quad->factor =
        wasm_u32x4_make(1u << (one - (shifts & 0xffu)), 1u << (one - (shifts >> 8 & 0xffu)),
                        1u << (one - (shifts >> 16 & 0xffu)), 1u << (one - (shifts >> 24)));
    if (is_short) {
        const v128_t half =
            wasm_u32x4_make(1u << ((shifts & 0xffu) - 1u), 1u << ((shifts >> 8 & 0xffu) - 1u),
                            1u << ((shifts >> 16 & 0xffu) - 1u), 1u << ((shifts >> 24) - 1u));
        quad->least = wasm_i32x4_neg(half);
        quad->most = wasm_i32x4_sub(half, wasm_i32x4_const_splat(1));
    } else {
        const v128_t bias = wasm_i64x2_const_splat(INT64_MIN);
        quad->offset[0] = wasm_v128_xor(quad->offset[0], bias);
        quad->offset[1] = wasm_v128_xor(quad->offset[1], bias);
        quad->excess = wasm_u32x4_shr(quad->factor, 1);
    }
}

/* Where nothing is left below the point the even one of two is right. */
INLINE v128_t to_even(v128_t value, v128_t rest)
{
    const v128_t is_no_tie = wasm_i32x4_ne(rest, wasm_i32x4_const_splat(0));
    return wasm_v128_and(value, wasm_v128_or(is_no_tie, wasm_i32x4_const_splat(-2)));
}

/* N1 of totals, long shifts. */
INLINE v128_t rounded_long(const rescale_quad *quad, v128_t low, v128_t high)
{
    const v128_t upper = HIGH_WORDS(low, high);
    const v128_t moved_low = wasm_u64x2_extmul_low_u32x4(upper, quad->factor);
    const v128_t moved_high = wasm_u64x2_extmul_high_u32x4(upper, quad->factor);
    const v128_t rest = wasm_v128_or(LOW_WORDS(low, high), LOW_WORDS(moved_low, moved_high));
    return to_even(wasm_i32x4_sub(HIGH_WORDS(moved_low, moved_high), quad->excess), rest);
}

/* Short ones: what fits no word becomes its nearest one, which limits see no difference of, as it is beyond them too. */
INLINE v128_t rounded_short(const rescale_quad *quad, v128_t low, v128_t high)
{
    const v128_t upper = HIGH_WORDS(low, high);
    const v128_t lower = LOW_WORDS(low, high);
    const v128_t moved_low = wasm_u64x2_extmul_low_u32x4(lower, quad->factor);
    const v128_t moved_high = wasm_u64x2_extmul_high_u32x4(lower, quad->factor);
    const v128_t value =
        wasm_v128_or(wasm_i32x4_mul(upper, quad->factor), HIGH_WORDS(moved_low, moved_high));
    const v128_t inside = wasm_i32x4_max(wasm_i32x4_min(upper, quad->most), quad->least);
    const v128_t nearest =
        wasm_v128_xor(wasm_i32x4_shr(upper, 31), wasm_i32x4_const_splat(INT32_MAX));
    return wasm_v128_bitselect(to_even(value, LOW_WORDS(moved_low, moved_high)), nearest,
                               wasm_i32x4_eq(inside, upper));
}

/* N1 to N4 of four accumulators. */
INLINE v128_t limited(const rescale_quad *quad, const int32_t *acc, int is_short)
{
    const v128_t sums = wasm_v128_load(acc);
    const v128_t low =
        wasm_i64x2_add(quad->offset[0], wasm_i64x2_extmul_low_i32x4(sums, quad->multiplier));
    const v128_t high =
        wasm_i64x2_add(quad->offset[1], wasm_i64x2_extmul_high_i32x4(sums, quad->multiplier));
    const v128_t value = is_short ? rounded_short(quad, low, high) : rounded_long(quad, low, high);
    return wasm_i32x4_max(wasm_i32x4_min(value, quad->hi), quad->lo);
}

INLINE void put_bytes(uint8_t *out, v128_t value)
{
    const v128_t codes =
        wasm_i8x16_shuffle(value, value, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
    wasm_v128_store32_lane(out, codes, 0);
}

/* ares_step_of with the bucket at hand. */
INLINE uint8_t step_of(const ares_steps *steps, int32_t value, uint32_t bucket)
{
    return steps->codes[ares_step_place_in(steps, value, bucket)];
}

INLINE void put_steps(uint8_t *out, v128_t values, const ares_steps *steps)
{
    const v128_t distance = wasm_i32x4_sub(values, wasm_i32x4_splat(steps->below));
    const v128_t bucket = wasm_u32x4_shr(distance, (uint32_t)steps->bits);
    out[0] = step_of(steps, wasm_i32x4_extract_lane(values, 0), wasm_u32x4_extract_lane(bucket, 0));
    out[1] = step_of(steps, wasm_i32x4_extract_lane(values, 1), wasm_u32x4_extract_lane(bucket, 1));
    out[2] = step_of(steps, wasm_i32x4_extract_lane(values, 2), wasm_u32x4_extract_lane(bucket, 2));
    out[3] = step_of(steps, wasm_i32x4_extract_lane(values, 3), wasm_u32x4_extract_lane(bucket, 3));
}

/* Rows of a quad; steps NULL without, else those that all channels share (N5). */
INLINE void requantize_quad(const rescale_quad *quad, const ares_steps *steps, const int32_t *acc,
                            int32_t rows, uint8_t *out, int32_t out_step, int is_short)
{
    for (int32_t r = 0; r < rows; ++r) {
        const v128_t values = limited(quad, acc, is_short);
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
    quad.lo = wasm_i32x4_splat(rescale->lo);
    quad.hi = wasm_i32x4_splat(rescale->hi);
    for (int32_t next = 0; next < width; next += 4) {
        const int32_t n = next + 4 <= width ? next : width - 4;
        const uint32_t shifts = load_shifts(rescale, first + n);
        if (are_long(shifts)) {
            load_rescale(&quad, rescale, first + n, shifts, 0);
            requantize_quad(&quad, steps, acc + n, rows, out + n, out_step, 0);
        } else if (are_short(shifts)) {
            load_rescale(&quad, rescale, first + n, shifts, 1);
            requantize_quad(&quad, steps, acc + n, rows, out + n, out_step, 1);
        } else {
            ares_requantize_portable(rescale, first + n, acc + n, rows, 4, out + n, out_step);
        }
    }
}

void ares_requantize_wasm(const ares_rescale *rescale, int32_t first, const int32_t *acc,
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

#endif
