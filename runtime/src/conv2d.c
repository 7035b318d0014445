#include "../inc/conv2d.h"

ares_status ares_conv2d(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch)
{
    const ares_conv2d_params *const p = (const ares_conv2d_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    const ares_convolution_sizes sizes = ares_convolution_sizes_of(&p->conv);
    (void)scratch;

    for (int32_t y = 0; y < p->conv.down.out; ++y) {
        const ares_taps down = ares_taps_inside(&p->conv.down, y);
        for (int32_t x = 0; x < p->conv.across.out; ++x) {
            const ares_taps across = ares_taps_inside(&p->conv.across, x);
            for (int32_t o = 0; o < p->conv.out_c; ++o) {
                const int32_t acc = ares_convolution_sum(&p->conv, sizes, in, down, across, o);
                *out++ = ares_code_byte(ares_rescale_apply(&p->rescale, acc, o));
            }
        }
    }
    return ARES_OK;
}
