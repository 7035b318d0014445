/* What instruction sets without a search of their own do behind their vectors: the steps of N5, one value at a time. */
#ifndef ARES_MICRO_STEPS_H
#define ARES_MICRO_STEPS_H

#include "symbols.h"

#include "microkernels.h"

#include <stdint.h>

/* The limits of a channel's values (N4), which with steps are the ends of these (N5). */
static inline int32_t ares_least_value(const ares_rescale *rescale, int32_t channel)
{
    const int has_own = rescale->num_thresholds > 0 && rescale->step_stride != 0;
    return has_own ? rescale->steps[channel].below : rescale->lo;
}

static inline int32_t ares_most_value(const ares_rescale *rescale, int32_t channel)
{
    const int has_own = rescale->num_thresholds > 0 && rescale->step_stride != 0;
    return has_own ? rescale->steps[channel].last : rescale->hi;
}

/* Rows of limited values to the bytes of their codes, as ares_requantize has them: at most ARES_TILE_ROWS rows of a panel. */
static inline void ares_code_rows(const ares_rescale *rescale, int32_t first, const int32_t *values,
                                  int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    /* Not read again for each code: a byte that is written may be any. */
    const ares_steps none = {NULL, NULL, NULL, 0, 0, 0, 0};
    const int has_steps = rescale->num_thresholds > 0;
    ares_steps steps = has_steps ? *rescale->steps : none;
    for (int32_t r = 0; r < rows; ++r) {
        const int32_t *const from = values + r * ARES_PANEL_WIDTH;
        uint8_t *const to = out + r * out_step;
        if (!has_steps) {
            for (int32_t n = 0; n < width; ++n) {
                to[n] = ares_code_byte(from[n]);
            }
        } else if (rescale->step_stride != 0) {
            for (int32_t n = 0; n < width; ++n) {
                to[n] = ares_step_of(&rescale->steps[first + n], from[n]);
            }
        } else if (steps.half == 1) {
            steps.half = 1; /* most often, and known to the compiler */
            for (int32_t n = 0; n < width; ++n) {
                to[n] = ares_step_of(&steps, from[n]);
            }
        } else {
            for (int32_t n = 0; n < width; ++n) {
                to[n] = ares_step_of(&steps, from[n]);
            }
        }
    }
}

#endif
