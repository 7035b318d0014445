/*
 * Convolution of 8-bit codes along time, each channel with a filter of its own.
 *
 *   acc[t,c] = sum over j of (in[t*along.stride - along.pad + j*along.dilation, c] - input_zero_point) * weight[c,j]
 *   out[t,c] = rescale(acc[t,c], c)                                    (N2, N3 to N5)
 *
 * Memory: input [along.in][channels], output [along.out][channels], weight [channels][along.kernel]. Steps outside the
 * input are the real value zero and add nothing; as many steps out as in with a pad of kernel - 1 is causal.
 *
 * Ranges: the window as in window.h; channels >= 1; |acc| < 2^31, proven by the planner from the weights. No aliasing
 * of input and output. Scratch: none. Input bytes are s8 when input_signed, else u8.
 */
#ifndef ARES_CONV1D_DEPTHWISE_H
#define ARES_CONV1D_DEPTHWISE_H

#include "layer_descriptors.h"
#include "numerics.h"
#include "window.h"

typedef struct ares_conv1d_depthwise_params {
    ares_window along;
    int32_t channels;
    int32_t input_zero_point;
    int32_t input_signed;
    const int8_t *weight;
    ares_rescale rescale;
} ares_conv1d_depthwise_params;

ares_status ares_conv1d_depthwise(const void *params, const void *const *inputs,
                                  void *const *outputs, void *scratch);

#endif
