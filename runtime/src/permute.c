#include "../inc/permute.h"

#include "../inc/micro_elements.h"

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

/* Bytes of an innermost axis of planes of the input, count of them, beside those of the axis around it, which is as in the input. */
static uint8_t *interleave(uint8_t *out, const uint8_t *in, int32_t planes, int32_t stride,
                           int32_t count)
{
    const int32_t done = ares_interleave_some(in, planes, stride, count, out);
    for (int32_t k = 0; k < planes; ++k) {
        const uint8_t *const plane = in + k * stride;
        for (int32_t i = done; i < count; ++i) {
            out[i * planes + k] = plane[i];
        }
    }
    return out + planes * count;
}

ares_status ares_permute(const void *params, const void *const *inputs, void *const *outputs,
                         void *scratch)
{
    const ares_permute_params *const p = (const ares_permute_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    const int planes = p->rank > 1 && p->element_size == 1 && p->strides[p->rank - 2] == 1;
    const int32_t inner = p->rank - (planes ? 2 : 1); /* axes from here on are a run */
    int32_t index[ARES_PERMUTE_MAX_RANK] = {0};
    int32_t offset = 0; /* of the run's first element in the input */
    int32_t axis;
    (void)scratch;

    do {
        if (planes) {
            out = interleave(out, in + offset, p->dims[inner + 1], p->strides[inner + 1],
                             p->dims[inner]);
        } else {
            out = copy_run(out, in + offset * p->element_size, p->dims[inner], p->strides[inner],
                           p->element_size);
        }
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
