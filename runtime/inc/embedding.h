/*
 * Rows of a table, by their number: Embedding.
 *
 *   out[t,d] = table[in[t],d]                                          (N17)
 *
 * Memory: input int32 [tokens], output bytes [tokens][dim], table bytes [vocabulary][dim], s8 or u8 codes alike.
 * Ranges: all sizes >= 1; vocabulary * dim < 2^31. An id outside 0 .. vocabulary - 1 gives ARES_ERROR_INPUT, before
 * anything is read from the table or written. No aliasing of input and output. Scratch: none.
 */
#ifndef ARES_EMBEDDING_H
#define ARES_EMBEDDING_H

#include "layer_descriptors.h"

typedef struct ares_embedding_params {
    int32_t tokens;
    int32_t vocabulary;
    int32_t dim;
    const int8_t *table;
} ares_embedding_params;

ares_status ares_embedding(const void *params, const void *const *inputs, void *const *outputs,
                           void *scratch);

#endif
