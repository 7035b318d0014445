#include "../inc/conv2d.h"

#include "../inc/dot.h"

/* The part of one accumulator that comes from kernel row i and the input row that starts at row. */
static int32_t row_sum(const ares_conv2d_params *p, const uint8_t *row, ares_taps taps,
                       const int8_t *weight_row, int32_t first_channel)
{
    const int32_t depth = p->in_c / p->groups;
    int32_t sum = 0;
    if (taps.end <= taps.first) {
        return 0;
    }
    if (p->groups == 1 && p->across.dilation == 1) {
        /* Neighbouring taps are neighbours in memory: one long inner product. */
        const int32_t start = taps.origin + taps.first;
        return ares_dot(row + start * depth, p->input_signed, weight_row + taps.first * depth,
                        (taps.end - taps.first) * depth, p->input_zero_point);
    }
    for (int32_t j = taps.first; j < taps.end; ++j) {
        const int32_t x = taps.origin + j * p->across.dilation;
        sum += ares_dot(row + x * p->in_c + first_channel, p->input_signed, weight_row + j * depth,
                        depth, p->input_zero_point);
    }
    return sum;
}

ares_status ares_conv2d(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch)
{
    const ares_conv2d_params *const p = (const ares_conv2d_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    const int32_t depth = p->in_c / p->groups;
    const int32_t group_size = p->out_c / p->groups;
    const int32_t row_weights = p->across.kernel * depth;
    (void)scratch;

    for (int32_t y = 0; y < p->down.out; ++y) {
        const ares_taps down = ares_taps_inside(&p->down, y);
        for (int32_t x = 0; x < p->across.out; ++x) {
            const ares_taps across = ares_taps_inside(&p->across, x);
            for (int32_t o = 0; o < p->out_c; ++o) {
                const int8_t *weight = p->weight + o * p->down.kernel * row_weights;
                int32_t acc = 0;
                for (int32_t i = down.first; i < down.end; ++i) {
                    const int32_t position = down.origin + i * p->down.dilation;
                    const uint8_t *row = in + position * p->across.in * p->in_c;
                    acc +=
                        row_sum(p, row, across, weight + i * row_weights, o / group_size * depth);
                }
                *out++ = ares_code_byte(ares_rescale_apply(&p->rescale, acc, o));
            }
        }
    }
    return ARES_OK;
}
