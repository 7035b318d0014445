/*
 * Softmax along rows of 8-bit scores (N13).
 *
 *   k_j   = (largest kept code of the row) - in[r,j]                      0..255
 *   S     = sum over kept j of floor(mantissas[k_j] * 2^19 / 2^exponents[k_j])     in units of 2^-50
 *   T     = floor(S / 2^drop), 2^31 <= T < 2^32
 *   R     = floor((numerator * 2^31 + floor(T / 2)) / T)
 *   out   = clamp(round(mantissas[k_j] * R / 2^(drop + 12 + exponents[k_j] - exponent) + zero_point), lo, hi)
 *
 * mantissas[k] / 2^(31 + exponents[k]) is exp(-k * scale of the scores), numerator * 2^exponent is one over the scale
 * of the probabilities. One division a row. Rounded half to even, once, with the zero point inside.
 *
 * Memory: input and output [rows][keys]. When causal, rows come in squares of [keys][keys] and row i of each
 * keeps the keys 0..i. With mask_rows, row i keeps the keys that are not zero in row i % mask_rows of mask
 * [mask_rows][keys]. The others count nowhere and give the code of zero, zero_point.
 *
 * Ranges: rows >= 1; 1 <= keys <= 2048, so that S < 2^62; mask_rows >= 0, 0 when causal; every row keeps a key; tables
 * of 256: mantissas in [2^31, 2^32) with exponents 0..63, both zero for what is too small to count; mantissas[0] = 2^31,
 * exponents[0] = 0; numerator in [2^31, 2^32), exponent in [-64, -1], so that shifts are 32 or more; lo <= zero_point <=
 * hi, bounds of s8 or u8. out may be in: the row's sum is complete before the first code is written. Scratch: none. Input
 * bytes are s8 when input_signed, else u8. mask may be NULL without mask_rows.
 */
#ifndef ARES_SOFTMAX_H
#define ARES_SOFTMAX_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_softmax_params {
    int32_t rows;
    int32_t keys;
    int32_t causal;
    int32_t mask_rows;
    const uint8_t *mask;
    int32_t input_signed;
    const uint32_t *mantissas;
    const uint8_t *exponents;
    uint32_t numerator;
    int32_t exponent;
    int32_t zero_point;
    int32_t lo;
    int32_t hi;
} ares_softmax_params;

ares_status ares_softmax(const void *params, const void *const *inputs, void *const *outputs,
                         void *scratch);

#endif
