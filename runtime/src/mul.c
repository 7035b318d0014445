#include "../inc/mul.h"

#include "../inc/microkernels.h"

ares_status ares_mul(const void *params, const void *const *inputs, void *const *outputs,
                     void *scratch)
{
    const ares_mul_params *const p = (const ares_mul_params *)params;
    const uint8_t *in0 = (const uint8_t *)inputs[0];
    const int32_t zero0 = p->input0_zero_point;
    const int32_t zero1 = p->input1_zero_point;
    const int32_t signed0 = p->input0_signed;
    const int32_t signed1 = p->input1_signed;
    uint8_t *out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t r = 0; r < p->repeats; ++r) {
        const uint8_t *in1 = (const uint8_t *)inputs[1];
        int32_t width;
        for (int32_t left = p->count; left > 0; left -= width) {
            int32_t acc[ARES_DEPTHWISE_WIDTH];
            width = left < ARES_DEPTHWISE_WIDTH ? left : ARES_DEPTHWISE_WIDTH;
            for (int32_t i = 0; i < width; ++i) {
                acc[i] = (ares_load_code(in0, i, signed0) - zero0) *
                         (ares_load_code(in1, i, signed1) - zero1);
            }
            ares_requantize(&p->rescale, 0, acc, 1, width, out, width);
            in0 += width;
            in1 += width;
            out += width;
        }
    }
    return ARES_OK;
}
