/*
 * Product of two tensors of 8-bit codes: a gate (QuantMul).
 *
 *   acc[r,i] = (in0[r,i] - input0_zero_point) * (in1[i] - input1_zero_point)
 *   out[r,i] = rescale(acc[r,i])                                       (N12, N3 to N5)
 *
 * The product of both input scales over the output's is part of rescale: one exact product, one rounding.
 *
 * Memory: in0 and out [repeats][count], in1 [count]: the second input is repeated along the outer axis. For
 * inputs of equal shape repeats is 1. Elements are in any order, the same for all three.
 *
 * Ranges: sizes >= 1; |acc| <= 255 * 255; rescale has one channel. out may be in0, or in1 when repeats is 1, and
 * in0 may be in1: element i is read before it is written and never after. Scratch: none. Bytes of in0 are s8
 * when input0_signed, else u8; in1 on its own.
 */
#ifndef ARES_MUL_H
#define ARES_MUL_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_mul_params {
    int32_t repeats;
    int32_t count;
    int32_t input0_zero_point;
    int32_t input1_zero_point;
    int32_t input0_signed;
    int32_t input1_signed;
    ares_rescale rescale;
} ares_mul_params;

ares_status ares_mul(const void *params, const void *const *inputs, void *const *outputs,
                     void *scratch);

#endif
