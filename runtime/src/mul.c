#include "../inc/mul.h"

ares_status ares_mul(const void *params, const void *const *inputs, void *const *outputs,
                     void *scratch)
{
    const ares_mul_params *const p = (const ares_mul_params *)params;
    const uint8_t *in0 = (const uint8_t *)inputs[0];
    const uint8_t *const in1 = (const uint8_t *)inputs[1];
    uint8_t *out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t r = 0; r < p->repeats; ++r) {
        for (int32_t i = 0; i < p->count; ++i) {
            const int32_t a = ares_load_code(in0, i, p->input0_signed) - p->input0_zero_point;
            const int32_t b = ares_load_code(in1, i, p->input1_signed) - p->input1_zero_point;
            out[i] = ares_code_byte(ares_rescale_apply(&p->rescale, a * b, 0));
        }
        in0 += p->count;
        out += p->count;
    }
    return ARES_OK;
}
