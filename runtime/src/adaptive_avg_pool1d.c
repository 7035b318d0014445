#include "../inc/adaptive_avg_pool1d.h"

ares_status ares_adaptive_avg_pool1d(const void *params, const void *const *inputs,
                                     void *const *outputs, void *scratch)
{
    const ares_adaptive_avg_pool1d_params *const p =
        (const ares_adaptive_avg_pool1d_params *)params;
    const uint8_t *in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    const int64_t length = p->in_length;
    (void)scratch;

    for (int32_t o = 0; o < p->outer; ++o) {
        for (int32_t i = 0; i < p->out_length; ++i) {
            /* 64 bits: the product of two lengths may pass int32. */
            const int32_t start = (int32_t)(i * length / p->out_length);
            const int32_t end = (int32_t)(((i + 1) * length + p->out_length - 1) / p->out_length);
            const ares_rescale *const rescale = &p->rescales[end - start - p->shortest];
            for (int32_t j = 0; j < p->inner; ++j) {
                int32_t acc = 0;
                for (int32_t k = start; k < end; ++k) {
                    const int32_t code = ares_load_code(in, k * p->inner + j, p->input_signed);
                    acc += code - p->input_zero_point;
                }
                *out++ = ares_code_byte(ares_rescale_apply(rescale, acc, 0));
            }
        }
        in += p->in_length * p->inner;
    }
    return ARES_OK;
}
