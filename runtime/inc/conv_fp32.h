/*
 * Convolution of 8-bit codes whose result stays real: the head of a network that ends without a quantiser.
 *
 *   acc[y,x,o] = bias_codes[o] + sum over i,j of conv[y*rows.stride - rows.pad + i*rows.dilation,
 *                                                     x*columns.stride - columns.pad + j*columns.dilation, o]   (N2)
 *   out[y,x,o] = (float)acc[y,x,o] * scale[o] + bias[o]                                                         (N9)
 *
 * conv[.,.,o] are the sums of convolution.h, of which rows and columns are windows: rows.in = conv.down.out,
 * columns.in = conv.across.out. Windows of one position are no average. Each of the three binary32 operations
 * (conversion, product, sum) is rounded on its own, in this order.
 *
 * Memory: input [down.in][across.in][in_c], output [rows.out][columns.out][out_c] binary32: channels last; scale has one
 * element per output channel. bias_codes (an integer bias in the accumulator's scale) and bias (a real one) may each
 * be NULL. Ranges: windows as in window.h; |acc| < 2^31, proven by the planner. No aliasing. Scratch: as of
 * convolution.h.
 */
#ifndef ARES_CONV_FP32_H
#define ARES_CONV_FP32_H

#include "layer_descriptors.h"
#include "convolution.h"

typedef struct ares_conv_fp32_params {
    ares_convolution conv;
    ares_window rows;
    ares_window columns;
    const int32_t *weight_sums; /* of each output channel; NULL where input_zero_point is 0 */
    const int32_t *bias_codes;
    const float *scale;
    const float *bias;
} ares_conv_fp32_params;

ares_status ares_conv_fp32(const void *params, const void *const *inputs, void *const *outputs,
                           void *scratch);

#endif
