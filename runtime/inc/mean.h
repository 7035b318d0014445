/*
 * Mean of 8-bit codes over a middle axis: QuantMean and global average pooling.
 *
 *   acc[o,i] = sum over k of (in[o,k,i] - input_zero_point)
 *   out[o,i] = rescale(acc[o,i], i)                                    (N2, N3 to N5)
 *
 * The divisor count is part of rescale: one exact sum, one rounding, half to even for negative sums too.
 * Memory: input [outer][count][inner], output [outer][inner]. Several axes that are neighbours in memory
 * are one axis here: global pooling of [H][W][C] has count = H * W and inner = C.
 *
 * Ranges: all sizes >= 1; |acc| <= 255 * count < 2^31, proven by the planner; rescale has one channel, or
 * inner of them. No aliasing of input and output. Scratch: none. Input bytes are s8 when input_signed, else u8.
 */
#ifndef ARES_MEAN_H
#define ARES_MEAN_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_mean_params {
    int32_t outer;
    int32_t count;
    int32_t inner;
    int32_t input_zero_point;
    int32_t input_signed;
    ares_rescale rescale;
} ares_mean_params;

ares_status ares_mean(const void *params, const void *const *inputs, void *const *outputs,
                      void *scratch);

#endif
