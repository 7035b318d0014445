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
static inline int64_t ares_floor_shift(int64_t value, int32_t bits)
{
    if ((-1 >> 1) == -1) {
        return value >> bits; /* this compiler keeps the sign */
    }
    return value < 0 ? ~(~value >> bits) : value >> bits;
}

/*
 * N1 of a value to which half of the divisor has been added: round((raised - 2^(bits-1)) / 2^bits), half to even. The
 * floor of what is raised is right but at a tie, where nothing is left below the point: there the even one of two is
 * the one without the lowest bit. |raised| < 2^62 + 2^61, 1 <= bits <= 62.
 */
static inline int64_t ares_round_raised(int64_t raised, int32_t bits)
{
    const int64_t rounded = ares_floor_shift(raised, bits);
    const int is_tie = (uint64_t)raised << (64 - bits) == 0;
    return is_tie ? rounded & ~(int64_t)1 : rounded;
}

/* N1: value / 2^bits rounded half to even. |value| < 2^62, 1 <= bits <= 62. */
static inline int64_t ares_round_shift(int64_t value, int32_t bits)
{
    return ares_round_raised(value + ((int64_t)1 << (bits - 1)), bits);
}

/* N4: value limited to [lo, hi]; lo <= hi. */
static inline int32_t ares_clamp(int64_t value, int32_t lo, int32_t hi)
{
    return value < lo ? lo : value > hi ? hi : (int32_t)value;
}

/*
 * Constants of N3 to N5. Arrays have one element per channel, or a single one when channel_stride is 0.
 *   multiplier  |multiplier| < 2^31; negative where a BatchNorm's or norm's weight is
 *   offset      bias and zero point, scaled by 2^shift, and half of that divisor, 2^(shift-1), which the rounding needs;
 *               |acc * multiplier + offset| < 2^62 + 2^60
 *   shift       [1, 61]
 *   lo, hi      bounds of the output codes (N4); unused when steps are present
 *   thresholds  num_thresholds ascending values, with num_thresholds + 1 codes (N5); NULL without a function
 *   step_stride 1 when each channel has a function of its own: thresholds [channels][num_thresholds] and codes
 *               [channels][num_thresholds + 1]; 0 when all share one
 */
typedef struct ares_rescale {
    const int32_t *multiplier;
    const int64_t *offset;
    const uint8_t *shift;
    const int32_t *thresholds;
    const int16_t *codes;
    int32_t channel_stride;
    int32_t step_stride;
    int32_t num_thresholds;
    int32_t lo;
    int32_t hi;
} ares_rescale;

/* N5: codes[number of thresholds <= value], with the steps of the given channel. */
static inline int32_t ares_step_code(const ares_rescale *rescale, int64_t value, int32_t channel)
{
    const int32_t count = rescale->num_thresholds;
    const int32_t *const thresholds = rescale->thresholds + channel * rescale->step_stride * count;
    const int16_t *const codes = rescale->codes + channel * rescale->step_stride * (count + 1);
    int32_t below = 0;
    int32_t above = count;
    while (below < above) {
        const int32_t middle = below + (above - below) / 2;
        if (thresholds[middle] <= value) {
            below = middle + 1;
        } else {
            above = middle;
        }
    }
    return codes[below];
}

/*
 * The one rounding (N1), then N4 or N5. |total| < 2^62 + 2^60: acc * multiplier + offset of N3, or the weighted sum of
 * N10, whose kernel brings coefficients of its own and leaves multiplier unused; half of the divisor is in offset.
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
