#include "../inc/concat.h"

#include <string.h>

ares_status ares_concat(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch)
{
    const ares_concat_params *const p = (const ares_concat_params *)params;
    uint8_t *out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t o = 0; o < p->outer; ++o) {
        for (int32_t k = 0; k < p->num_parts; ++k) {
            const ares_concat_part *const part = &p->parts[k];
            const uint8_t *const in = (const uint8_t *)inputs[k] + o * part->length;
            if (part->table == NULL) {
                memcpy(out, in, (size_t)part->length);
            } else {
                for (int32_t i = 0; i < part->length; ++i) {
                    out[i] = part->table[in[i]];
                }
            }
            out += part->length;
        }
    }
    return ARES_OK;
}
