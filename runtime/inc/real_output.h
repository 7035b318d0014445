/*
 * A result that stays real: binary32 from an exact accumulator (N9).
 *
 *   (float)acc * scale + bias
 *
 * Each of the three binary32 operations (conversion, product, sum) is rounded on its own, in this order.
 */
#ifndef ARES_REAL_OUTPUT_H
#define ARES_REAL_OUTPUT_H

#include "symbols.h"

#include <stddef.h>
#include <stdint.h>

/*
 * The binary32 number nearest to an accumulator. The conversion of the whole accumulator would round as well, but gcc 12
 * for m68k leaves its result in a wider register; a sum in a named variable it does round (N9).
 */
static inline float ares_nearest_float(int32_t acc)
{
    const int32_t low_half = acc & 0xffff;
    const float low = (float)low_half;
    const float high = (float)(acc & ~(int32_t)0xffff); /* exact: 16 bits and zeros */
    const float sum = high + low;
    return sum;
}

/* The result of output o; bias may be NULL. */
static inline float ares_real_output(int32_t acc, const float *scale, const float *bias, int32_t o)
{
    /* One operation a statement: nothing to contract, nothing kept in excess precision (N9). */
    float value = ares_nearest_float(acc);
    value = value * scale[o];
    if (bias != NULL) {
        value = value + bias[o];
    }
    return value;
}

#endif
