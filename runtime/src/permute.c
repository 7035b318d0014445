#include "../inc/permute.h"

#include <string.h>

/* One run along the innermost axis; returns the end of what was written. */
static uint8_t *copy_run(uint8_t *out, const uint8_t *in, int32_t count, int32_t stride,
                         int32_t element_size)
{
    if (element_size == 1) {
        for (int32_t i = 0; i < count; ++i) {
            out[i] = in[i * stride];
        }
        return out + count;
    }
    for (int32_t i = 0; i < count; ++i) {
        memcpy(out + 4 * i, in + 4 * i * stride, 4);
    }
    return out + 4 * count;
}

ares_status ares_permute(const void *params, const void *const *inputs, void *const *outputs,
                         void *scratch)
{
    const ares_permute_params *const p = (const ares_permute_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    const int32_t inner = p->rank - 1;
    int32_t index[ARES_PERMUTE_MAX_RANK] = {0};
    int32_t offset = 0; /* of the run's first element in the input */
    int32_t axis;
    (void)scratch;

    do {
        out = copy_run(out, in + offset * p->element_size, p->dims[inner], p->strides[inner],
                       p->element_size);
        /* Step like an odometer: the last outer axis that is not at its end goes on, those after it restart. */
        for (axis = inner - 1; axis >= 0; --axis) {
            index[axis] += 1;
            offset += p->strides[axis];
            if (index[axis] < p->dims[axis]) {
                break;
            }
            offset -= p->strides[axis] * p->dims[axis];
            index[axis] = 0;
        }
    } while (axis >= 0);
    return ARES_OK;
}
