#include "../inc/circular_pad2d.h"

#include <string.h>

ares_status ares_circular_pad2d(const void *params, const void *const *inputs, void *const *outputs,
                                void *scratch)
{
    const ares_circular_pad2d_params *const p = (const ares_circular_pad2d_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    const int32_t row = p->in_w * p->channels;
    const int32_t left = p->pad_left * p->channels;
    const int32_t right = p->pad_right * p->channels;
    (void)scratch;

    for (int32_t y = -p->pad_top; y < p->in_h + p->pad_bottom; ++y) {
        const uint8_t *const source = in + ((y + p->in_h) % p->in_h) * row;
        memcpy(out, source + row - left, (size_t)left);
        memcpy(out + left, source, (size_t)row);
        memcpy(out + left + row, source, (size_t)right);
        out += left + row + right;
    }
    return ARES_OK;
}
