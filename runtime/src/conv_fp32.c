#include "../inc/conv_fp32.h"

#include "../inc/real_output.h"

ares_status ares_conv_fp32(const void *params, const void *const *inputs, void *const *outputs,
                           void *scratch)
{
    const ares_conv_fp32_params *const p = (const ares_conv_fp32_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    float *out = (float *)outputs[0];
    (void)scratch;

    for (int32_t y = 0; y < p->rows.out; ++y) {
        for (int32_t x = 0; x < p->columns.out; ++x) {
            for (int32_t o = 0; o < p->conv.out_c; ++o) {
                int32_t acc =
                    ares_convolution_window_sum(&p->conv, in, &p->rows, y, &p->columns, x, o);
                if (p->bias_codes != NULL) {
                    acc += p->bias_codes[o];
                }
                *out++ = ares_real_output(acc, p->scale, p->bias, o);
            }
        }
    }
    return ARES_OK;
}
