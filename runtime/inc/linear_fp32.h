/*
 * Fully connected layer whose result stays real: the logits of a network that ends without a quantiser.
 *
 *   acc[t,o] = bias_codes[o] + sum over i of (in[t,i] - input_zero_point) * weight[o,i]       (N2)
 *   out[t,o] = (float)acc[t,o] * scale[o] + bias[o]                                            (N9)
 *
 * Each of the three binary32 operations (conversion, product, sum) is rounded on its own, in this order.
 * The kernel's bias_codes (an int32 bias in the accumulator's scale) have input_zero_point * weight in them.
 *
 * Memory: input [tokens][in_features], output [tokens][out_features] binary32, weight [out_features][in_features] in panels
 * of one segment (microkernels.h), with zeros up to a multiple of 4; scale has one element per output. bias_codes and bias
 * (a real one) may each be NULL. Ranges: sizes >= 1; sums of raw codes, and with bias_codes, < 2^31, proven by the
 * planner. No aliasing. Scratch: that of token_rows.h. Input bytes are s8 when input_signed, else u8.
 */
#ifndef ARES_LINEAR_FP32_H
#define ARES_LINEAR_FP32_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_linear_fp32_params {
    int32_t tokens;
    int32_t in_features;
    int32_t out_features;
    int32_t input_signed;
    const int8_t *weight;
    const int32_t *bias_codes;
    const float *scale;
    const float *bias;
} ares_linear_fp32_params;

ares_status ares_linear_fp32(const void *params, const void *const *inputs, void *const *outputs,
                             void *scratch);

#endif
