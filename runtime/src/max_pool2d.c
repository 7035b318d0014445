#include "../inc/max_pool2d.h"

#include <string.h>

/* best[c] = max(best[c], codes[c]) for n channels. */
static void keep_larger(uint8_t *best, const uint8_t *codes, int32_t n, int32_t is_signed)
{
    for (int32_t c = 0; c < n; ++c) {
        if (ares_load_code(codes, c, is_signed) > ares_load_code(best, c, is_signed)) {
            best[c] = codes[c];
        }
    }
}

ares_status ares_max_pool2d(const void *params, const void *const *inputs, void *const *outputs,
                            void *scratch)
{
    const ares_max_pool2d_params *const p = (const ares_max_pool2d_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    const uint8_t lowest = ares_code_byte(p->input_signed ? INT8_MIN : 0);
    (void)scratch;

    for (int32_t y = 0; y < p->down.out; ++y) {
        const ares_extent down = ares_extent_inside(&p->down, ares_extent_of(&p->down, y));
        for (int32_t x = 0; x < p->across.out; ++x) {
            const ares_extent across =
                ares_extent_inside(&p->across, ares_extent_of(&p->across, x));
            memset(out, lowest, (size_t)p->channels);
            for (int32_t row = down.first; row < down.end; row += p->down.dilation) {
                for (int32_t column = across.first; column < across.end;
                     column += p->across.dilation) {
                    keep_larger(out, in + (row * p->across.in + column) * p->channels, p->channels,
                                p->input_signed);
                }
            }
            out += p->channels;
        }
    }
    return ARES_OK;
}
