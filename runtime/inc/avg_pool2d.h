/*
 * Two-dimensional average of 8-bit codes over windows of one size or of several, any kernel, stride and padding.
 *
 *   acc[y,x,c] = sum over the positions inside the input of (in[row,column,c] - input_zero_point)
 *   out[y,x,c] = rescales[k] (acc[y,x,c], c)                                   (N2, N3 to N5)
 *   k = (counted rows - rows.shortest) * rows.stride + (counted columns - columns.shortest) * columns.stride
 *
 * down and across say where the windows lie; of a window those positions are counted that lie in [from, to) along
 * either axis, which may hold padding. The divisor is part of the rescale, so that each number of counted rows and
 * columns has its own; where all windows have one divisor both strides are 0. One exact sum, one rounding, half to
 * even for negative sums too. Memory: input [down.in][across.in][channels], output [down.out][across.out][channels]:
 * channels last. Positions outside the input are the real value zero: they add nothing.
 *
 * Ranges: spans as in window.h, with dilation 1; channels >= 1; every k is an index of rescales, each for one channel or all;
 * |acc| <= 255 * positions of the largest window < 2^31, proven by the planner. No aliasing of input and output.
 * Scratch: none. Input bytes are s8 when input_signed, else u8.
 */
#ifndef ARES_AVG_POOL2D_H
#define ARES_AVG_POOL2D_H

#include "layer_descriptors.h"
#include "numerics.h"
#include "window.h"

typedef struct ares_counted {
    int32_t from;
    int32_t to;
    int32_t shortest;
    int32_t stride;
} ares_counted;

typedef struct ares_avg_pool2d_params {
    ares_span down;
    ares_span across;
    ares_counted rows;
    ares_counted columns;
    int32_t channels;
    int32_t input_zero_point;
    int32_t input_signed;
    const ares_rescale *rescales;
} ares_avg_pool2d_params;

ares_status ares_avg_pool2d(const void *params, const void *const *inputs, void *const *outputs,
                            void *scratch);

#endif
