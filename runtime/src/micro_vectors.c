/*
 * The tile in vectors of GNU C, for processors that have some and no micro-kernels of their own here. Of a loop over packed
 * weights no compiler makes vector instructions; of these gcc and clang do, at every level.
 */
#include "../inc/microkernels.h"

#if defined(ARES_MICRO_VECTORS)

#include <string.h>

typedef int16_t s16x8 __attribute__((vector_size(16)));
typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef int32_t s32x4 __attribute__((vector_size(16)));
typedef uint32_t u32x4 __attribute__((vector_size(16)));

static inline uint32_t load_4(const uint8_t *from)
{
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

/* The same four codes in each word. */
static inline s16x8 repeat_4(const uint8_t *from)
{
    const uint32_t word = load_4(from);
    return (s16x8)(u32x4){word, word, word, word};
}

static inline s16x8 load_16(const int8_t *from)
{
    s16x8 bytes;
    memcpy(&bytes, from, sizeof bytes);
    return bytes;
}

/* Two codes lie in 16 bits, whose lower and upper half they are; which is first in memory is all the same to a sum. */
#define LOW_S8(pairs) ((s16x8)((u16x8)(pairs) << 8) >> 8)
#define HIGH_S8(pairs) ((pairs) >> 8)
#define LOW_U8(pairs) ((pairs) & 0xff)
#define HIGH_U8(pairs) ((s16x8)((u16x8)(pairs) >> 8))

static inline s32x4 add_pairs(s16x8 products)
{
    return ((s32x4)((u32x4)products << 16) >> 16) + ((s32x4)products >> 16);
}

/* In each word the sum of four products; none is more than 255 * 128, which 16 bits hold. kind of codes: S8 or U8. */
#define PRODUCTS(kind, codes, weights)                                                             \
    (add_pairs(LOW_##kind(codes) * LOW_S8(weights)) +                                              \
     add_pairs(HIGH_##kind(codes) * HIGH_S8(weights)))

#define TILE_4X4(name, kind)                                                                       \
    static void name(const ares_tile_rows *rows, const int8_t *w, int32_t step, int32_t *acc)      \
    {                                                                                              \
        s32x4 sum0 = {0, 0, 0, 0}, sum1 = sum0, sum2 = sum0, sum3 = sum0;                          \
        for (int32_t s = 0; s < rows->segments; ++s) {                                             \
            const uint8_t *const *const x = rows->x + s * ARES_TILE_ROWS;                          \
            const uint8_t *x0 = x[0];                                                              \
            const uint8_t *x1 = x[1];                                                              \
            const uint8_t *x2 = x[2];                                                              \
            const uint8_t *x3 = x[3];                                                              \
            const uint8_t *const end = x0 + rows->length;                                          \
            do {                                                                                   \
                const s16x8 weights = load_16(w);                                                  \
                sum0 += PRODUCTS(kind, repeat_4(x0), weights);                                     \
                sum1 += PRODUCTS(kind, repeat_4(x1), weights);                                     \
                sum2 += PRODUCTS(kind, repeat_4(x2), weights);                                     \
                sum3 += PRODUCTS(kind, repeat_4(x3), weights);                                     \
                x0 += 4;                                                                           \
                x1 += 4;                                                                           \
                x2 += 4;                                                                           \
                x3 += 4;                                                                           \
                w += step;                                                                         \
            } while (x0 != end);                                                                   \
        }                                                                                          \
        memcpy(acc, &sum0, sizeof sum0);                                                           \
        memcpy(acc + ARES_PANEL_WIDTH, &sum1, sizeof sum1);                                        \
        memcpy(acc + 2 * ARES_PANEL_WIDTH, &sum2, sizeof sum2);                                    \
        memcpy(acc + 3 * ARES_PANEL_WIDTH, &sum3, sizeof sum3);                                    \
    }

TILE_4X4(tile_4x4_s8, S8)
TILE_4X4(tile_4x4_u8, U8)

/* One row, channels n0 to n0 + 3 and n1 to n1 + 3. */
#define TILE_1X8(name, kind)                                                                       \
    static void name(const ares_tile_rows *rows, int32_t r, const int8_t *panel, int32_t n0,       \
                     int32_t n1, int32_t width, int32_t *acc)                                      \
    {                                                                                              \
        const int8_t *w0 = panel + 4 * n0;                                                         \
        const int8_t *w1 = panel + 4 * n1;                                                         \
        s32x4 sum0 = {0, 0, 0, 0}, sum1 = sum0;                                                    \
        for (int32_t s = 0; s < rows->segments; ++s) {                                             \
            const uint8_t *x = rows->x[s * ARES_TILE_ROWS + r];                                    \
            const uint8_t *const end = x + rows->length;                                           \
            do {                                                                                   \
                const s16x8 codes = repeat_4(x);                                                   \
                sum0 += PRODUCTS(kind, codes, load_16(w0));                                        \
                sum1 += PRODUCTS(kind, codes, load_16(w1));                                        \
                x += 4;                                                                            \
                w0 += 4 * width;                                                                   \
                w1 += 4 * width;                                                                   \
            } while (x != end);                                                                    \
        }                                                                                          \
        acc += r * ARES_PANEL_WIDTH;                                                               \
        memcpy(acc + n0, &sum0, sizeof sum0);                                                      \
        memcpy(acc + n1, &sum1, sizeof sum1);                                                      \
    }

TILE_1X8(tile_1x8_s8, S8)
TILE_1X8(tile_1x8_u8, U8)

/* One row, four channels. */
#define TILE_1X4(name, kind)                                                                       \
    static void name(const ares_tile_rows *rows, int32_t r, const int8_t *w, int32_t step,         \
                     int32_t *acc)                                                                 \
    {                                                                                              \
        s32x4 sum = {0, 0, 0, 0};                                                                  \
        for (int32_t s = 0; s < rows->segments; ++s) {                                             \
            const uint8_t *x = rows->x[s * ARES_TILE_ROWS + r];                                    \
            const uint8_t *const end = x + rows->length;                                           \
            do {                                                                                   \
                sum += PRODUCTS(kind, repeat_4(x), load_16(w));                                    \
                x += 4;                                                                            \
                w += step;                                                                         \
            } while (x != end);                                                                    \
        }                                                                                          \
        memcpy(acc, &sum, sizeof sum);                                                             \
    }

TILE_1X4(tile_1x4_s8, S8)
TILE_1X4(tile_1x4_u8, U8)

/* Up to four rows, one channel: a word a row. Rows that do not exist are the first one again. */
#define TILE_4X1(name, kind)                                                                       \
    static void name(const ares_tile_rows *rows, const int8_t *w, int32_t step, int32_t *acc)      \
    {                                                                                              \
        s32x4 sum = {0, 0, 0, 0};                                                                  \
        for (int32_t s = 0; s < rows->segments; ++s) {                                             \
            const uint8_t *const *const x = rows->x + s * ARES_TILE_ROWS;                          \
            const uint8_t *const x1 = x[rows->rows > 1 ? 1 : 0];                                   \
            const uint8_t *const x2 = x[rows->rows > 2 ? 2 : 0];                                   \
            const uint8_t *const x3 = x[rows->rows > 3 ? 3 : 0];                                   \
            for (int32_t i = 0; i < rows->length; i += 4) {                                        \
                const s16x8 codes = (s16x8)(u32x4){load_4(x[0] + i), load_4(x1 + i),               \
                                                   load_4(x2 + i), load_4(x3 + i)};                \
                sum += PRODUCTS(kind, codes, repeat_4((const uint8_t *)w));                        \
                w += step;                                                                         \
            }                                                                                      \
        }                                                                                          \
        for (int32_t r = 0; r < rows->rows; ++r) {                                                 \
            acc[r * ARES_PANEL_WIDTH] = sum[r];                                                    \
        }                                                                                          \
    }

TILE_4X1(tile_4x1_s8, S8)
TILE_4X1(tile_4x1_u8, U8)

/* The last channels of a panel are computed twice where its width is no multiple of four. */
void ares_tile_vectors(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc)
{
    const int32_t last = width - 4;
    if (last < 0) {
        for (int32_t n = 0; n < width; ++n) {
            (rows->is_signed ? tile_4x1_s8 : tile_4x1_u8)(rows, panel + 4 * n, 4 * width, acc + n);
        }
        return;
    }
    if (rows->rows == ARES_TILE_ROWS) {
        for (int32_t n = 0; n < width; n += 4) {
            const int32_t c = n < last ? n : last;
            (rows->is_signed ? tile_4x4_s8 : tile_4x4_u8)(rows, panel + 4 * c, 4 * width, acc + c);
        }
        return;
    }
    for (int32_t r = 0; r < rows->rows; ++r) {
        int32_t n = 0;
        for (; n < last; n += 8) {
            const int32_t n1 = n + 4 < last ? n + 4 : last;
            (rows->is_signed ? tile_1x8_s8 : tile_1x8_u8)(rows, r, panel, n, n1, width, acc);
        }
        if (n < width) {
            (rows->is_signed ? tile_1x4_s8 : tile_1x4_u8)(rows, r, panel + 4 * last, 4 * width,
                                                          acc + r * ARES_PANEL_WIDTH + last);
        }
    }
}

#endif
