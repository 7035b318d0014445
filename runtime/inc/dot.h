/*
 * The inner product of contiguous 8-bit codes with 8-bit weights, exact in int32 (N2).
 *
 *   sum over i < n of (x[i] - zero_point) * w[i]
 *
 * x holds s8 when is_signed, else u8. n may be zero. The planner proves |sum| < 2^31 for the whole
 * accumulator from the sum of |w| and the largest |x - zero_point|, hence for every part of it.
 */
#ifndef ARES_DOT_H
#define ARES_DOT_H

#include <stdint.h>

static inline int32_t ares_dot(const uint8_t *x, int32_t is_signed, const int8_t *w, int32_t n,
                               int32_t zero_point)
{
    int32_t sum = 0;
    if (is_signed) {
        const int8_t *const s = (const int8_t *)x;
        for (int32_t i = 0; i < n; ++i) {
            sum += ((int32_t)s[i] - zero_point) * (int32_t)w[i];
        }
    } else {
        for (int32_t i = 0; i < n; ++i) {
            sum += ((int32_t)x[i] - zero_point) * (int32_t)w[i];
        }
    }
    return sum;
}

#endif
