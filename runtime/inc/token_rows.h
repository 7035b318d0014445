/*
 * Tokens as the rows of a tile (microkernels.h): vectors of codes that lie one behind the other.
 */
#ifndef ARES_TOKEN_ROWS_H
#define ARES_TOKEN_ROWS_H

#include "symbols.h"

#include "microkernels.h"

#include <stdint.h>
#include <string.h>

/*
 * rows vectors of features codes, which begin at in. Where features is no multiple of 4 they are copied to scratch, with
 * zeros behind each: ARES_TILE_ROWS times features, rounded up to a multiple of 4; else scratch may be NULL.
 */
static inline void ares_token_rows(ares_tile_rows *tokens, const uint8_t *in, int32_t features,
                                   int32_t rows, uint8_t *scratch)
{
    const int32_t rest = features % 4;
    tokens->rows = rows;
    tokens->segments = 1;
    tokens->length = rest == 0 ? features : features + 4 - rest;
    for (int32_t r = 0; r < rows; ++r) {
        tokens->x[r] = in + r * features;
        if (rest != 0) {
            uint8_t *const copy = scratch + r * tokens->length;
            memcpy(copy, in + r * features, (size_t)features);
            memset(copy + features, 0, (size_t)(4 - rest));
            tokens->x[r] = copy;
        }
    }
}

#endif
