#include "../inc/lookup.h"

#include "../inc/micro_rows.h"

ares_status ares_lookup(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch)
{
    const ares_lookup_params *const p = (const ares_lookup_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *const out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t i = ares_lookup_some(p->table, in, p->elements, out); i < p->elements; ++i) {
        out[i] = p->table[in[i]];
    }
    return ARES_OK;
}
