/*
 * Two-dimensional maximum of 8-bit codes, any kernel, stride, padding and dilation.
 *
 *   out[y,x,c] = max over i,j of in[y*stride_h - pad_top + i*dilation_h,
 *                                   x*stride_w - pad_left + j*dilation_w, c]
 *
 * Memory: input [in_h][in_w][channels], output [out_h][out_w][channels]: channels last. Positions outside the
 * input never win. Codes keep their meaning: the output has the input's type, scale and zero point.
 *
 * Ranges: all sizes >= 1; pads >= 0 (the bottom and right pads follow from out_h and out_w); every window
 * has a position inside the input, proven by the planner. No aliasing of input and output. Scratch: none.
 * Bytes are s8 when input_signed, else u8.
 */
#ifndef ARES_MAX_POOL2D_H
#define ARES_MAX_POOL2D_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_max_pool2d_params {
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
    int32_t dilation_h;
    int32_t dilation_w;
    int32_t input_signed;
} ares_max_pool2d_params;

ares_status ares_max_pool2d(const void *params, const void *const *inputs, void *const *outputs,
                            void *scratch);

#endif
