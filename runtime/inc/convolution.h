/*
 * The sums of a convolution of 8-bit codes, exact in int32 (N2): what conv2d, conv_sum and conv_fp32 share.
 *
 *   acc[y,x,o] = sum over i,j,c of (in[y*down.stride - down.pad + i*down.dilation,
 *                                      x*across.stride - across.pad + j*across.dilation, c] - input_zero_point)
 *                * weight[o,i,j,c]
 *
 * Memory: input [down.in][across.in][in_c], weight [out_c][down.kernel][across.kernel][in_c / groups]: channels last.
 * A signal along one axis is an image of one row. Positions outside the input are the real value zero and add
 * nothing. Output channel o reads input channels of group o / (out_c / groups).
 *
 * Ranges: windows as in window.h; in_c, out_c and groups >= 1; in_c and out_c divisible by groups; |acc| < 2^31,
 * proven by the planner from the weights. Input bytes are s8 when input_signed, else u8.
 */
#ifndef ARES_CONVOLUTION_H
#define ARES_CONVOLUTION_H

#include "symbols.h"

#include "dot.h"
#include "window.h"

#include <stdint.h>

typedef struct ares_convolution {
    ares_window down;
    ares_window across;
    int32_t in_c;
    int32_t out_c;
    int32_t groups;
    int32_t input_zero_point;
    int32_t input_signed;
    const int8_t *weight;
} ares_convolution;

/* What all sums of a convolution have in common: channels that an output reads, outputs that read the same ones, weights
 * of one kernel row. */
typedef struct ares_convolution_sizes {
    int32_t depth;
    int32_t group_size;
    int32_t row_weights;
} ares_convolution_sizes;

static inline ares_convolution_sizes ares_convolution_sizes_of(const ares_convolution *p)
{
    ares_convolution_sizes sizes;
    sizes.depth = p->in_c / p->groups;
    sizes.group_size = p->out_c / p->groups;
    sizes.row_weights = p->across.kernel * sizes.depth;
    return sizes;
}

/* The part of one accumulator that comes from kernel row i and the input row that starts at row. */
static inline int32_t ares_convolution_row(const ares_convolution *p, int32_t depth,
                                           const uint8_t *row, ares_taps taps,
                                           const int8_t *weight_row, int32_t first_channel)
{
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

/* acc of output channel o, where the taps down and across fall inside the input. */
static inline int32_t ares_convolution_sum(const ares_convolution *p, ares_convolution_sizes sizes,
                                           const uint8_t *in, ares_taps down, ares_taps across,
                                           int32_t o)
{
    const int32_t first_channel = o / sizes.group_size * sizes.depth;
    const int8_t *const weight = p->weight + o * p->down.kernel * sizes.row_weights;
    int32_t acc = 0;
    for (int32_t i = down.first; i < down.end; ++i) {
        const int32_t position = down.origin + i * p->down.dilation;
        const uint8_t *const row = in + position * p->across.in * p->in_c;
        acc += ares_convolution_row(p, sizes.depth, row, across, weight + i * sizes.row_weights,
                                    first_channel);
    }
    return acc;
}

/*
 * The sum of acc[y,x,o] over a window of results: y and x are the positions of the taps rows and columns, windows over
 * [0, down.out) and [0, across.out). Its magnitude, too, is proven to stay below 2^31.
 */
static inline int32_t ares_convolution_window_sum(const ares_convolution *p, const uint8_t *in,
                                                  const ares_window *rows, int32_t row,
                                                  const ares_window *columns, int32_t column,
                                                  int32_t o)
{
    const ares_taps y = ares_taps_inside(rows, row);
    const ares_taps x = ares_taps_inside(columns, column);
    const ares_convolution_sizes sizes = ares_convolution_sizes_of(p);
    int32_t acc = 0;
    for (int32_t i = y.first; i < y.end; ++i) {
        const ares_taps down = ares_taps_inside(&p->down, y.origin + i * rows->dilation);
        for (int32_t j = x.first; j < x.end; ++j) {
            const ares_taps across = ares_taps_inside(&p->across, x.origin + j * columns->dilation);
            acc += ares_convolution_sum(p, sizes, in, down, across, o);
        }
    }
    return acc;
}

#endif
