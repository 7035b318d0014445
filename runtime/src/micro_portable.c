/* The micro-kernels in plain C: for processors without an instruction set of their own here, and what the others must equal. */
#include "../inc/microkernels.h"

/*
 * Tiles of four rows times two channels and of one row times four: as many products a load as fit the registers of most
 * processors. Channels that do not exist are given as ones that do, and their sums come first, so that the right ones are
 * written over them. Written once for codes of both kinds, whose loads differ: code is int8_t or uint8_t.
 */
#if defined(__GNUC__) && !defined(__TINYC__)
/* A compiler that draws the loads of all products together runs out of registers. */
#define APART() __asm__ volatile("" ::: "memory")
#else
#define APART() ((void)0)
#endif

#define TILE_4X2(name, code)                                                                       \
    static void name(const ares_tile_rows *rows, const int8_t *w0, const int8_t *w1, int32_t step, \
                     int32_t *acc0, int32_t *acc1)                                                 \
    {                                                                                              \
        int32_t sum00 = 0, sum01 = 0, sum10 = 0, sum11 = 0;                                        \
        int32_t sum20 = 0, sum21 = 0, sum30 = 0, sum31 = 0;                                        \
        for (int32_t s = 0; s < rows->segments; ++s) {                                             \
            const uint8_t *const *const x = rows->x + s * ARES_TILE_ROWS;                          \
            const code *x0 = (const code *)x[0];                                                   \
            const code *x1 = (const code *)x[1];                                                   \
            const code *x2 = (const code *)x[2];                                                   \
            const code *x3 = (const code *)x[3];                                                   \
            const code *const end = x0 + rows->length;                                             \
            do {                                                                                   \
                PRODUCTS_4X2(0);                                                                   \
                PRODUCTS_4X2(1);                                                                   \
                PRODUCTS_4X2(2);                                                                   \
                PRODUCTS_4X2(3);                                                                   \
                x0 += 4;                                                                           \
                x1 += 4;                                                                           \
                x2 += 4;                                                                           \
                x3 += 4;                                                                           \
                w0 += step;                                                                        \
                w1 += step;                                                                        \
            } while (x0 != end);                                                                   \
        }                                                                                          \
        acc1[0] = sum01;                                                                           \
        acc1[ARES_PANEL_WIDTH] = sum11;                                                            \
        acc1[2 * ARES_PANEL_WIDTH] = sum21;                                                        \
        acc1[3 * ARES_PANEL_WIDTH] = sum31;                                                        \
        acc0[0] = sum00;                                                                           \
        acc0[ARES_PANEL_WIDTH] = sum10;                                                            \
        acc0[2 * ARES_PANEL_WIDTH] = sum20;                                                        \
        acc0[3 * ARES_PANEL_WIDTH] = sum30;                                                        \
    }
#define PRODUCTS_4X2(k)                                                                            \
    do {                                                                                           \
        APART();                                                                                   \
        sum00 += x0[k] * w0[k];                                                                    \
        sum01 += x0[k] * w1[k];                                                                    \
        sum10 += x1[k] * w0[k];                                                                    \
        sum11 += x1[k] * w1[k];                                                                    \
        sum20 += x2[k] * w0[k];                                                                    \
        sum21 += x2[k] * w1[k];                                                                    \
        sum30 += x3[k] * w0[k];                                                                    \
        sum31 += x3[k] * w1[k];                                                                    \
    } while (0)

TILE_4X2(tile_4x2_s8, int8_t)
TILE_4X2(tile_4x2_u8, uint8_t)

#define TILE_1X4(name, code)                                                                       \
    static void name(const ares_tile_rows *rows, int32_t r, const int8_t *panel, int32_t n,        \
                     int32_t width, int32_t *acc)                                                  \
    {                                                                                              \
        const int32_t n1 = n + 1 < width ? n + 1 : n;                                              \
        const int32_t n2 = n + 2 < width ? n + 2 : n;                                              \
        const int32_t n3 = n + 3 < width ? n + 3 : n;                                              \
        const int8_t *w0 = panel + 4 * n;                                                          \
        const int8_t *w1 = panel + 4 * n1;                                                         \
        const int8_t *w2 = panel + 4 * n2;                                                         \
        const int8_t *w3 = panel + 4 * n3;                                                         \
        int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;                                            \
        for (int32_t s = 0; s < rows->segments; ++s) {                                             \
            const code *x = (const code *)rows->x[s * ARES_TILE_ROWS + r];                         \
            const code *const end = x + rows->length;                                              \
            do {                                                                                   \
                PRODUCTS_1X4(0);                                                                   \
                PRODUCTS_1X4(1);                                                                   \
                PRODUCTS_1X4(2);                                                                   \
                PRODUCTS_1X4(3);                                                                   \
                x += 4;                                                                            \
                w0 += 4 * width;                                                                   \
                w1 += 4 * width;                                                                   \
                w2 += 4 * width;                                                                   \
                w3 += 4 * width;                                                                   \
            } while (x != end);                                                                    \
        }                                                                                          \
        acc += r * ARES_PANEL_WIDTH;                                                               \
        acc[n3] = sum3;                                                                            \
        acc[n2] = sum2;                                                                            \
        acc[n1] = sum1;                                                                            \
        acc[n] = sum0;                                                                             \
    }
