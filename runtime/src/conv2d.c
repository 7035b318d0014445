#include "../inc/conv2d.h"

#include <string.h>

/* Bytes of patches that are copied at once; only where there are runs, whose processors have stacks for them. */
enum { COPIES = 4608 };

/* Results at equal distances in the output, from position next on: in steps down or across, or row by row. */
static void by_tiles(const ares_conv2d_params *p, const uint8_t *in, int32_t group,
                     ares_position next, ares_position step, int32_t results, uint8_t *out,
                     int32_t out_step, uint8_t *scratch)
{
    const ares_convolution *const conv = &p->conv;
    const int32_t group_size = conv->out_c / conv->groups;

    for (int32_t i = 0; i < results; i += ARES_TILE_ROWS) {
        const int32_t rows = results - i < ARES_TILE_ROWS ? results - i : ARES_TILE_ROWS;
        uint8_t *const to = out + i * out_step;
        ares_position positions[ARES_TILE_ROWS];
        ares_tile_rows patches;
        for (int32_t r = 0; r < rows; ++r) {
            positions[r] = next;
            next.x += step.x;
            next.y += step.y;
            if (next.x == conv->across.out && step.x > 0) {
                next.x = 0;
                next.y += 1;
            }
        }
        ares_convolution_patches(conv, in, group, positions, rows, scratch, &patches);
        for (int32_t n = 0; n < group_size; n += ARES_PANEL_WIDTH) {
            const int32_t left = group_size - n;
            const int32_t width = left < ARES_PANEL_WIDTH ? left : ARES_PANEL_WIDTH;
            int32_t acc[ARES_TILE_ROWS * ARES_PANEL_WIDTH];
            ares_tile(&patches, ares_convolution_panel(conv, group, n), width, acc);
            ares_requantize(&p->rescale, group * group_size + n, acc, rows, width, to + n,
                            out_step);
        }
    }
}

/*
 * Results in the order of ares_convolution_copies, so many from a position on, out_step bytes apart: runs of patches that are
 * copied one behind the other.
 */
static void by_copies(const ares_conv2d_params *p, const uint8_t *in, int32_t group,
                      ares_position next, int32_t is_column, int32_t results, uint8_t *out,
                      int32_t out_step)
{
    const ares_convolution *const conv = &p->conv;
    const int32_t group_size = conv->out_c / conv->groups;
    const int32_t most = COPIES / (conv->segments * conv->length);
    uint8_t copies[COPIES + ARES_COPY_BLOCK];
    ares_tile_run run;

    run.x[0] = copies;
    run.step = conv->segments * conv->length;
    run.first = 0;
    run.end = 1;
    run.segments = 1;
    run.length = conv->segments * conv->length;
    run.is_signed = conv->input_signed;
    for (int32_t i = 0; i < results; i += most) {
        run.positions = results - i < most ? results - i : most;
        ares_convolution_copies(conv, in, group, next, is_column, run.positions, copies);
        ares_run_panels(&run, ares_convolution_panel(conv, group, 0), &p->rescale,
                        group * group_size, group_size, out + i * out_step, out_step);
        next.y += is_column ? most : (next.x + most) / conv->across.out;
        next.x = is_column ? next.x : (next.x + most) % conv->across.out;
    }
}

static int can_copy(const ares_convolution *conv)
{
    return conv->segments * conv->length <= COPIES / ARES_TILE_ROWS;
}

/*
 * Rows of patches that lie in place, but for kernel rows above and below the input, which are zero points; then the columns
 * that look past its sides.
 */
static void by_runs(const ares_conv2d_params *p, const uint8_t *in, int32_t group, uint8_t *out,
                    uint8_t *scratch)
{
    const ares_convolution *const conv = &p->conv;
    const int32_t group_size = conv->out_c / conv->groups;
    const int32_t runs = conv->segments / conv->down.kernel;
    const int32_t line = conv->across.out * conv->out_c;
    const ares_position down = {1, 0};
    int32_t left;
    int32_t right;
    ares_tile_run run;

    ares_whole_windows(&conv->across, &left, &right);
    run.positions = right - left;
    run.step = conv->across.stride * conv->in_c;
    run.segments = conv->segments;
    run.length = conv->length;
    run.is_signed = conv->input_signed;
    if (right == conv->across.out && left == 0 && conv->segments == 1 && conv->down.stride == 1 &&
        conv->across.stride == 1 && conv->down.pad == 0 && conv->down.out == conv->down.in &&
        conv->across.out == conv->across.in) {
        run.positions = conv->down.out * conv->across.out; /* one after another in both */
    }
    for (int32_t y = 0; y < conv->down.out && run.positions > 0;
         y += run.positions > right - left ? conv->down.out : 1) {
        const ares_taps inside = ares_taps_inside(&conv->down, y);
        const int32_t column = left * conv->across.stride - conv->across.pad;
        run.first = inside.first * runs;
        run.end = inside.end * runs;
        for (int32_t s = 0; s < conv->segments; ++s) {
            const int32_t row = inside.origin + s / runs * conv->down.dilation;
            const int32_t x = column + s % runs * conv->across.dilation;
            run.x[s] = scratch;
            if (s >= run.first && s < run.end) {
                run.x[s] = in + group * (conv->in_c / conv->groups) +
                           (row * conv->across.in + x) * conv->in_c;
            }
        }
        if (run.end - run.first < conv->segments) {
            memset(scratch, ares_code_byte(conv->input_zero_point), (size_t)conv->length);
        }
        ares_run_panels(&run, ares_convolution_panel(conv, group, 0), &p->rescale,
                        group * group_size, group_size, out + y * line + left * conv->out_c,
                        conv->out_c);
    }
    for (int32_t x = 0; x < conv->across.out; ++x) {
        const ares_position top = {0, x};
        uint8_t *const column = out + x * conv->out_c;
        if ((x < left || x >= right) && can_copy(conv)) {
            by_copies(p, in, group, top, 1, conv->down.out, column, line);
        } else if (x < left || x >= right) {
            by_tiles(p, in, group, top, down, conv->down.out, column, line, scratch);
        }
    }
}

ares_status ares_conv2d(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch)
{
    const ares_conv2d_params *const p = (const ares_conv2d_params *)params;
    const ares_convolution *const conv = &p->conv;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    const int32_t group_size = conv->out_c / conv->groups;
    const ares_position first = {0, 0};
    const ares_position across = {0, 1};

    for (int32_t g = 0; g < conv->groups; ++g) {
        uint8_t *const out = (uint8_t *)outputs[0] + g * group_size;
        if (conv->in_place && ares_has_runs()) {
            by_runs(p, in, g, out, (uint8_t *)scratch);
        } else if (ares_has_runs() && can_copy(conv)) {
            by_copies(p, in, g, first, 0, conv->down.out * conv->across.out, out, conv->out_c);
        } else {
            by_tiles(p, in, g, first, across, conv->down.out * conv->across.out, out, conv->out_c,
                     (uint8_t *)scratch);
        }
    }
    return ARES_OK;
}
