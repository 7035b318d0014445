#include "../inc/zero_pad2d.h"

#include <string.h>

/* Writes n bytes of zero and returns the place behind them. */
static uint8_t *put_zeros(uint8_t *out, const ares_zero_pad2d_params *p, int32_t n)
{
    if (n > 0) { /* behind the last row there may be nothing to point at */
        memset(out, ares_code_byte(p->zero_point), (size_t)n);
    }
    return out + n;
}

ares_status ares_zero_pad2d(const void *params, const void *const *inputs, void *const *outputs,
                            void *scratch)
{
    const ares_zero_pad2d_params *const p = (const ares_zero_pad2d_params *)params;
    const uint8_t *in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    const int32_t in_row = p->in_w * p->channels;
    const int32_t out_row = (p->pad_left + p->in_w + p->pad_right) * p->channels;
    (void)scratch;

    out = put_zeros(out, p, p->pad_top * out_row);
    for (int32_t y = 0; y < p->in_h; ++y) {
        out = put_zeros(out, p, p->pad_left * p->channels);
        memcpy(out, in, (size_t)in_row);
        out = put_zeros(out + in_row, p, p->pad_right * p->channels);
        in += in_row;
    }
    put_zeros(out, p, p->pad_bottom * out_row);
    return ARES_OK;
}
