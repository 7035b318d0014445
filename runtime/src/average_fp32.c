#include "../inc/average_fp32.h"

#include "../inc/column_sums.h"
#include "../inc/micro_floats.h"
#include "../inc/microkernels.h"
#include "../inc/real_output.h"

/* Channels first to first + width - 1 of the window with these taps. */
static void average(const ares_average_fp32_params *p, const uint8_t *in, ares_taps down,
                    ares_taps across, int32_t first, int32_t width, float *out)
{
    const float *const bias = p->bias == NULL ? NULL : p->bias + first;
    const int32_t rows = down.end > down.first ? down.end - down.first : 0;
    const int32_t columns = across.end > across.first ? across.end - across.first : 0;
    int32_t acc[ARES_DEPTHWISE_WIDTH];

    for (int32_t c = 0; c < width; ++c) {
        acc[c] = -rows * columns * p->input_zero_point;
    }
    for (int32_t i = 0; i < rows && columns > 0; ++i) {
        const int32_t row = down.origin + down.first + i;
        const int32_t position = row * p->across.in + across.origin + across.first;
        ares_add_columns(in + position * p->channels + first, p->channels, columns, width,
                         p->input_signed, acc);
    }
    for (int32_t c = ares_real_outputs_some(acc, width, p->scale + first, bias, out); c < width;
         ++c) {
        out[c] = ares_real_output(acc[c], p->scale, p->bias, first + c);
    }
}

ares_status ares_average_fp32(const void *params, const void *const *inputs, void *const *outputs,
                              void *scratch)
{
    const ares_average_fp32_params *const p = (const ares_average_fp32_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    float *out = (float *)outputs[0];
    (void)scratch;

    for (int32_t y = 0; y < p->down.out; ++y) {
        const ares_taps down = ares_taps_inside(&p->down, y);
        for (int32_t x = 0; x < p->across.out; ++x) {
            const ares_taps across = ares_taps_inside(&p->across, x);
            for (int32_t c = 0; c < p->channels; c += ARES_DEPTHWISE_WIDTH) {
                const int32_t left = p->channels - c;
                const int32_t width = left < ARES_DEPTHWISE_WIDTH ? left : ARES_DEPTHWISE_WIDTH;
                average(p, in, down, across, c, width, out + c);
            }
            out += p->channels;
        }
    }
    return ARES_OK;
}
