/*
 * Rows and columns of an image, each taken as often and in the order that two tables say: padding that repeats or
 * mirrors the image, and nearest upsampling.
 *
 *   out[y,x,c] = in[rows[y], columns[x], c]
 *
 * Memory: input [in_h][in_w][channels], output [out_h][out_w][channels]: channels last; in_h is not needed. A table
 * that is NULL takes each row (or column) once, in order. Elements are 1 byte (codes) or 4 bytes (binary32) and are
 * moved as bytes, never interpreted.
 *
 * Ranges: sizes >= 1; 0 <= rows[y] < in_h, 0 <= columns[x] < in_w; without a table out_h = in_h, out_w = in_w;
 * fewer than 2^31 bytes in all.
 * No aliasing of input and output. Scratch: none.
 */
#ifndef ARES_TAKE2D_H
#define ARES_TAKE2D_H

#include "layer_descriptors.h"

typedef struct ares_take2d_params {
    int32_t in_w;
    int32_t out_h;
    int32_t out_w;
    int32_t channels;
    const int32_t *rows;
    const int32_t *columns;
    int32_t element_size; /* 1 or 4 */
} ares_take2d_params;

ares_status ares_take2d(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch);

#endif
