/*
 * Convolution of 8-bit codes whose results are summed in windows: an average behind a layer, in one exact sum.
 *
 *   acc[y,x,o] = sum over i,j of conv[y*rows.stride - rows.pad + i*rows.dilation,
 *                                     x*columns.stride - columns.pad + j*columns.dilation, o]
 *   out[y,x,o] = rescale(acc, o)                                       (N2, N3 to N5)
 *
 * conv[.,.,o] are the sums of convolution.h, of which rows and columns are windows: rows.in = conv.down.out,
 * columns.in = conv.across.out. Positions outside add nothing; a divisor is part of rescale.
 *
 * Memory: input [down.in][across.in][in_c], output [rows.out][columns.out][out_c]: channels last. Ranges: windows as in
 * window.h; |acc| < 2^31, proven by the planner from the weights and windows. No aliasing of input and output.
 * Scratch: as of convolution.h. The output's type is whatever the codes of rescale are (one byte either way).
 */
#ifndef ARES_CONV_SUM_H
#define ARES_CONV_SUM_H

#include "layer_descriptors.h"
#include "convolution.h"
#include "numerics.h"

typedef struct ares_conv_sum_params {
    ares_convolution conv;
    ares_window rows;
    ares_window columns;
    const int32_t *weight_sums; /* of each output channel; NULL where input_zero_point is 0 */
    ares_rescale rescale;
} ares_conv_sum_params;

ares_status ares_conv_sum(const void *params, const void *const *inputs, void *const *outputs,
                          void *scratch);

#endif
