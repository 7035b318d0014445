#include "../inc/slice.h"

#include <string.h>

ares_status ares_slice(const void *params, const void *const *inputs, void *const *outputs,
                       void *scratch)
{
    const ares_slice_params *const p = (const ares_slice_params *)params;
    const uint8_t *in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    const int32_t run = p->inner * p->element_size; /* bytes that lie together at one position */
    (void)scratch;

    for (int32_t o = 0; o < p->outer; ++o) {
        for (int32_t k = 0; k < p->count; ++k) {
            memcpy(out, in + (p->start + k * p->step) * run, (size_t)run);
            out += run;
        }
        in += p->length * run;
    }
    return ARES_OK;
}
