/*
 * An image of 8-bit codes that goes on behind its edge with what lies at the other one.
 *
 *   out[y,x,c] = in[(y - pad_top) mod in_h, (x - pad_left) mod in_w, c]
 *
 * Memory: input [in_h][in_w][channels], output [pad_top + in_h + pad_bottom][pad_left + in_w + pad_right]
 * [channels]: channels last. Bytes are moved whatever their sign.
 *
 * Ranges: sizes >= 1; pads of rows from 0 to in_h, of columns from 0 to in_w. No aliasing of input and output.
 * Scratch: none.
 */
#ifndef ARES_CIRCULAR_PAD2D_H
#define ARES_CIRCULAR_PAD2D_H

#include "layer_descriptors.h"

typedef struct ares_circular_pad2d_params {
    int32_t in_h;
    int32_t in_w;
    int32_t channels;
    int32_t pad_top;
    int32_t pad_left;
    int32_t pad_bottom;
    int32_t pad_right;
} ares_circular_pad2d_params;

ares_status ares_circular_pad2d(const void *params, const void *const *inputs, void *const *outputs,
                                void *scratch);

#endif
