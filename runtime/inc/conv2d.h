/*
 * Convolution of 8-bit codes along two axes or one, grouped or not, any stride, padding and dilation.
 *
 *   acc[y,x,o] = sum over i,j,c of (in[y*down.stride - down.pad + i*down.dilation,
 *                                      x*across.stride - across.pad + j*across.dilation, c] - input_zero_point)
 *                * weight[o,i,j,c]
 *   out[y,x,o] = rescale(acc, o)                                       (N2, N3 to N5)
 *
 * input_zero_point * weight is in the offsets of rescale (microkernels.h).
 *
 * Memory: input [down.in][across.in][in_c], output [down.out][across.out][out_c]: channels last. Everything else about conv,
 * its scratch too: convolution.h.
 *
 * No aliasing of input and output. The output's type is whatever the codes of rescale are (one byte
 * either way).
 */
#ifndef ARES_CONV2D_H
#define ARES_CONV2D_H

#include "layer_descriptors.h"
#include "convolution.h"
#include "numerics.h"

typedef struct ares_conv2d_params {
    ares_convolution conv;
    ares_rescale rescale;
} ares_conv2d_params;

ares_status ares_conv2d(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch);

#endif
