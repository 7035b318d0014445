#include "../inc/avg_pool2d.h"

/* acc of one channel; in points at that channel of the first position. */
static int32_t window_sum(const ares_avg_pool2d_params *p, const uint8_t *in, ares_taps down,
                          ares_taps across)
{
    int32_t sum = 0;
    for (int32_t i = down.first; i < down.end; ++i) {
        const int32_t row = down.origin + i * p->down.dilation;
        for (int32_t j = across.first; j < across.end; ++j) {
            const int32_t column = across.origin + j * p->across.dilation;
            const int32_t index = (row * p->across.in + column) * p->channels;
            const int32_t code = ares_load_code(in, index, p->input_signed);
            sum += code - p->input_zero_point;
        }
    }
    return sum;
}

ares_status ares_avg_pool2d(const void *params, const void *const *inputs, void *const *outputs,
                            void *scratch)
{
    const ares_avg_pool2d_params *const p = (const ares_avg_pool2d_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t y = 0; y < p->down.out; ++y) {
        const ares_taps down = ares_taps_inside(&p->down, y);
        for (int32_t x = 0; x < p->across.out; ++x) {
            const ares_taps across = ares_taps_inside(&p->across, x);
            for (int32_t c = 0; c < p->channels; ++c) {
                const int32_t acc = window_sum(p, in + c, down, across);
                *out++ = ares_code_byte(ares_rescale_apply(&p->rescale, acc, 0));
            }
        }
    }
    return ARES_OK;
}
