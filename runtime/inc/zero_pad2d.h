/*
 * A frame of zeros around an image of 8-bit codes.
 *
 *   out[y,x,c] = in[y - pad_top, x - pad_left, c] inside the input, zero_point in the frame
 *
 * Memory: input [in_h][in_w][channels], output [pad_top + in_h + pad_bottom][pad_left + in_w + pad_right]
 * [channels]: channels last. zero_point is the code of the real value zero; the output has the input's type,
 * scale and zero point, and bytes are moved whatever their sign.
 *
 * Ranges: sizes >= 1, pads >= 0, zero_point a code of the type. No aliasing of input and output. Scratch:
 * none.
 */
#ifndef ARES_ZERO_PAD2D_H
#define ARES_ZERO_PAD2D_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_zero_pad2d_params {
    int32_t in_h;
    int32_t in_w;
    int32_t channels;
    int32_t pad_top;
    int32_t pad_left;
    int32_t pad_bottom;
    int32_t pad_right;
    int32_t zero_point;
} ares_zero_pad2d_params;

ares_status ares_zero_pad2d(const void *params, const void *const *inputs, void *const *outputs,
                            void *scratch);

#endif
