#include "../inc/upsample_bilinear_fp32.h"

#include "../inc/real_output.h"

ares_status ares_upsample_bilinear_fp32(const void *params, const void *const *inputs,
                                        void *const *outputs, void *scratch)
{
    const ares_upsample_bilinear_fp32_params *const p =
        (const ares_upsample_bilinear_fp32_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    float *out = (float *)outputs[0];
    (void)scratch;

    for (int32_t y = 0; y < p->image.down.out; ++y) {
        const ares_between down = ares_between_of(&p->image.down, y);
        for (int32_t x = 0; x < p->image.across.out; ++x) {
            const ares_between across = ares_between_of(&p->image.across, x);
            for (int32_t c = 0; c < p->image.channels; ++c) {
                const int32_t acc = ares_bilinear_sum(&p->image, in, down, across, c);
                *out++ = ares_real_output(acc, p->scale, p->bias, c);
            }
        }
    }
    return ARES_OK;
}
