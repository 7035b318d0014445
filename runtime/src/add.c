#include "../inc/add.h"

ares_status ares_add(const void *params, const void *const *inputs, void *const *outputs,
                     void *scratch)
{
    const ares_add_params *const p = (const ares_add_params *)params;
    const uint8_t *in0 = (const uint8_t *)inputs[0];
    const uint8_t *const in1 = (const uint8_t *)inputs[1];
    uint8_t *out = (uint8_t *)outputs[0];
    const int64_t a0 = p->coefficient0;
    const int64_t a1 = p->coefficient1;
    const int64_t offset = p->rescale.offset[0];
    (void)scratch;

    for (int32_t r = 0; r < p->repeats; ++r) {
        for (int32_t i = 0; i < p->count; ++i) {
            const int64_t sum = a0 * ares_load_code(in0, i, p->input0_signed) +
                                a1 * ares_load_code(in1, i, p->input1_signed);
            out[i] = ares_code_byte(ares_rescale_finish(&p->rescale, sum + offset, 0));
        }
        in0 += p->count;
        out += p->count;
    }
    return ARES_OK;
}
