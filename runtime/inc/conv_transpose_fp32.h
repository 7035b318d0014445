/*
 * Transposed convolution of 8-bit codes whose result stays real: a network that ends without a quantiser.
 *
 *   out[y,x,o] = (float)(bias_codes[o] + acc[y,x,o]) * scale[o] + bias[o]          (N2, N9)
 *
 * acc are the sums of transposed.h, which says what they are made of. Each of the three binary32 operations
 * (conversion, product, sum) is rounded on its own, in this order.
 *
 * Memory: input [down.in][across.in][in_c], output [down.out][across.out][out_c] binary32: channels last; scale has one
 * element per output channel. bias_codes (an integer bias in the accumulator's scale) and bias (a real one) may each
 * be NULL. Ranges: |bias_codes[o] + acc| < 2^31, proven by the planner. No aliasing. Scratch: none.
 */
#ifndef ARES_CONV_TRANSPOSE_FP32_H
#define ARES_CONV_TRANSPOSE_FP32_H

#include "layer_descriptors.h"
#include "transposed.h"

typedef struct ares_conv_transpose_fp32_params {
    ares_transposed conv;
    const int32_t *bias_codes;
    const float *scale;
    const float *bias;
} ares_conv_transpose_fp32_params;

ares_status ares_conv_transpose_fp32(const void *params, const void *const *inputs,
                                     void *const *outputs, void *scratch);

#endif
