#include "../inc/take2d.h"

#include <string.h>

/* One row of the output, of pixels of so many bytes; returns the end of what was written. */
static uint8_t *take_columns(const ares_take2d_params *p, const uint8_t *row, int32_t pixel,
                             uint8_t *out)
{
    if (p->columns == NULL) {
        memcpy(out, row, (size_t)(p->out_w * pixel));
        return out + p->out_w * pixel;
    }
    if (pixel == 1) {
        for (int32_t x = 0; x < p->out_w; ++x) {
            *out++ = row[p->columns[x]];
        }
        return out;
    }
    for (int32_t x = 0; x < p->out_w; ++x) {
        memcpy(out, row + p->columns[x] * pixel, (size_t)pixel);
        out += pixel;
    }
    return out;
}

ares_status ares_take2d(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch)
{
    const ares_take2d_params *const p = (const ares_take2d_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    const int32_t pixel = p->channels * p->element_size;
    (void)scratch;

    for (int32_t y = 0; y < p->out_h; ++y) {
        const int32_t row = p->rows == NULL ? y : p->rows[y];
        out = take_columns(p, in + row * p->in_w * pixel, pixel, out);
    }
    return ARES_OK;
}
