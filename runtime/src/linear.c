#include "../inc/linear.h"

#include "../inc/dot.h"

ares_status ares_linear(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch)
{
    const ares_linear_params *const p = (const ares_linear_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t t = 0; t < p->tokens; ++t) {
        const uint8_t *const x = in + t * p->in_features;
        for (int32_t o = 0; o < p->out_features; ++o) {
            const int32_t acc = ares_dot(x, p->input_signed, p->weight + o * p->in_features,
                                         p->in_features, p->input_zero_point);
            *out++ = ares_code_byte(ares_rescale_apply(&p->rescale, acc, o));
        }
    }
    return ARES_OK;
}
