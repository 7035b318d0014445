/*
 * What all softmaxes do with the exponentials of one row of scores (N13).
 *
 *   S      = sum over kept keys of floor(m * 2^19 / 2^x)             in units of 2^-50
 *   T      = floor(S / 2^drop), 2^31 <= T < 2^32
 *   factor = floor((numerator * 2^31 + floor(T / 2)) / T),  shift = drop + 12 - exponent
 *   code   = clamp(round(m * factor / 2^(shift + x) + zero_point), lo, hi)
 *
 * m / 2^(31 + x) is the exponential of a key: m in [2^31, 2^32) and x in 0..63, or both zero for what is too small to
 * count; none is more than 1, so that x is 0 only with m = 2^31. numerator * 2^exponent is one over the scale of the
 * probabilities: numerator in [2^31, 2^32), exponent in [-64, -1], so that shifts are 32 or more. At most 2048 keys, so that
 * S < 2^62; the largest kept one has m = 2^31 and x = 0, so that S >= 2^50. One division a row; rounded half to even, once,
 * with the zero point inside.
 */
#ifndef ARES_SOFTMAX_ROW_H
#define ARES_SOFTMAX_ROW_H

#include "numerics.h"

typedef struct ares_softmax_row {
    uint64_t factor;
    int32_t shift;
} ares_softmax_row;

static inline uint64_t ares_softmax_term(uint32_t m, int32_t x)
{
    return ((uint64_t)m << 19) >> x;
}

/*@ requires 1125899906842624 <= sum < 4611686018427387904 && -64 <= exponent <= -1; */
static inline ares_softmax_row ares_softmax_close(uint64_t sum, uint32_t numerator,
                                                  int32_t exponent)
{
    ares_softmax_row row;
    int32_t drop = 19;
    while (sum >> drop > UINT32_MAX) {
        ++drop;
    }
    row.factor = (((uint64_t)numerator << 31) + (sum >> (drop + 1))) / (sum >> drop);
    row.shift = drop + 12 - exponent;
    return row;
}

/* The code of a key, before the clamp. */
static inline int64_t ares_softmax_code(const ares_softmax_row *row, uint32_t m, int32_t x,
                                        int32_t zero_point)
{
    const uint64_t product = m * row->factor;
    const int32_t shift = row->shift + x;
    if (shift > 64) {
        return zero_point; /* less than half a code */
    }
    const uint64_t halves = product >> (shift - 1);
    const uint64_t below = product & (((uint64_t)1 << (shift - 1)) - 1u);
    const int64_t code = (int64_t)(halves >> 1) + zero_point;
    const int64_t up = (halves & 1u) != 0 && (below != 0 || (code & 1) != 0);
    return code + up;
}

#endif
