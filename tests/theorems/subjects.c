/* The shared arithmetic of the runtime as functions that can be called by name: what clang reads of its headers. */
#include "finisher.h"
#include "numerics.h"
#include "wide.h"

int64_t subject_round_shift(int64_t value, int32_t bits)
{
    return ares_round_shift(value, bits);
}

int32_t subject_rescale(const ares_rescale *rescale, int32_t accumulator)
{
    return ares_rescale_apply(rescale, accumulator, 0);
}

/* 1 and the byte of a total's code; 0 where the constants are not for a finisher. */
int32_t subject_finisher(const ares_rescale *rescale, int64_t from_codes, int32_t lift, uint8_t *out)
{
    ares_finisher finisher;
    const int32_t is_made = ares_finisher_of(&finisher, rescale, 0, lift);
    *out = ares_finish(&finisher, (int64_t)((uint64_t)from_codes << lift) + finisher.offset);
    return is_made;
}

uint64_t subject_multiply_q62(uint64_t value, uint64_t factor)
{
    return ares_multiply_q62(value, factor);
}

int64_t subject_wide_round(int64_t value, int32_t multiplier, int32_t shift, int32_t addend)
{
    return ares_wide_round(value, multiplier, shift, addend);
}
