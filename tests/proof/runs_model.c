/*
 * What microkernels.h says of the run kernels of x86, in plain C: they read these bytes of rows and panels and write these
 * codes. With it Eva sees what conv2d, linear and products hand to them.
 */
#include "runtime/inc/micro_x86.h"

static void run_panels(const ares_tile_run *run, const int8_t *panels, const ares_rescale *rescale,
                       int32_t first, int32_t channels, uint8_t *out, int32_t out_step)
{
    ares_tile_rows rows;
    rows.rows = 1;
    rows.segments = run->segments;
    rows.length = run->length;
    rows.is_signed = run->is_signed;
    for (int32_t i = 0; i < run->positions; ++i) {
        for (int32_t s = 0; s < run->segments; ++s) {
            const int moves = s >= run->first && s < run->end;
            rows.x[s * ARES_TILE_ROWS] = run->x[s] + (moves ? i * run->step : 0);
        }
        for (int32_t n = 0; n < channels; n += ARES_PANEL_WIDTH) {
            const int32_t left = channels - n;
            const int32_t width = left < ARES_PANEL_WIDTH ? left : ARES_PANEL_WIDTH;
            int32_t acc[ARES_PANEL_WIDTH];
            ares_tile_portable(&rows, panels + n * run->segments * run->length, width, acc);
            ares_requantize_portable(rescale, first + n, acc, 1, width, out + i * out_step + n,
                                     out_step);
        }
    }
}

static const ares_x86_kernels model = {
    .ares_tile = ares_tile_portable,
    .ares_depthwise_tile = ares_depthwise_tile_portable,
    .ares_requantize = ares_requantize_portable,
    .run_panels = run_panels,
    .instruction_set = "model",
};

const ares_x86_kernels *ares_x86_chosen = &model;
