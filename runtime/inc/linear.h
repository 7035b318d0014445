/*
 * Fully connected layer on 8-bit codes, for one vector or for each of many tokens.
 *
 *   acc[t,o] = sum over i of (in[t,i] - input_zero_point) * weight[o,i]
 *   out[t,o] = rescale(acc[t,o], o)                                    (N2, N3 to N5)
 *
 * input_zero_point * weight is in the offsets of rescale (microkernels.h).
 *
 * Memory: input [tokens][in_features], output [tokens][out_features], weight [out_features][in_features] in panels of one
 * segment (microkernels.h), with zeros up to a multiple of 4. Ranges: all sizes >= 1; sums of raw codes < 2^31, proven by
 * the planner. No aliasing of input and output. Scratch: that of token_rows.h. Input bytes are s8 when input_signed, else
 * u8.
 */
#ifndef ARES_LINEAR_H
#define ARES_LINEAR_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_linear_params {
    int32_t tokens;
    int32_t in_features;
    int32_t out_features;
    int32_t input_signed;
    const int8_t *weight;
    ares_rescale rescale;
} ares_linear_params;

ares_status ares_linear(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch);

#endif
