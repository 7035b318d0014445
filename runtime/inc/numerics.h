/*
 * The integer arithmetic that every kernel shares: clauses N1 to N5, N8, N10 and N18 of docs/numerics.md.
 *
 * Python says the same in ares/numerics/; both are tested against vectors from a big-integer script.
 * Limits stand over each function; the planner (ares/numerics/rescale.py) keeps constants inside them, so that no
 * signed overflow, no negative shift and no shift past the width can happen. Right shifts of negative
 * numbers, which C leaves to the implementation, are written without it.
 */
#ifndef ARES_NUMERICS_H
#define ARES_NUMERICS_H

#include "symbols.h"

#include <stddef.h>
#include <stdint.h>

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "ARES needs IEEE binary32 arithmetic: build without -ffast-math and -Ofast"
#endif

/* floor(value / 2^bits); 0 <= bits <= 62. */
/*@ requires 0 <= bits <= 62; */
static inline int64_t ares_floor_shift(int64_t value, int32_t bits)
{
    if ((-1 >> 1) == -1) {
        return value >> bits; /* this compiler keeps the sign */
    }
    return value < 0 ? ~(~value >> bits) : value >> bits;
}

/* The same in 32 bits; 0 <= bits <= 31. */
/*@ requires 0 <= bits <= 31; */
static inline int32_t ares_floor_shift_32(int32_t value, int32_t bits)
{
    if ((-1 >> 1) == -1) {
        return value >> bits;
    }
    return value < 0 ? ~(~value >> bits) : value >> bits;
}

/*
 * N1 of a value to which half of the divisor has been added: round((raised - 2^(bits-1)) / 2^bits), half to even. The
 * floor of what is raised is right but at a tie, where nothing is left below the point: there the even one of two is
 * the one without the lowest bit. |raised| < 2^62 + 2^61, 1 <= bits <= 62.
 */
/*@ requires -6917529027641081856 < raised < 6917529027641081856 && 1 <= bits <= 62; */
static inline int64_t ares_round_raised(int64_t raised, int32_t bits)
{
    const int64_t rounded = ares_floor_shift(raised, bits);
    const int is_tie = (uint64_t)raised << (64 - bits) == 0;
    return is_tie ? rounded & ~(int64_t)1 : rounded;
}

/* N1: value / 2^bits rounded half to even. |value| < 2^62, 1 <= bits <= 62. */
/*@ requires -4611686018427387904 < value < 4611686018427387904 && 1 <= bits <= 62; */
static inline int64_t ares_round_shift(int64_t value, int32_t bits)
{
    return ares_round_raised(value + ((int64_t)1 << (bits - 1)), bits);
}

/* N4: value limited to [lo, hi]; lo <= hi. */
/*@ requires lo <= hi; */
static inline int32_t ares_clamp(int64_t value, int32_t lo, int32_t hi)
{
    return value < lo ? lo : value > hi ? hi : (int32_t)value;
}

/*
 * A function between accumulator and code (N5): codes[number of thresholds <= value], and the index by which it is found.
 *   thresholds  ascending; the first is more than INT32_MIN
 *   codes       bytes of codes, one more than thresholds
 *   starts      how many thresholds each bucket of 2^bits values certainly has below it; bucket 0 begins at below
 *   below, last the first threshold less one, and the last one: beyond them nothing changes
 *   bits        [0, 31]; (last - below) >> bits is the last bucket
 *   half        0, or a power of two: of starts[bucket] and the 2 * half - 1 thresholds from there on, all of which
 *               exist, the number is known for every value of the bucket
 */
typedef struct ares_steps {
    const int32_t *thresholds;
    const uint8_t *codes;
    const uint8_t *starts;
    int32_t below;
    int32_t last;
    int32_t bits;
    int32_t half;
} ares_steps;

