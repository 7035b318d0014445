/*
 * Any function of one 8-bit code to one 8-bit code, as a table.
 *
 *   out[i] = table[in[i]]                                              (N8)
 *
 * Input, output and table are bytes; a byte holds the code of an s8 or a u8 tensor alike, so the index is the
 * byte's value 0..255 and no sign is needed. The table holds the quantised function, computed and correctly
 * rounded at extraction (N7): requantisation, ReLU, GELU. Nothing is rounded here.
 *
 * Memory: elements bytes each, in any order, the same for both. Range: elements >= 1.
 * The output may be the input (in place). Scratch: none.
 */
#ifndef ARES_LOOKUP_H
#define ARES_LOOKUP_H

#include "layer_descriptors.h"

typedef struct ares_lookup_params {
    int32_t elements;
    const uint8_t *table; /* [256] */
} ares_lookup_params;

ares_status ares_lookup(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch);

#endif
