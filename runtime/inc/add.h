/*
 * Weighted sum of two tensors of 8-bit codes: the residual join.
 *
 *   total[r,i] = coefficient0 * in0[r,i] + coefficient1 * in1[i] + offset
 *   out[r,i]   = finish(total[r,i])                                    (N10, then N4 or N5)
 *
 * The coefficients are the ratios of each input's scale to the output's, times 2^shift; offset (of rescale,
 * whose multiplier is not used) holds all three zero points: nothing is rounded before the one rounding.
 *
 * Memory: in0 and out [repeats][count], in1 [count]: the second input is repeated along the outer axis. For
 * inputs of equal shape repeats is 1. Elements are in any order, the same for all three.
 *
 * Ranges: sizes >= 1; |coefficients| < 2^31; |total| < 2^62, proven from the coefficients and the bounds
 * of the codes. out may be in0, or in1 when repeats is 1, and in0 may be in1: element i is read before it is
 * written and never after. Scratch: none. Bytes of in0 are s8 when input0_signed, else u8; in1 on its own.
 */
#ifndef ARES_ADD_H
#define ARES_ADD_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_add_params {
    int32_t repeats;
    int32_t count;
    int32_t coefficient0;
    int32_t coefficient1;
    int32_t input0_signed;
    int32_t input1_signed;
    ares_rescale rescale;
} ares_add_params;

ares_status ares_add(const void *params, const void *const *inputs, void *const *outputs,
                     void *scratch);

#endif
