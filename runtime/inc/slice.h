/*
 * Positions of one axis, in steps: a part of a tensor, every second element, or a whole axis in reverse.
 *
 *   out[o,k,i] = in[o, start + k * step, i]
 *
 * Memory: input [outer][length][inner], output [outer][count][inner]. Elements are 1 byte (codes) or 4 bytes
 * (binary32, int32) and are moved as bytes, never interpreted.
 *
 * Ranges: sizes and count >= 1; step is not 0 and may be negative; 0 <= start + k * step < length for all k;
 * fewer than 2^31 bytes in all. No aliasing. Scratch: none.
 */
#ifndef ARES_SLICE_H
#define ARES_SLICE_H

#include "layer_descriptors.h"

typedef struct ares_slice_params {
    int32_t outer;
    int32_t length;
    int32_t inner;
    int32_t start;
    int32_t step;
    int32_t count;
    int32_t element_size; /* 1 or 4 */
} ares_slice_params;

ares_status ares_slice(const void *params, const void *const *inputs, void *const *outputs,
                       void *scratch);

#endif
