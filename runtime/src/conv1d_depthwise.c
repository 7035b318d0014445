#include "../inc/conv1d_depthwise.h"

ares_status ares_conv1d_depthwise(const void *params, const void *const *inputs,
                                  void *const *outputs, void *scratch)
{
    const ares_conv1d_depthwise_params *const p = (const ares_conv1d_depthwise_params *)params;
    uint8_t *out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t t = 0; t < p->along.out; ++t) {
        const ares_taps taps = ares_taps_inside(&p->along, t);
        for (int32_t c = 0; c < p->channels; ++c) {
            int32_t acc = 0;
            for (int32_t j = taps.first; j < taps.end; ++j) {
                const int32_t step = taps.origin + j * p->along.dilation;
                const int32_t code =
                    ares_load_code(inputs[0], step * p->channels + c, p->input_signed);
                acc += (code - p->input_zero_point) * p->weight[c * p->along.kernel + j];
            }
            *out++ = ares_code_byte(ares_rescale_apply(&p->rescale, acc, c));
        }
    }
    return ARES_OK;
}