#define PRODUCTS_1X4(k)                                                                            \
    do {                                                                                           \
        APART();                                                                                   \
        sum0 += x[k] * w0[k];                                                                      \
        sum1 += x[k] * w1[k];                                                                      \
        sum2 += x[k] * w2[k];                                                                      \
        sum3 += x[k] * w3[k];                                                                      \
    } while (0)

TILE_1X4(tile_1x4_s8, int8_t)
TILE_1X4(tile_1x4_u8, uint8_t)

void ares_tile_portable(const ares_tile_rows *rows, const int8_t *panel, int32_t width,
                        int32_t *acc)
{
    if (rows->rows == ARES_TILE_ROWS) {
        for (int32_t n = 0; n < width; n += 2) {
            const int32_t n_next = n + 1 < width ? n + 1 : n;
            (rows->is_signed ? tile_4x2_s8 : tile_4x2_u8)(rows, panel + 4 * n, panel + 4 * n_next,
                                                          4 * width, acc + n, acc + n_next);
        }
        return;
    }
    for (int32_t r = 0; r < rows->rows; ++r) {
        for (int32_t n = 0; n < width; n += 4) {
            (rows->is_signed ? tile_1x4_s8 : tile_1x4_u8)(rows, r, panel, n, width, acc);
        }
    }
}

/* Four channels: one load of a tap's pointer for all. */
#define DEPTHWISE_4(name, code)                                                                    \
    static void name(const ares_depthwise_taps *taps, int32_t first, int32_t *acc)                 \
    {                                                                                              \
        const int32_t step = taps->channels;                                                       \
        const uint8_t *const *x = taps->x;                                                         \
        const uint8_t *const *const end = x + taps->taps;                                          \
        const int8_t *w = taps->weight + first;                                                    \
        int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;                                            \
        do {                                                                                       \
            const code *const at = (const code *)*x + first;                                       \
            sum0 += at[0] * w[0];                                                                  \
            sum1 += at[1] * w[1];                                                                  \
            sum2 += at[2] * w[2];                                                                  \
            sum3 += at[3] * w[3];                                                                  \
            w += step;                                                                             \
            ++x;                                                                                   \
        } while (x != end);                                                                        \
        acc[0] = sum0;                                                                             \
        acc[1] = sum1;                                                                             \
        acc[2] = sum2;                                                                             \
        acc[3] = sum3;                                                                             \
    }

DEPTHWISE_4(depthwise_4_s8, int8_t)
DEPTHWISE_4(depthwise_4_u8, uint8_t)

void ares_depthwise_tile_portable(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                                  int32_t *acc)
{
    int32_t c = 0;
    for (; c + 4 <= width; c += 4) {
        (taps->is_signed ? depthwise_4_s8 : depthwise_4_u8)(taps, first + c, acc + c);
    }
    for (; c < width; ++c) {
        const int8_t *w = taps->weight + first + c;
        int32_t sum = 0;
        for (int32_t t = 0; t < taps->taps; ++t) {
            sum += ares_load_code(taps->x[t], first + c, taps->is_signed) * *w;
            w += taps->channels;
        }
        acc[c] = sum;
    }
}

/*
 * N1 and N4 in words. From a shift of 32 on, which is most often, the low one decides nothing but ties. Smaller shifts, as
 * of functions (N5), put both together; what does not fit one word then is beyond every limit.
 */
static inline int32_t limited(int64_t raised, int32_t shift, int32_t lo, int32_t hi)
{
    const int32_t high = (int32_t)ares_floor_shift(raised, 32);
    uint32_t low = (uint32_t)((uint64_t)raised & 0xffffffffu);
    int32_t value;
    if (shift < 32) {
        value = (int32_t)((uint32_t)high << (32 - shift) | low >> shift);
        low <<= 32 - shift;
        if (ares_floor_shift_32(high, shift - 1) != ares_floor_shift_32(high, 31)) {
            return high < 0 ? lo : hi;
        }
        value = low == 0 ? value & ~1 : value;
    } else {
        value = ares_floor_shift_32(high, shift - 32);
        if (low == 0 && (int32_t)((uint32_t)value << (shift - 32)) == high) {
            value &= ~1;
        }
    }
    return value < lo ? lo : value > hi ? hi : value;
}

void ares_requantize_portable(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                              int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    /* Not read again for each code: a byte that is written may be any. */
    const int32_t *const multipliers = rescale->multiplier;
    const int64_t *const offsets = rescale->offset;
    const uint8_t *const shifts = rescale->shift;
    const int32_t stride = rescale->channel_stride;
    const ares_steps *steps = rescale->num_thresholds > 0 ? rescale->steps : NULL;
    const int has_own_steps = steps != NULL && rescale->step_stride != 0;
    int32_t lo = rescale->lo;
    int32_t hi = rescale->hi;
    int32_t c = first * stride;
    for (int32_t n = 0; n < width; ++n) {
        const int32_t multiplier = multipliers[c];
        const int64_t offset = offsets[c];
        const int32_t shift = shifts[c];
        const int32_t *from = acc + n;
        uint8_t *to = out + n;
        int32_t left = rows;
        if (has_own_steps) {
            steps = rescale->steps + first + n;
            lo = steps->below;
            hi = steps->last;
        }
        do {
            const int32_t value = limited((int64_t)*from * multiplier + offset, shift, lo, hi);
            *to = steps != NULL ? ares_step_of(steps, value) : ares_code_byte(value);
            from += ARES_PANEL_WIDTH;
            to += out_step;
        } while (--left > 0);
        c += stride;
    }
}
