/*
 * Average of 8-bit codes over windows that share a length as evenly as PyTorch does, any output length.
 *
 *   start(i)   = floor(i * in_length / out_length)
 *   end(i)     = ceil((i + 1) * in_length / out_length)
 *   acc[o,i,j] = sum over k from start(i) to end(i) - 1 of (in[o,k,j] - input_zero_point)
 *   out[o,i,j] = rescales[end(i) - start(i) - shortest] (acc[o,i,j])   (N2, N3 to N5)
 *
 * Windows may overlap. The divisor, the window's length, is part of its rescale: one exact sum, one rounding, half
 * to even for negative sums too. Memory: input [outer][in_length][inner], output [outer][out_length][inner].
 *
 * Ranges: all sizes >= 1; rescales has one element for each length of a window, from shortest to the longest,
 * each for one channel; |acc| <= 255 * longest < 2^31, proven by the planner. No aliasing of input and output.
 * Scratch: none. Input bytes are s8 when input_signed, else u8.
 */
#ifndef ARES_ADAPTIVE_AVG_POOL1D_H
#define ARES_ADAPTIVE_AVG_POOL1D_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_adaptive_avg_pool1d_params {
    int32_t outer;
    int32_t in_length;
    int32_t inner;
    int32_t out_length;
    int32_t shortest;
    int32_t input_zero_point;
    int32_t input_signed;
    const ares_rescale *rescales;
} ares_adaptive_avg_pool1d_params;

ares_status ares_adaptive_avg_pool1d(const void *params, const void *const *inputs,
                                     void *const *outputs, void *scratch);

#endif
