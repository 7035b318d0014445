#include "../inc/avg_pool2d.h"

/* acc of one channel; in points at that channel of the first position. */
static int32_t window_sum(const ares_avg_pool2d_params *p, const uint8_t *in, ares_extent down,
                          ares_extent across)
{
    int32_t sum = 0;
    for (int32_t row = down.first; row < down.end; ++row) {
        for (int32_t column = across.first; column < across.end; ++column) {
            const int32_t index = (row * p->across.in + column) * p->channels;
            const int32_t code = ares_load_code(in, index, p->input_signed);
            sum += code - p->input_zero_point;
        }
    }
    return sum;
}

/* One axis' part of k. */
static int32_t place_of(const ares_counted *counted, ares_extent whole)
{
    const int32_t first = whole.first < counted->from ? counted->from : whole.first;
    const int32_t end = whole.end > counted->to ? counted->to : whole.end;
    return (end - first - counted->shortest) * counted->stride;
}

ares_status ares_avg_pool2d(const void *params, const void *const *inputs, void *const *outputs,
                            void *scratch)
{
    const ares_avg_pool2d_params *const p = (const ares_avg_pool2d_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t y = 0; y < p->down.out; ++y) {
        const ares_extent tall = ares_extent_of(&p->down, y);
        const ares_extent down = ares_extent_inside(&p->down, tall);
        const ares_rescale *const of_row = p->rescales + place_of(&p->rows, tall);
        for (int32_t x = 0; x < p->across.out; ++x) {
            const ares_extent wide = ares_extent_of(&p->across, x);
            const ares_extent across = ares_extent_inside(&p->across, wide);
            const ares_rescale *const rescale = of_row + place_of(&p->columns, wide);
            for (int32_t c = 0; c < p->channels; ++c) {
                const int32_t acc = window_sum(p, in + c, down, across);
                *out++ = ares_code_byte(ares_rescale_apply(rescale, acc, c));
            }
        }
    }
    return ARES_OK;
}
