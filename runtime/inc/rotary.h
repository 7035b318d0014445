/*
 * Rotary position embedding: pairs of features, rotated by an angle of their token's position (N14).
 *
 *   a = in[n,h,j] - input_zero_point,  b = in[n,h,k] - input_zero_point,  l = position of token n
 *   out[n,h,j]  = finish(a * cos[l,i] - b * sin[l,i])
 *   out[n,h,k]  = finish(a * sin[l,i] + b * cos[l,i])
 *   finish(acc) = clamp(round(acc * multiplier / 2^(shift + 32) + zero_point), lo, hi)
 *
 * Pair i is features j = 2i and k = 2i + 1, or with halves j = i and k = pairs + i.
 *
 * cos and sin are in units of 2^-30. The product of up to 70 bits is kept whole, as a high part and what lies below;
 * one rounding, half to even, with the zero point inside.
 *
 * Memory: input and output [outer][length][inner][heads][2 * pairs], cos and sin [length][pairs].
 *
 * Ranges: all sizes >= 1; |cos|, |sin| <= 2^30, so that |acc| < 2^39; multiplier in [0, 2^31), shift in [1, 50]; lo <=
 * zero_point <= hi, bounds of s8 or u8. out may be in: a pair is read before it is written. Scratch: none. Input bytes are
 * s8 when input_signed, else u8.
 */
#ifndef ARES_ROTARY_H
#define ARES_ROTARY_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_rotary_params {
    int32_t outer;
    int32_t length;
    int32_t inner;
    int32_t heads;
    int32_t pairs;
    int32_t halves;
    int32_t input_zero_point;
    int32_t input_signed;
    const int32_t *cos;
    const int32_t *sin;
    int32_t multiplier;
    int32_t shift;
    int32_t zero_point;
    int32_t lo;
    int32_t hi;
} ares_rotary_params;

ares_status ares_rotary(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch);

#endif
