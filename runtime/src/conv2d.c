#include "../inc/conv2d.h"

ares_status ares_conv2d(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch)
{
    const ares_conv2d_params *const p = (const ares_conv2d_params *)params;
    const ares_convolution *const conv = &p->conv;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    const int32_t group_size = conv->out_c / conv->groups;
    const int32_t results = conv->down.out * conv->across.out;

    for (int32_t g = 0; g < conv->groups; ++g) {
        uint8_t *out = (uint8_t *)outputs[0] + g * group_size;
        ares_position next = {0, 0};
        for (int32_t i = 0; i < results; i += ARES_TILE_ROWS) {
            const int32_t rows = results - i < ARES_TILE_ROWS ? results - i : ARES_TILE_ROWS;
            ares_position positions[ARES_TILE_ROWS];
            ares_tile_rows patches;
            for (int32_t r = 0; r < rows; ++r) {
                positions[r] = next;
                next.x += 1;
                if (next.x == conv->across.out) {
                    next.x = 0;
                    next.y += 1;
                }
            }
            ares_convolution_patches(conv, in, g, positions, rows, (uint8_t *)scratch, &patches);
            for (int32_t n = 0; n < group_size; n += ARES_PANEL_WIDTH) {
                const int32_t left = group_size - n;
                const int32_t width = left < ARES_PANEL_WIDTH ? left : ARES_PANEL_WIDTH;
                int32_t acc[ARES_TILE_ROWS * ARES_PANEL_WIDTH];
                ares_tile(&patches, ares_convolution_panel(conv, g, n), width, acc);
                ares_requantize(&p->rescale, g * group_size + n, acc, rows, width, out + n,
                                conv->out_c);
            }
            out += rows * conv->out_c;
        }
    }
    return ARES_OK;
}
