/*
 * Products of two matrices of codes by the tiles of microkernels.h: one is packed at run time, a panel at a time.
 *
 *   acc[r][n] = sum over k of (a[r][k] - a_zero) * (b[k][n] - b_zero)
 *             = sum of a * b'  +  a_zero * (depth * b'_zero - sum over k of b'[k][n])  -  b'_zero * sum over k of a[r][k]
 *
 * b' are the codes of b as s8: those of a u8 tensor less 128, and b'_zero its zero point less 128. The first sum is the
 * tile's; the second term belongs to a column, the third to a row. Every |acc| < 2^31, and so is depth * 255 * 128: proven by
 * the planner.
 */
#ifndef ARES_CODES_PRODUCT_H
#define ARES_CODES_PRODUCT_H

#include "symbols.h"

#include "microkernels.h"

#include <stdint.h>

/* b: code [k][n] lies at codes[k * depth_step + n * column_step]. Bytes are s8 when is_signed, else u8. */
typedef struct ares_codes_matrix {
    const uint8_t *codes;
    int32_t depth;
    int32_t depth_step;
    int32_t column_step;
    int32_t is_signed;
    int32_t zero_point;
} ares_codes_matrix;

/*
 * out[r][n] = rescale(acc[r][n]) for count rows of a, which begin row_step codes apart, and columns of b; row r of out begins
 * at out + r * out_step. rescale has one channel.
 */
typedef struct ares_codes_product {
    const uint8_t *rows;
    int32_t count;
    int32_t row_step;
    int32_t row_signed;
    int32_t row_zero_point;
    ares_codes_matrix b;
    int32_t columns;
    const ares_rescale *rescale;
    uint8_t *out;
    int32_t out_step;
} ares_codes_product;

/*
 * Scratch, aligned to 4: int32 [count] where b'_zero is not 0, a panel of ARES_PANEL_WIDTH columns, and what
 * ares_token_rows needs.
 */
void ares_multiply_codes(const ares_codes_product *product, void *scratch);

/* The columns first .. first + width - 1 of b as the panel of a tile: width times depth, rounded up to a multiple of 4, bytes.
 * terms[n] is what belongs to a column. */
void ares_pack_codes(const ares_codes_matrix *b, int32_t first, int32_t width, int32_t a_zero,
                     int8_t *panel, int64_t *terms);

/* b'_zero; where it is 0, and only there, no sums of rows are needed. */
static inline int32_t ares_packed_zero_point(const ares_codes_matrix *b)
{
    return b->zero_point - (b->is_signed ? 0 : 128);
}

/* The sum of count codes. */
int32_t ares_sum_codes(const uint8_t *codes, int32_t count, int32_t is_signed);

/* Adds to the sums of a tile what belongs to columns and rows; row_sums may be NULL where b'_zero is 0. */
void ares_correct_codes(int32_t *acc, int32_t rows, int32_t width, const int64_t *terms,
                        const int32_t *row_sums, int32_t packed_zero_point);

#endif
