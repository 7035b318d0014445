/* Which instruction set's micro-kernels run: decided here and nowhere else. -DARES_PORTABLE takes the portable ones. */
#include "../inc/microkernels.h"

/* One branch an instruction set; the macro that leads to it is defined in microkernels.h. */
#define CHOSEN(name) name##_portable
#define INSTRUCTION_SET "portable"

void ares_tile(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc)
{
    CHOSEN(ares_tile)(rows, panel, width, acc);
}

void ares_depthwise_tile(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                         int32_t *acc)
{
    CHOSEN(ares_depthwise_tile)(taps, first, width, acc);
}

void ares_requantize(const ares_rescale *rescale, int32_t first, const int32_t *acc, int32_t rows,
                     int32_t width, uint8_t *out, int32_t out_step)
{
    CHOSEN(ares_requantize)(rescale, first, acc, rows, width, out, out_step);
}

const char *ares_instruction_set(void)
{
    return INSTRUCTION_SET;
}
