/*
 * The sums of a transposed convolution of 8-bit codes, exact in int32 (N2): what conv_transpose2d and
 * conv_transpose_fp32 share.
 *
 *   acc[y,x,o] = sum over k, l, c and the i, j for which
 *                    i * down.stride + k * down.dilation = y + down.pad
 *                    j * across.stride + l * across.dilation = x + across.pad
 *                of (in[i,j,c] - input_zero_point) * weight[o,k,l,c]
 *
 * Memory: input [down.in][across.in][in_c], weight [out_c][down.kernel][across.kernel][in_c / groups]: channels last. A
 * signal along one axis is an image of one row. Output channel o reads input channels of group o / (out_c / groups). An
 * output that no product reaches has acc = 0.
 *
 * Ranges: in, out, kernel, stride and dilation >= 1, pad >= 0; tap_step = stride / g and in_step = dilation / g with
 * their greatest common divisor g; (in - 1) * stride + kernel * dilation and out + pad within int32; in_c, out_c and
 * groups >= 1; in_c and out_c divisible by groups; |acc| < 2^31, proven by the planner from the weights. Input bytes
 * are s8 when input_signed, else u8.
 */
#ifndef ARES_TRANSPOSED_H
#define ARES_TRANSPOSED_H

#include "symbols.h"

#include "dot.h"

#include <stdint.h>

/* How an axis is spread out: of the taps that meet an output, each is tap_step behind the one before it, at an input
 * in_step in front of that one's. */
typedef struct ares_spread {
    int32_t in;
    int32_t out;
    int32_t kernel;
    int32_t stride;
    int32_t pad;
    int32_t dilation;
    int32_t tap_step;
    int32_t in_step;
} ares_spread;

typedef struct ares_transposed {
    ares_spread down;
    ares_spread across;
    int32_t in_c;
    int32_t out_c;
    int32_t groups;
    int32_t input_zero_point;
    int32_t input_signed;
    const int8_t *weight;
} ares_transposed;

/* The taps that meet an output inside the input: the first, the input that it reads, and how many there are. */
typedef struct ares_meeting {
    int32_t tap;
    int32_t position;
    int32_t count;
} ares_meeting;

static inline ares_meeting ares_meet(const ares_spread *axis, int32_t output)
{
    const int32_t place = output + axis->pad;
    ares_meeting found = {0, 0, 0};
    int32_t tap = 0;
    int32_t position;
    int32_t taps_left;
    int32_t inputs_left;

    /* Of tap_step neighbours at most one meets an output at a whole input: with stride 2, every second tap does. */
    while (tap < axis->tap_step && (place - tap * axis->dilation) % axis->stride != 0) {
        ++tap;
    }
    if (tap == axis->tap_step) {
        return found;
    }
    position = (place - tap * axis->dilation) / axis->stride;
    if (position >= axis->in) {
        const int32_t skipped = (position - axis->in) / axis->in_step + 1;
        tap += skipped * axis->tap_step;
        position -= skipped * axis->in_step;
    }
    if (tap >= axis->kernel || position < 0) {
        return found;
    }
    taps_left = (axis->kernel - 1 - tap) / axis->tap_step;
    inputs_left = position / axis->in_step;
    found.tap = tap;
    found.position = position;
    found.count = 1 + (taps_left < inputs_left ? taps_left : inputs_left);
    return found;
}

/* The part of one accumulator that comes from one input row and one kernel row, both from the channels that count. */
static inline int32_t ares_transposed_row(const ares_transposed *p, const uint8_t *row,
                                          const int8_t *weight_row, ares_meeting across)
{
    const int32_t depth = p->in_c / p->groups;
    int32_t sum = 0;
    for (int32_t l = 0; l < across.count; ++l) {
        const int32_t position = across.position - l * p->across.in_step;
        const int32_t tap = across.tap + l * p->across.tap_step;
        sum += ares_dot(row + position * p->in_c, p->input_signed, weight_row + tap * depth, depth,
                        p->input_zero_point);
    }
    return sum;
}

/* acc of output channel o, where these taps meet it. */
static inline int32_t ares_transposed_sum(const ares_transposed *p, const uint8_t *in,
                                          ares_meeting down, ares_meeting across, int32_t o)
{
    const int32_t depth = p->in_c / p->groups;
    const int32_t row_weights = p->across.kernel * depth;
    const int8_t *const weight = p->weight + o * p->down.kernel * row_weights;
    const uint8_t *const first = in + o / (p->out_c / p->groups) * depth;
    int32_t acc = 0;
    for (int32_t k = 0; k < down.count; ++k) {
        const int32_t row = down.position - k * p->down.in_step;
        const int32_t tap = down.tap + k * p->down.tap_step;
        acc += ares_transposed_row(p, first + row * p->across.in * p->in_c,
                                   weight + tap * row_weights, across);
    }
    return acc;
}

#endif
