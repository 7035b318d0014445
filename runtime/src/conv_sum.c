#include "../inc/conv_sum.h"

ares_status ares_conv_sum(const void *params, const void *const *inputs, void *const *outputs,
                          void *scratch)
{
    const ares_conv_sum_params *const p = (const ares_conv_sum_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t y = 0; y < p->rows.out; ++y) {
        for (int32_t x = 0; x < p->columns.out; ++x) {
            for (int32_t o = 0; o < p->conv.out_c; ++o) {
                const int32_t acc =
                    ares_convolution_window_sum(&p->conv, in, &p->rows, y, &p->columns, x, o);
                *out++ = ares_code_byte(ares_rescale_apply(&p->rescale, acc, o));
            }
        }
    }
    return ARES_OK;
}
