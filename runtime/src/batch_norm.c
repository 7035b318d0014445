#include "../inc/batch_norm.h"

ares_status ares_batch_norm(const void *params, const void *const *inputs, void *const *outputs,
                            void *scratch)
{
    const ares_batch_norm_params *const p = (const ares_batch_norm_params *)params;
    const uint8_t *in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t o = 0; o < p->outer; ++o) {
        for (int32_t c = 0; c < p->channels; ++c) {
            for (int32_t i = 0; i < p->inner; ++i) {
                const int32_t step = ares_load_code(in, i, p->input_signed) - p->input_zero_point;
                out[i] = ares_code_byte(ares_rescale_apply(&p->rescale, step, c));
            }
            in += p->inner;
            out += p->inner;
        }
    }
    return ARES_OK;
}
