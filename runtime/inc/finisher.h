/*
 * The rounding and the limits of one channel (N1, N4) with its constants at hand, in 32 bits: what ares_rescale_finish of
 * numerics.h says, for loops over elements. Constants are read once, where stores of codes, which may lie anywhere,
 * make a compiler read a rescale's again for every element. Not for functions (N5), nor for shifts under 32.
 */
#ifndef ARES_FINISHER_H
#define ARES_FINISHER_H

#include "symbols.h"

#include "numerics.h"

#include <stdint.h>

typedef struct ares_finisher {
    int64_t offset;
    int32_t multiplier;
    int32_t bits;         /* of the high half that are below the point */
    uint32_t below_point; /* a mask of these */
    int32_t lo;
    int32_t hi;
} ares_finisher;

/*
 * Fill in the constants of a channel; 0 where they are not for a finisher. All addends of its totals may be shifted left
 * by lift bits, so that only the high half is rounded: what comes from codes is less than 2^48 before that, and lift is 0
 * for those that may be more.
 */
static inline int ares_finisher_of(ares_finisher *finisher, const ares_rescale *rescale,
                                   int32_t channel, int32_t lift)
{
    const ares_finisher none = {0, 0, 0, 0, 0, 0};
    const int64_t limit = (int64_t)1 << 50;
    const int32_t c = channel * rescale->channel_stride;
    const int64_t offset = rescale->offset[c];
    const int32_t bits = rescale->shift[c] + lift - 32;
    if (rescale->num_thresholds > 0 || bits < 0 || bits > 29 || lift > 8 ||
        (lift > 0 && (offset > limit || offset < -limit))) {
        *finisher = none; /* or gcc -O3 -march=native warns */
        return 0;
    }
    finisher->offset = offset * ((int64_t)1 << lift);
    finisher->multiplier = rescale->multiplier[c];
    finisher->bits = bits;
    finisher->below_point = ((uint32_t)1 << bits) - 1u;
    finisher->lo = rescale->lo;
    finisher->hi = rescale->hi;
    return 1;
}

/* The lift with which a shift comes to 32. */
static inline int32_t ares_finisher_lift(const ares_rescale *rescale)
{
    return rescale->shift[0] < 32 ? 32 - rescale->shift[0] : 0;
}

/* The byte of the code of a total, its offset inside: |total| < 2^62 + 2^60. */
static inline uint8_t ares_finish(const ares_finisher *finisher, int64_t total)
{
    /* ares_round_raised in halves */
    const int32_t high = (int32_t)ares_floor_shift(total, 32);
    const uint32_t low = (uint32_t)((uint64_t)total & 0xffffffffu);
    const int32_t rounded = ares_floor_shift_32(high, finisher->bits);
    const int32_t is_tie = (low | ((uint32_t)high & finisher->below_point)) == 0;
    int32_t value = rounded & ~is_tie;
    value = value < finisher->lo ? finisher->lo : value;
    value = value > finisher->hi ? finisher->hi : value;
    return ares_code_byte(value);
}

/* The byte of the code of an exact accumulator (N3). */
static inline uint8_t ares_finish_acc(const ares_finisher *finisher, int32_t accumulator)
{
    return ares_finish(finisher, (int64_t)accumulator * finisher->multiplier + finisher->offset);
}

#endif
