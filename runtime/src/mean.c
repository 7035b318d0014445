#include "../inc/mean.h"

#include "../inc/column_sums.h"
#include "../inc/microkernels.h"

ares_status ares_mean(const void *params, const void *const *inputs, void *const *outputs,
                      void *scratch)
{
    const ares_mean_params *const p = (const ares_mean_params *)params;
    const uint8_t *block = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t o = 0; o < p->outer; ++o) {
        int32_t width;
        for (int32_t i = 0; i < p->inner; i += width) {
            int32_t acc[ARES_DEPTHWISE_WIDTH];
            width = p->inner - i < ARES_DEPTHWISE_WIDTH ? p->inner - i : ARES_DEPTHWISE_WIDTH;
            for (int32_t k = 0; k < width; ++k) {
                acc[k] = -p->count * p->input_zero_point;
            }
            ares_add_columns(block + i, p->inner, p->count, width, p->input_signed, acc);
            ares_requantize(&p->rescale, i, acc, 1, width, out, width);
            out += width;
        }
        block += p->count * p->inner;
    }
    return ARES_OK;
}
