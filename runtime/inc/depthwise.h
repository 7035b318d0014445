/*
 * Depthwise convolution of 8-bit codes along two axes or one: every channel with a kernel of its own.
 *
 *   acc[y,x,c] = sum over i,j of (in[y*down.stride - down.pad + i*down.dilation,
 *                                    x*across.stride - across.pad + j*across.dilation, c] - input_zero_point)
 *                * weight[i,j,c]
 *   out[y,x,c] = rescale(acc, c)                                       (N2, N3 to N5)
 *
 * input_zero_point * weight is in the offsets of rescale (microkernels.h).
 *
 * Memory: input [down.in][across.in][channels], output [down.out][across.out][channels], weight
 * [down.kernel][across.kernel][channels]: channels last. A signal along one axis is an image of one row. Positions outside
 * the input are the real value zero and add nothing; there are some where is_padded.
 *
 * Ranges: windows as in window.h; channels >= 1; sums of raw codes < 2^31, proven by the planner. No aliasing of input
 * and output. Scratch: ARES_DEPTHWISE_POINTER bytes for each tap of the kernel, and, where is_padded, a byte for each
 * channel. Input bytes are s8 when input_signed, else u8.
 */
#ifndef ARES_DEPTHWISE_H
#define ARES_DEPTHWISE_H

#include "layer_descriptors.h"
#include "microkernels.h"
#include "window.h"

/* Bytes that hold a pointer on every processor. */
#define ARES_DEPTHWISE_POINTER 8

typedef struct ares_depthwise_params {
    ares_window down;
    ares_window across;
    int32_t channels;
    int32_t input_zero_point;
    int32_t input_signed;
    int32_t is_padded;
    const int8_t *weight;
    ares_rescale rescale;
} ares_depthwise_params;

ares_status ares_depthwise(const void *params, const void *const *inputs, void *const *outputs,
                           void *scratch);

#endif
