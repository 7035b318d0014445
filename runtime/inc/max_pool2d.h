/*
 * Two-dimensional maximum of 8-bit codes, any kernel, stride, padding and dilation.
 *
 *   out[y,x,c] = max over i,j of in[y*down.stride - down.pad + i*down.dilation,
 *                                   x*across.stride - across.pad + j*across.dilation, c]
 *
 * Memory: input [down.in][across.in][channels], output [down.out][across.out][channels]: channels last. Positions
 * outside the input never win. Codes keep their meaning: the output has the input's type, scale and zero point.
 *
 * Ranges: windows as in window.h; channels >= 1; every window has a position inside the input, proven by the
 * planner. No aliasing of input and output. Scratch: none. Bytes are s8 when input_signed, else u8.
 */
#ifndef ARES_MAX_POOL2D_H
#define ARES_MAX_POOL2D_H

#include "layer_descriptors.h"
#include "numerics.h"
#include "window.h"

typedef struct ares_max_pool2d_params {
    ares_window down;
    ares_window across;
    int32_t channels;
    int32_t input_signed;
} ares_max_pool2d_params;

ares_status ares_max_pool2d(const void *params, const void *const *inputs, void *const *outputs,
                            void *scratch);

#endif
