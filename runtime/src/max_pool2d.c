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
        const ares_taps down = ares_taps_inside(&p->down, y);
        for (int32_t x = 0; x < p->across.out; ++x) {
            const ares_taps across = ares_taps_inside(&p->across, x);
            memset(out, lowest, (size_t)p->channels);
            for (int32_t i = down.first; i < down.end; ++i) {
                const int32_t row = down.origin + i * p->down.dilation;
                for (int32_t j = across.first; j < across.end; ++j) {
                    const int32_t column = across.origin + j * p->across.dilation;
                    keep_larger(out, in + (row * p->across.in + column) * p->channels, p->channels,
                                p->input_signed);
                }
            }
            out += p->channels;
        }
    }
    return ARES_OK;
}
