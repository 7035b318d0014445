#include "../inc/avg_pool2d.h"

/* acc of one channel; in points at that channel of the first position, top and left may lie outside. */
static int32_t window_sum(const ares_avg_pool2d_params *p, const uint8_t *in, int32_t top,
                          int32_t left)
{
    int32_t sum = 0;
    for (int32_t row = top; row < top + p->kernel_h; ++row) {
        if (row < 0 || row >= p->in_h) {
            continue;
        }
        for (int32_t column = left; column < left + p->kernel_w; ++column) {
            if (column < 0 || column >= p->in_w) {
                continue;
            }
            const int32_t index = (row * p->in_w + column) * p->channels;
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

    for (int32_t y = 0; y < p->out_h; ++y) {
        const int32_t top = y * p->stride_h - p->pad_top;
        for (int32_t x = 0; x < p->out_w; ++x) {
            const int32_t left = x * p->stride_w - p->pad_left;
            for (int32_t c = 0; c < p->channels; ++c) {
                const int32_t acc = window_sum(p, in + c, top, left);
                *out++ = ares_code_byte(ares_rescale_apply(&p->rescale, acc, 0));
            }
        }
    }
    return ARES_OK;
}
