/*
 * Two-dimensional convolution of 8-bit codes, grouped or not, any stride, padding and dilation.
 *
 *   acc[y,x,o] = sum over i,j,c of (in[y*down.stride - down.pad + i*down.dilation,
 *                                      x*across.stride - across.pad + j*across.dilation, c] - input_zero_point)
 *                * weight[o,i,j,c]
 *   out[y,x,o] = rescale(acc, o)                                       (N2, N3 to N5)
 *
 * Memory: input [down.in][across.in][in_c], output [down.out][across.out][out_c], weight
 * [out_c][down.kernel][across.kernel][in_c / groups]: channels last. Positions outside the input are the real
 * value zero and add nothing. Output channel o reads input channels of group o / (out_c / groups).
 *
 * Ranges: windows as in window.h; in_c, out_c and groups >= 1; in_c and out_c divisible by groups; |acc| < 2^31,
 * proven by the planner from the weights.
 * No aliasing of input and output. Scratch: none. Input bytes are s8 when input_signed, else u8; the output's
 * type is whatever the codes of rescale are (one byte either way).
 */
#ifndef ARES_CONV2D_H
#define ARES_CONV2D_H

#include "layer_descriptors.h"
#include "numerics.h"
#include "window.h"

typedef struct ares_conv2d_params {
    ares_window down;
    ares_window across;
    int32_t in_c;
    int32_t out_c;
    int32_t groups;
    int32_t input_zero_point;
    int32_t input_signed;
    const int8_t *weight;
    ares_rescale rescale;
} ares_conv2d_params;

ares_status ares_conv2d(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch);

#endif
