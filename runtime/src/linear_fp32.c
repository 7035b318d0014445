#include "../inc/linear_fp32.h"

#include "../inc/dot.h"

/*
 * The binary32 number nearest to an accumulator. The conversion of the whole accumulator would round as well, but gcc 12
 * for m68k leaves its result in a wider register; a sum in a named variable it does round (N9).
 */
static float nearest_float(int32_t acc)
{
    const int32_t low_half = acc & 0xffff;
    const float low = (float)low_half;
    const float high = (float)(acc - low_half); /* exact: 16 bits and zeros */
    const float sum = high + low;
    return sum;
}

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
            /* One operation a statement: nothing to contract, nothing kept in excess precision (N9). */
            float value = nearest_float(acc);
            value = value * p->scale[o];
            if (p->bias != NULL) {
                value = value + p->bias[o];
            }
            *out++ = value;
        }
    }
    return ARES_OK;
}
