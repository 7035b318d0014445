#include "../inc/linear_fp32.h"

#include "../inc/dot.h"
#include "../inc/real_output.h"

ares_status ares_linear_fp32(const void *params, const void *const *inputs, void *const *outputs,
                             void *scratch)
{
    const ares_linear_fp32_params *const p = (const ares_linear_fp32_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    float *out = (float *)outputs[0];
    (void)scratch;

    for (int32_t t = 0; t < p->tokens; ++t) {
        const uint8_t *const x = in + t * p->in_features;
        for (int32_t o = 0; o < p->out_features; ++o) {
            int32_t acc = ares_dot(x, p->input_signed, p->weight + o * p->in_features,
                                   p->in_features, p->input_zero_point);
            if (p->bias_codes != NULL) {
                acc += p->bias_codes[o];
            }
            const float value = ares_real_output(acc, p->scale, p->bias, o);
            *out++ = value;
        }
    }
    return ARES_OK;
}
