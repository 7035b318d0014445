#include "../inc/mean.h"

ares_status ares_mean(const void *params, const void *const *inputs, void *const *outputs,
                      void *scratch)
{
    const ares_mean_params *const p = (const ares_mean_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t o = 0; o < p->outer; ++o) {
        const uint8_t *const block = in + o * p->count * p->inner;
        for (int32_t i = 0; i < p->inner; ++i) {
            int32_t acc = 0;
            for (int32_t k = 0; k < p->count; ++k) {
                const int32_t code = ares_load_code(block, k * p->inner + i, p->input_signed);
                acc += code - p->input_zero_point;
            }
            *out++ = ares_code_byte(ares_rescale_apply(&p->rescale, acc, i));
        }
    }
    return ARES_OK;
}
