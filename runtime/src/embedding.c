#include "../inc/embedding.h"

#include <string.h>

ares_status ares_embedding(const void *params, const void *const *inputs, void *const *outputs,
                           void *scratch)
{
    const ares_embedding_params *const p = (const ares_embedding_params *)params;
    const int32_t *const ids = (const int32_t *)inputs[0];
    int8_t *out = (int8_t *)outputs[0];
    (void)scratch;

    for (int32_t t = 0; t < p->tokens; ++t) {
        if (ids[t] < 0 || ids[t] >= p->vocabulary) {
            return ARES_ERROR_INPUT;
        }
    }
    for (int32_t t = 0; t < p->tokens; ++t) {
        memcpy(out, p->table + ids[t] * p->dim, (size_t)p->dim);
        out += p->dim;
    }
    return ARES_OK;
}
