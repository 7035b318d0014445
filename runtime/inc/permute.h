/*
 * A strided copy: elements change place and nothing else.
 *
 *   out[((i0 * dims[1] + i1) * dims[2] + i2) ...] = in[i0 * strides[0] + i1 * strides[1] + ...]
 *
 * for all 0 <= ik < dims[k]. The output is written without gaps, last axis fastest; strides are distances in
 * the input, counted in elements. A permutation of axes, a reshape of a tensor stored in another order, and
 * a change of memory order between two kernels are all this one call; the planner joins axes that lie together.
 *
 * Elements are 1 byte (codes) or 4 bytes (binary32, int32) and are moved as bytes, never interpreted.
 * Ranges: 1 <= rank <= 30 (2^31 bytes have no more axes of two elements), dims >= 1, strides >= 1, fewer than 2^31
 * bytes in all. No aliasing. Scratch: none.
 */
#ifndef ARES_PERMUTE_H
#define ARES_PERMUTE_H

#include "layer_descriptors.h"

#define ARES_PERMUTE_MAX_RANK 30

typedef struct ares_permute_params {
    const int32_t *dims;    /* [rank], in the order of the output */
    const int32_t *strides; /* [rank] */
    int32_t rank;
    int32_t element_size; /* 1 or 4 */
} ares_permute_params;

ares_status ares_permute(const void *params, const void *const *inputs, void *const *outputs,
                         void *scratch);

#endif
