#include "../inc/slice.h"

#include <string.h>

ares_status ares_slice(const void *params, const void *const *inputs, void *const *outputs,
                       void *scratch)
{
    const ares_slice_params *const p = (const ares_slice_params *)params;
    const uint8_t *in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    const int32_t position = p->inner * p->element_size; /* bytes that lie together */
    /* Neighbours in order are one run. */
    const int32_t joined = p->step == 1 ? p->count : 1;
    const int32_t run = joined * position;
    (void)scratch;

    for (int32_t o = 0; o < p->outer; ++o) {
        for (int32_t k = 0; k < p->count; k += joined) {
            memcpy(out, in + (p->start + k * p->step) * position, (size_t)run);
            out += run;
        }
        in += p->length * position;
    }
    return ARES_OK;
}
