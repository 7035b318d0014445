#include "../inc/conv1d_depthwise.h"

ares_status ares_conv1d_depthwise(const void *params, const void *const *inputs,
                                  void *const *outputs, void *scratch)
{
    const ares_conv1d_depthwise_params *const p = (const ares_conv1d_depthwise_params *)params;
    uint8_t *out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t t = 0; t < p->steps; ++t) {
        /* Taps that fall inside the input: [first, end). */
        const int32_t origin = t - p->left;
        const int32_t first = origin < 0 ? -origin : 0;
        const int32_t end = p->steps - origin < p->kernel ? p->steps - origin : p->kernel;
        for (int32_t c = 0; c < p->channels; ++c) {
            int32_t acc = 0;
            for (int32_t j = first; j < end; ++j) {
                const int32_t code =
                    ares_load_code(inputs[0], (origin + j) * p->channels + c, p->input_signed);
                acc += (code - p->input_zero_point) * p->weight[c * p->kernel + j];
            }
            *out++ = ares_code_byte(ares_rescale_apply(&p->rescale, acc, c));
        }
    }
    return ARES_OK;
}
