/*
 * Sums of codes over positions, for channels that are neighbours in memory: what averages are made of. Four at a time, as
 * halves of words, where an instruction set has nothing better.
 */
#ifndef ARES_COLUMN_SUMS_H
#define ARES_COLUMN_SUMS_H

#include "symbols.h"

#include "micro_elements.h"
#include "numerics.h"

#include <stdint.h>
#include <string.h>

/* sums[c] += in[k * step + c] for c < 4, k < count <= 256; bytes are s8 when is_signed, else u8. */
static inline void ares_add_four_columns(const uint8_t *in, int32_t step, int32_t count,
                                         int32_t is_signed, int32_t *sums)
{
    const uint32_t halves = UINT32_C(0x00ff00ff);
    const uint32_t flip = is_signed ? UINT32_C(0x80808080) : 0; /* s8 as u8, 128 too much */
    const int32_t excess = is_signed ? 128 * count : 0;
    const uint16_t one = 1;
    uint32_t pairs[2] = {
        0, 0}; /* bytes 0 and 2, 1 and 3 of a word in memory, or the other way round */
    uint16_t parts[4];
    uint8_t is_little;
    for (int32_t k = 0; k < count; ++k) {
        uint32_t word;
        memcpy(&word, in + k * step, 4);
        word ^= flip;
        pairs[0] += word & halves;
        pairs[1] += (word >> 8) & halves;
    }
    memcpy(parts, pairs, 8);
    memcpy(&is_little, &one, 1);
    const int32_t even = is_little ? 0 : 2;
    sums[0] += parts[even] - excess;
    sums[1] += parts[2 - even] - excess;
    sums[2] += parts[even + 1] - excess;
    sums[3] += parts[3 - even] - excess;
}

/* sums[c] += in[k * step + c] for c < channels, k < count. Sums stay under 2^31. */
static inline void ares_add_columns(const uint8_t *in, int32_t step, int32_t count,
                                    int32_t channels, int32_t is_signed, int32_t *sums)
{
    int32_t c = ares_sum_some(in, count, step, channels, is_signed, sums);
    for (; c + 4 <= channels; c += 4) {
        for (int32_t k = 0; k < count; k += 256) {
            const int32_t run = count - k < 256 ? count - k : 256;
            ares_add_four_columns(in + k * step + c, step, run, is_signed, sums + c);
        }
    }
    for (; c < channels; ++c) {
        for (int32_t k = 0; k < count; ++k) {
            sums[c] += ares_load_code(in, k * step + c, is_signed);
        }
    }
}

#endif