/*
 * Constants of N3 to N5. Arrays have one element per channel, or a single one when channel_stride is 0.
 *   multiplier  |multiplier| < 2^31; negative where a BatchNorm's or norm's weight is
 *   offset      bias and zero point, scaled by 2^shift, and half of that divisor, 2^(shift-1), which the rounding needs;
 *               |acc * multiplier + offset| < 2^62 + 2^60
 *   shift       [1, 61]
 *   steps       a function (N5), or one for each channel when step_stride is 1; NULL without one
 *   num_thresholds  thresholds of a function; 0 without one
 *   lo, hi      bounds of the output codes (N4); with steps that all channels share their below and last, so that a
 *               value is limited alike and then looked up; unused where each channel has its own
 */
typedef struct ares_rescale {
    const int32_t *multiplier;
    const int64_t *offset;
    const uint8_t *shift;
    const ares_steps *steps;
    int32_t channel_stride;
    int32_t step_stride;
    int32_t num_thresholds;
    int32_t lo;
    int32_t hi;
} ares_rescale;

/* N5: the number of thresholds up to a value in a bucket. Halving without branches, most often of 1 or 3 thresholds. */
static inline size_t ares_step_place_in(const ares_steps *steps, int32_t value, uint32_t bucket)
{
    const int32_t *const thresholds = steps->thresholds;
    /*@ split bucket; */
    size_t place = steps->starts[bucket];
    for (size_t n = (size_t)steps->half; n > 0; n >>= 1) {
        place += thresholds[place + n - 1] <= value ? n : 0;
    }
    return place;
}

/* The same of a value between below and last. */
static inline size_t ares_step_place(const ares_steps *steps, int32_t value)
{
    /*@ split value < 0; */
    const uint32_t distance = (uint32_t)value - (uint32_t)steps->below;
    return ares_step_place_in(steps, value, distance >> steps->bits);
}

/* N5: the byte of its code. */
static inline uint8_t ares_step_of(const ares_steps *steps, int32_t value)
{
    return steps->codes[ares_step_place(steps, value)];
}

/* N5: the byte of codes[number of thresholds <= value], with the steps of the given channel. */
static inline uint8_t ares_step_code(const ares_rescale *rescale, int64_t value, int32_t channel)
{
    const ares_steps *const steps = rescale->steps + channel * rescale->step_stride;
    return ares_step_of(steps, ares_clamp(value, steps->below, steps->last));
}

/*
 * The one rounding (N1), then the code (N4), or its byte (N5), which is what is stored. |total| < 2^62 + 2^60:
 * acc * multiplier + offset of N3, or the weighted sum of N10, whose kernel brings coefficients of its own and leaves
 * multiplier unused; half of the divisor is in offset.
 */
static inline int32_t ares_rescale_finish(const ares_rescale *rescale, int64_t total,
                                          int32_t channel)
{
    const int32_t shift = rescale->shift[channel * rescale->channel_stride];
    const int64_t value = ares_round_raised(total, shift);
    if (rescale->num_thresholds > 0) {
        return ares_step_code(rescale, value, channel);
    }
    return ares_clamp(value, rescale->lo, rescale->hi);
}

/*
 * N3: the code of an exact accumulator of the given channel. Any int32 accumulator within the planned bound. Bits that
 * are cut off (N18) are constants of this kind, or steps.
 */
static inline int32_t ares_rescale_apply(const ares_rescale *rescale, int32_t accumulator,
                                         int32_t channel)
{
    const int32_t c = channel * rescale->channel_stride;
    const int64_t product = (int64_t)accumulator * rescale->multiplier[c];
    return ares_rescale_finish(rescale, product + rescale->offset[c], channel);
}

/* N8: the byte that stores a code, of an s8 (-128..127) and a u8 (0..255) tensor alike. */
static inline uint8_t ares_code_byte(int32_t code)
{
    return (uint8_t)((uint32_t)code & 0xffu);
}

/* The code at an index of a tensor of bytes: s8 when is_signed, else u8. */
static inline int32_t ares_load_code(const void *codes, int32_t index, int32_t is_signed)
{
    return is_signed ? ((const int8_t *)codes)[index] : ((const uint8_t *)codes)[index];
}

#endif
