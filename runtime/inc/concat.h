/*
 * Parts laid side by side along one axis, each brought to the output's scale by a table of bytes.
 *
 *   out[o, start(k) + i] = table_k[in_k[o, i]]        start(k) = length_0 + ... + length_(k-1)
 *
 * Memory: part k [outer][length_k], output [outer][sum of all lengths]. A length counts everything from the
 * axis inwards: joining the channels of [H][W][C] has outer = H * W and length_k = C_k.
 *
 * A table maps the byte of an input code to the byte of the output code, correctly rounded, whatever the
 * types (N8); NULL where both sides have one type, scale and zero point, and bytes are copied: a length counts bytes,
 * of which elements of other types (binary32, int32) have several.
 *
 * Ranges: outer and lengths >= 1, 1 <= num_parts <= ARES_MAX_OPERANDS. Inputs may be one tensor several
 * times; no aliasing of an input and the output. Scratch: none.
 */
#ifndef ARES_CONCAT_H
#define ARES_CONCAT_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_concat_part {
    int32_t length;
    const uint8_t *table; /* 256 bytes or NULL */
} ares_concat_part;

typedef struct ares_concat_params {
    int32_t outer;
    int32_t num_parts;
    const ares_concat_part *parts;
} ares_concat_params;

ares_status ares_concat(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch);

#endif
