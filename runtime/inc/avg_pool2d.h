/*
 * Two-dimensional average of 8-bit codes with a constant divisor, any kernel, stride and padding.
 *
 *   acc[y,x,c] = sum over i,j of (in[y*stride_h - pad_top + i, x*stride_w - pad_left + j, c]
 *                                 - input_zero_point)
 *   out[y,x,c] = rescale(acc)                                          (N2, N3 to N5)
 *
 * The divisor kernel_h * kernel_w is part of rescale: one exact sum, one rounding, half to even for negative
 * sums too. Memory: input [in_h][in_w][channels], output [out_h][out_w][channels]: channels last. Positions
 * outside the input are the real value zero: they add nothing and count in the divisor.
 *
 * Ranges: all sizes >= 1; pads >= 0 (the bottom and right pads follow from out_h and out_w); |acc| <= 255 *
 * kernel_h * kernel_w < 2^31, proven by the planner; rescale has one channel. No aliasing of input and
 * output. Scratch: none. Input bytes are s8 when input_signed, else u8.
 */
#ifndef ARES_AVG_POOL2D_H
#define ARES_AVG_POOL2D_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_avg_pool2d_params {
    int32_t in_h;
    int32_t in_w;
    int32_t channels;
    int32_t out_h;
    int32_t out_w;
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t pad_top;
    int32_t pad_left;
    int32_t input_zero_point;
    int32_t input_signed;
    ares_rescale rescale;
} ares_avg_pool2d_params;

ares_status ares_avg_pool2d(const void *params, const void *const *inputs, void *const *outputs,
                            void *scratch);

#endif
