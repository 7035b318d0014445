/*
 * Softmax of the products of queries and keys, which no quantiser made codes of: accumulators (N2, N13).
 *
 *   acc[g,i,j] = sum over d of (q[g,i,d] - query_zero_point) * (k[g,j,d] - key_zero_point)
 *   step       = (largest kept acc of the row) - acc[g,i,j]
 *   m, x       = product over d < digits of the entries of digit d of step, of bits bits, in row d of the tables, each
 *                rounded to 32 bits; zero where step has more digits, or x would pass 63
 *   out[g,i,j] = the probability of the key with the exponential m / 2^(31 + x), as in softmax_row.h
 *
 * mantissas[d][b] / 2^(31 + exponents[d][b]) is exp(-b * 2^(bits * d) * what a step is worth).
 *
 * Memory: q [groups][queries][depth], k [groups][keys][depth], or [1][keys][depth] when shared; output
 * [groups][queries][keys]. With mask_rows, row i of all groups * queries keeps the keys that are not zero in row
 * i % mask_rows of mask [mask_rows][keys]; the others count nowhere and give the code of zero, zero_point.
 *
 * Ranges: groups, queries and depth >= 1; 1 <= keys <= 2048; depth * 255 * 255 < 2^31, proven by the planner;
 * mask_rows >= 0, every row keeps a key; 1 <= digits <= 3, 8 <= bits <= 11; tables [digits][2^bits] and the rest as in
 * softmax_row.h; lo <= zero_point <= hi, bounds of s8 or u8. No aliasing of inputs and output; q may be k. Scratch, aligned
 * to 8: int64 [keys], int32 [ARES_TILE_ROWS][keys], the keys in panels (codes_product.h), and what ares_token_rows needs.
 * Bytes of q are s8 when query_signed, else u8; k on its own. mask may be NULL without mask_rows.
 */
#ifndef ARES_MATMUL_SOFTMAX_H
#define ARES_MATMUL_SOFTMAX_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_matmul_softmax_params {
    int32_t groups;
    int32_t queries;
    int32_t keys;
    int32_t depth;
    int32_t shared;
    int32_t query_zero_point;
    int32_t query_signed;
    int32_t key_zero_point;
    int32_t key_signed;
    int32_t mask_rows;
    const uint8_t *mask;
    int32_t digits;
    int32_t bits;
    const uint32_t *mantissas;
    const uint8_t *exponents;
    uint32_t numerator;
    int32_t exponent;
    int32_t zero_point;
    int32_t lo;
    int32_t hi;
} ares_matmul_softmax_params;

ares_status ares_matmul_softmax(const void *params, const void *const *inputs, void *const *outputs,
                                void *scratch);

#endif
