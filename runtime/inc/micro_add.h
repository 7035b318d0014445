/*
 * The totals of ares_add (add.h) in words, for vectors without lanes of 64 bits:
 *
 *   total = (high0 * x0 + high1 * x1 + high) * 2^16 + low0 * x0 + low1 * x1 + low
 *
 * With the sixteen bits that the second part has too many carried into the first, that is the upper part of the total, and what
 * is left are its sixteen lowest bits: the first shifted by shift - 16 is the value, and a tie has zeros below it in both.
 */
#ifndef ARES_MICRO_ADD_H
#define ARES_MICRO_ADD_H

#include "symbols.h"

#include "add.h"

#include <stdint.h>

/* low0, low1 and low are in [0, 2^16 - 1]; 16 <= shift <= 47. */
typedef struct ares_add_halves {
    int32_t high0;
    int32_t high1;
    int32_t high;
    int32_t low0;
    int32_t low1;
    int32_t low;
    int32_t shift;
} ares_add_halves;

/*
 * 0 where it cannot be done: behind functions, with other shifts, and where the upper part of a total might leave int32. Codes
 * are taken as u8 where is_flipped: of s8 ones 128 is taken off.
 */
static inline int ares_add_halve(ares_add_halves *halves, const ares_add_params *p, int is_flipped)
{
    const int64_t a0 = p->coefficient0;
    const int64_t a1 = p->coefficient1;
    const int64_t largest = 255 * ((a0 < 0 ? -a0 : a0) + (a1 < 0 ? -a1 : a1));
    const int64_t room = ((int64_t)1 << 47) - 1 - largest;
    int64_t offset = p->rescale.offset[0];
    if (is_flipped) {
        offset -= 128 * (a0 * (p->input0_signed != 0) + a1 * (p->input1_signed != 0));
    }
    halves->shift = p->rescale.shift[0];
    if (p->rescale.num_thresholds > 0 || halves->shift < 16 || halves->shift > 47 ||
        offset > room || offset < -room) {
        return 0;
    }
    halves->high0 = ares_floor_shift_32(p->coefficient0, 16);
    halves->high1 = ares_floor_shift_32(p->coefficient1, 16);
    halves->high = (int32_t)ares_floor_shift(offset, 16);
    halves->low0 = p->coefficient0 & 0xffff;
    halves->low1 = p->coefficient1 & 0xffff;
    halves->low = (int32_t)(offset & 0xffff);
    return 1;
}

#endif
