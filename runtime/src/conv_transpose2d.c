#include "../inc/conv_transpose2d.h"

ares_status ares_conv_transpose2d(const void *params, const void *const *inputs,
                                  void *const *outputs, void *scratch)
{
    const ares_conv_transpose2d_params *const p = (const ares_conv_transpose2d_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t y = 0; y < p->conv.down.out; ++y) {
        const ares_meeting down = ares_meet(&p->conv.down, y);
        for (int32_t x = 0; x < p->conv.across.out; ++x) {
            const ares_meeting across = ares_meet(&p->conv.across, x);
            for (int32_t o = 0; o < p->conv.out_c; ++o) {
                const int32_t acc = ares_transposed_sum(&p->conv, in, down, across, o);
                *out++ = ares_code_byte(ares_rescale_apply(&p->rescale, acc, o));
            }
        }
    }
    return ARES_OK;
}
