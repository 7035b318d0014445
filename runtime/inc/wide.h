/*
 * Products of more than 64 bits, without a 128-bit type (N15).
 */
#ifndef ARES_WIDE_H
#define ARES_WIDE_H

#include "numerics.h"

#include <stdint.h>

/* value * factor / 2^62 rounded to nearest, a tie upwards. Both at most 2^62. */
static inline uint64_t ares_multiply_q62(uint64_t value, uint64_t factor)
{
    const uint64_t low_half = UINT64_C(0xffffffff);
    const uint64_t high = value >> 32;
    const uint64_t low = value & low_half;
    const uint64_t factor_high = factor >> 32;
    const uint64_t factor_low = factor & low_half;
    const uint64_t middle = high * factor_low + low * factor_high + ((low * factor_low) >> 32);
    return ((high * factor_high) << 2) + ((middle + (UINT64_C(1) << 29)) >> 30);
}

/* The same for a signed value, |value| <= 2^62: a tie goes away from zero. */
static inline int64_t ares_scale_q62(int64_t value, uint64_t factor)
{
    if (value < 0) {
        return -(int64_t)ares_multiply_q62((uint64_t)-value, factor);
    }
    return (int64_t)ares_multiply_q62((uint64_t)value, factor);
}

/*
 * value * multiplier / 2^shift + addend, rounded half to even (N1) from the whole product of 92 bits.
 * |value| <= 2^61, 0 <= multiplier < 2^31, 33 <= shift <= 84, |addend| <= 255.
 */
static inline int64_t ares_wide_round(int64_t value, int32_t multiplier, int32_t shift,
                                      int32_t addend)
{
    const int64_t low = ((int64_t)((uint64_t)value & UINT64_C(0xffffffff))) * multiplier;
    const int32_t bits = shift - 32;
    const int64_t product =
        ares_floor_shift(value, 32) * multiplier + (low >> 32) + addend * ((int64_t)1 << bits);
    const int64_t half = (int64_t)1 << (bits - 1);
    const int64_t quotient = ares_floor_shift(product, bits);
    const int64_t remainder = product - quotient * ((int64_t)1 << bits);
    /* What the low half has lost lifts a value off a tie. */
    const int beyond = ((uint64_t)low & UINT64_C(0xffffffff)) != 0 || (quotient & 1) != 0;
    return quotient + (remainder > half || (remainder == half && beyond));
}

#endif
