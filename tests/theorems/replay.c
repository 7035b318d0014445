/*
 * A counterexample of a theorem about requantisation, in C: words are shift, lo, hi and, for each channel, accumulator,
 * multiplier and offset. Prints a line for each channel: the byte of ares_rescale_apply, that of the micro-kernel.
 */
#include "microkernels.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include REPLAYED

int main(int count, char **words)
{
    int32_t acc[ARES_PANEL_WIDTH];
    int32_t multiplier[ARES_PANEL_WIDTH];
    int64_t offset[ARES_PANEL_WIDTH];
    uint8_t shift[ARES_PANEL_WIDTH];
    uint8_t out[ARES_PANEL_WIDTH];
    const int32_t width = (count - 3) / 4;
    for (int32_t n = 0; n < width; ++n) {
        char **const at = words + 3 + 4 * n;
        shift[n] = (uint8_t)strtol(at[0], NULL, 10);
        acc[n] = (int32_t)strtoll(at[1], NULL, 10);
        multiplier[n] = (int32_t)strtoll(at[2], NULL, 10);
        offset[n] = (int64_t)strtoll(at[3], NULL, 10);
    }
    const ares_rescale rescale = {.multiplier = multiplier,
                                  .offset = offset,
                                  .shift = shift,
                                  .channel_stride = 1,
                                  .lo = (int32_t)strtol(words[1], NULL, 10),
                                  .hi = (int32_t)strtol(words[2], NULL, 10)};
    REPLAYED_FUNCTION(&rescale, 0, acc, 1, width, out, width);
    for (int32_t n = 0; n < width; ++n) {
        const int32_t code = ares_rescale_apply(&rescale, acc[n], n);
        printf("%d %d\n", ares_code_byte(code), out[n]);
    }
    return 0;
}
