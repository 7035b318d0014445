/*
 * Two-dimensional convolution of 8-bit codes, grouped or not, any stride, padding and dilation.
 *
 *   acc[y,x,o] = sum over i,j,c of (in[y*stride_h - pad_top + i*dilation_h,
 *                                      x*stride_w - pad_left + j*dilation_w, c] - input_zero_point)
 *                * weight[o,i,j,c]
 *   out[y,x,o] = rescale(acc, o)                                       (N2, N3 to N5)
 *
 * Memory: input [in_h][in_w][in_c], output [out_h][out_w][out_c], weight
 * [out_c][kernel_h][kernel_w][in_c / groups]: channels last. Positions outside the input are the real value
 * zero and add nothing. Output channel o reads input channels of group o / (out_c / groups).
 *
 * Ranges: all sizes >= 1; in_c and out_c divisible by groups; pads >= 0 (the bottom and right
 * ones follow from out_h and out_w); |acc| < 2^31, proven by the planner from the weights.
 * No aliasing of input and output. Scratch: none. Input bytes are s8 when input_signed, else u8; the output's
 * type is whatever the codes of rescale are (one byte either way).
 */
#ifndef ARES_CONV2D_H
#define ARES_CONV2D_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_conv2d_params {
    int32_t in_h;
    int32_t in_w;
    int32_t in_c;
    int32_t out_h;
    int32_t out_w;
    int32_t out_c;
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t pad_top;
    int32_t pad_left;
    int32_t dilation_h;
    int32_t dilation_w;
    int32_t groups;
    int32_t input_zero_point;
    int32_t input_signed;
    const int8_t *weight;
    ares_rescale rescale;
} ares_conv2d_params;

ares_status ares_conv2d(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch);

#endif
