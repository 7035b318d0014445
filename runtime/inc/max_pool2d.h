/*
 * Two-dimensional maximum of 8-bit codes over windows of one size or of several, any stride, padding and dilation.
 *
 *   out[y,x,c] = max over the rows of window y of down and the columns of window x of across of in[row,column,c]
 *
 * Memory: input [down.in][across.in][channels], output [down.out][across.out][channels]: channels last. Positions
 * outside the input never win. Codes keep their meaning: the output has the input's type, scale and zero point.
 *
 * Ranges: spans as in window.h; channels >= 1; every window has a position inside the input, proven by the
 * planner. No aliasing of input and output. Scratch: none. Bytes are s8 when input_signed, else u8.
 */
#ifndef ARES_MAX_POOL2D_H
#define ARES_MAX_POOL2D_H

#include "layer_descriptors.h"
#include "numerics.h"
#include "window.h"

typedef struct ares_max_pool2d_params {
    ares_span down;
    ares_span across;
    int32_t channels;
    int32_t input_signed;
} ares_max_pool2d_params;

ares_status ares_max_pool2d(const void *params, const void *const *inputs, void *const *outputs,
                            void *scratch);

#endif
