#include "../inc/conv2d.h"

#include "../inc/dot.h"

/* Taps of one axis that fall inside the input: [first, end). */
typedef struct taps {
    int32_t first;
    int32_t end;
} taps;

/* origin: input index of tap 0, which may lie outside [0, size). */
static taps taps_inside(int32_t origin, int32_t size, int32_t kernel, int32_t dilation)
{
    taps inside;
    inside.first = origin < 0 ? (-origin + dilation - 1) / dilation : 0;
    inside.end = origin >= size ? 0 : (size - 1 - origin) / dilation + 1;
    if (inside.end > kernel) {
        inside.end = kernel;
    }
    return inside;
}

/* The part of one accumulator that comes from kernel row i and the input row that starts at row. */
static int32_t row_sum(const ares_conv2d_params *p, const uint8_t *row, int32_t left, taps across,
                       const int8_t *weight_row, int32_t first_channel)
{
    const int32_t depth = p->in_c / p->groups;
    int32_t sum = 0;
    if (across.end <= across.first) {
        return 0;
    }
    if (p->groups == 1 && p->dilation_w == 1) {
        /* Neighbouring taps are neighbours in memory: one long inner product. */
        const int32_t start = left + across.first;
        return ares_dot(row + start * depth, p->input_signed, weight_row + across.first * depth,
                        (across.end - across.first) * depth, p->input_zero_point);
    }
    for (int32_t j = across.first; j < across.end; ++j) {
        const int32_t x = left + j * p->dilation_w;
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
    const int32_t row_weights = p->kernel_w * depth;
    (void)scratch;

    for (int32_t y = 0; y < p->out_h; ++y) {
        const int32_t top = y * p->stride_h - p->pad_top;
        const taps down = taps_inside(top, p->in_h, p->kernel_h, p->dilation_h);
        for (int32_t x = 0; x < p->out_w; ++x) {
            const int32_t left = x * p->stride_w - p->pad_left;
            const taps across = taps_inside(left, p->in_w, p->kernel_w, p->dilation_w);
            for (int32_t o = 0; o < p->out_c; ++o) {
                const int8_t *weight = p->weight + o * p->kernel_h * row_weights;
                int32_t acc = 0;
                for (int32_t i = down.first; i < down.end; ++i) {
                    const uint8_t *row = in + (top + i * p->dilation_h) * p->in_w * p->in_c;
                    acc += row_sum(p, row, left, across, weight + i * row_weights,
                                   o / group_size * depth);
                }
                *out++ = ares_code_byte(ares_rescale_apply(&p->rescale, acc, o));
            }
        }
    }
    return ARES_OK;
}
