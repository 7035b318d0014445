#include "../inc/conv_sum.h"

ares_status ares_conv_sum(const void *params, const void *const *inputs, void *const *outputs,
                          void *scratch)
{
    const ares_conv_sum_params *const p = (const ares_conv_sum_params *)params;
    const ares_convolution *const conv = &p->conv;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    const int32_t group_size = conv->out_c / conv->groups;
    ares_result_window window = {&p->rows, &p->columns, 0, 0};

    for (window.row = 0; window.row < p->rows.out; ++window.row) {
        for (window.column = 0; window.column < p->columns.out; ++window.column) {
            for (int32_t o = 0; o < conv->out_c;) {
                const int32_t group = o / group_size;
                const int32_t first = o % group_size;
                const int32_t left = group_size - first;
                const int32_t width = left < ARES_PANEL_WIDTH ? left : ARES_PANEL_WIDTH;
                int32_t sums[ARES_PANEL_WIDTH];
                const int32_t number = ares_convolution_window(conv, in, &window, group, first,
                                                               width, (uint8_t *)scratch, sums);
                const int32_t zeros = number * conv->input_zero_point;
                if (p->weight_sums != NULL) {
                    for (int32_t n = 0; n < width; ++n) {
                        sums[n] -= zeros * p->weight_sums[o + n];
                    }
                }
                ares_requantize(&p->rescale, o, sums, 1, width, out, width);
                o += width;
                out += width;
            }
        }
    }
    return ARES_OK;
}
