/*
 * Two-dimensional transposed convolution of 8-bit codes, grouped or not, any stride, padding and dilation.
 *
 *   out[y,x,o] = rescale(acc[y,x,o], o)                                (N2, N3 to N5)
 *
 * acc are the sums of transposed.h, which says what they are made of.
 *
 * Memory: input [down.in][across.in][in_c], output [down.out][across.out][out_c]: channels last. The output's type is
 * whatever the codes of rescale are (one byte either way). No aliasing of input and output. Scratch: none.
 */
#ifndef ARES_CONV_TRANSPOSE2D_H
#define ARES_CONV_TRANSPOSE2D_H

#include "layer_descriptors.h"
#include "numerics.h"
#include "transposed.h"

typedef struct ares_conv_transpose2d_params {
    ares_transposed conv;
    ares_rescale rescale;
} ares_conv_transpose2d_params;

ares_status ares_conv_transpose2d(const void *params, const void *const *inputs,
                                  void *const *outputs, void *scratch);

#endif
