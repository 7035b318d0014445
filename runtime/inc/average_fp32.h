/*
 * Average of 8-bit codes whose result stays real: a network that ends with global pooling or a mean.
 *
 *   acc[y,x,c] = sum over the positions of a window inside the input of (in[row,column,c] - input_zero_point)   (N2)
 *   out[y,x,c] = (float)acc[y,x,c] * scale[c] + bias[c]                                                       (N9)
 *
 * The divisor is part of scale. Each of the three binary32 operations (conversion, product, sum) is rounded on its own, in
 * this order.
 *
 * Memory: input [down.in][across.in][channels], output [down.out][across.out][channels] binary32: channels last. Positions
 * outside the input add nothing. scale [channels]; bias [channels] may be NULL. Ranges: windows as in window.h, with dilation
 * 1; channels >= 1; |acc| <= 255 * positions of a window < 2^31, proven by the planner. No aliasing. Scratch: none. Input
 * bytes are s8 when input_signed, else u8.
 */
#ifndef ARES_AVERAGE_FP32_H
#define ARES_AVERAGE_FP32_H

#include "layer_descriptors.h"
#include "window.h"

typedef struct ares_average_fp32_params {
    ares_window down;
    ares_window across;
    int32_t channels;
    int32_t input_zero_point;
    int32_t input_signed;
    const float *scale;
    const float *bias;
} ares_average_fp32_params;

ares_status ares_average_fp32(const void *params, const void *const *inputs, void *const *outputs,
                              void *scratch);

#endif
