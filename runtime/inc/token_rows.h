/*
 * Tokens as the rows of a tile (microkernels.h): vectors of codes whose beginnings lie a step apart.
 */
#ifndef ARES_TOKEN_ROWS_H
#define ARES_TOKEN_ROWS_H

#include "symbols.h"

#include "microkernels.h"

#include <stdint.h>
#include <string.h>

/* The length of a segment of so many codes: the next multiple of 4. */
static inline int32_t ares_padded_length(int32_t codes)
{
    return (codes + 3) / 4 * 4;
}

/*
 * rows vectors of features codes, the first at in, each step codes behind the one before. Where features is no multiple
 * of 4 they are copied to scratch, with zeros behind each: the padded length a row; else scratch may be NULL.
 * is_signed is left to the caller.
 */
static inline void ares_token_rows(ares_tile_rows *tokens, const uint8_t *in, int32_t step,
                                   int32_t features, int32_t rows, uint8_t *scratch)
{
    tokens->rows = rows;
    tokens->segments = 1;
    tokens->length = ares_padded_length(features);
    for (int32_t r = 0; r < rows; ++r) {
        tokens->x[r] = in + r * step;
        if (tokens->length != features) {
            uint8_t *const copy = scratch + r * tokens->length;
            memcpy(copy, in + r * step, (size_t)features);
            memset(copy + features, 0, (size_t)(tokens->length - features));
            tokens->x[r] = copy;
        }
    }
}

#endif
