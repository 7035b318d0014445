/*
 * Two-dimensional average of 8-bit codes with a constant divisor, any kernel, stride, padding and dilation.
 *
 *   acc[y,x,c] = sum over i,j of (in[y*down.stride - down.pad + i*down.dilation,
 *                                    x*across.stride - across.pad + j*across.dilation, c] - input_zero_point)
 *   out[y,x,c] = rescale(acc)                                          (N2, N3 to N5)
 *
 * The divisor down.kernel * across.kernel is part of rescale: one exact sum, one rounding, half to even for negative
 * sums too. Memory: input [down.in][across.in][channels], output [down.out][across.out][channels]: channels last.
 * Positions outside the input are the real value zero: they add nothing and count in the divisor.
 *
 * Ranges: windows as in window.h; channels >= 1; |acc| <= 255 * down.kernel * across.kernel < 2^31, proven by the
 * planner; rescale has one channel. No aliasing of input and output. Scratch: none. Input bytes are s8 when
 * input_signed, else u8.
 */
#ifndef ARES_AVG_POOL2D_H
#define ARES_AVG_POOL2D_H

#include "layer_descriptors.h"
#include "numerics.h"
#include "window.h"

typedef struct ares_avg_pool2d_params {
    ares_window down;
    ares_window across;
    int32_t channels;
    int32_t input_zero_point;
    int32_t input_signed;
    ares_rescale rescale;
} ares_avg_pool2d_params;

ares_status ares_avg_pool2d(const void *params, const void *const *inputs, void *const *outputs,
                            void *scratch);

#endif
