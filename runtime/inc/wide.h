/*
 * Products of more than 64 bits (N15): of a 128-bit type where the compiler has one, else of halves.
 */
#ifndef ARES_WIDE_H
#define ARES_WIDE_H

#include "numerics.h"

#include <stdint.h>

/* value * factor / 2^62 rounded to nearest, a tie upwards. Both at most 2^62. */
static inline uint64_t ares_multiply_q62(uint64_t value, uint64_t factor)
{
    /* Of the processors that have the type, SPARC V9 calls a function for such a product. */
#if defined(__SIZEOF_INT128__) && !defined(__sparc__) && !defined(ARES_PORTABLE)
    __extension__ typedef unsigned __int128 wide;
    /* Times 4, so that the result is the high half. */
    const wide product = (wide)(value << 1) * (factor << 1);
    return (uint64_t)((product + (UINT64_C(1) << 63)) >> 64);
#else
    /* Factors of 32 bits: one instruction a product. */
    const uint32_t high = (uint32_t)(value >> 32);
    const uint32_t low = (uint32_t)(value & UINT64_C(0xffffffff));
    const uint32_t factor_high = (uint32_t)(factor >> 32);
    const uint32_t factor_low = (uint32_t)(factor & UINT64_C(0xffffffff));
    const uint64_t middle = (uint64_t)high * factor_low + (uint64_t)low * factor_high +
                            (((uint64_t)low * factor_low) >> 32);
    return (((uint64_t)high * factor_high) << 2) + ((middle + (UINT64_C(1) << 29)) >> 30);
#endif
}

/* The same for a signed value, |value| <= 2^62: a tie goes away from zero. */
static inline int64_t ares_scale_q62(int64_t value, uint64_t factor)
{
    const int64_t sign = value < 0 ? -1 : 0; /* no branch: signs come as they like */
    const uint64_t size = (uint64_t)((value ^ sign) - sign);
    return ((int64_t)ares_multiply_q62(size, factor) ^ sign) - sign;
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
    const int64_t remainder = (int64_t)((uint64_t)product & (((uint64_t)1 << bits) - 1u));
    /* What the low half has lost lifts a value off a tie. */
    const int beyond = ((uint64_t)low & UINT64_C(0xffffffff)) != 0 || (quotient & 1) != 0;
    return quotient + (remainder > half || (remainder == half && beyond));
}

#endif
