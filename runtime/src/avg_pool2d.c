#include "../inc/avg_pool2d.h"

#include "../inc/column_sums.h"
#include "../inc/microkernels.h"

/* Positions of a window inside the input. */
typedef struct window {
    const uint8_t *in; /* the first of them */
    int32_t rows;
    int32_t columns;
    int32_t row_step;
    int32_t step;
    int32_t zeros; /* what the zero points of all add */
    int32_t is_signed;
} window;

static void pool_window(const window *w, int32_t channels, const ares_rescale *rescale,
                        uint8_t *out)
{
    for (int32_t c = 0; c < channels; c += ARES_DEPTHWISE_WIDTH) {
        const int32_t left = channels - c;
        const int32_t width = left < ARES_DEPTHWISE_WIDTH ? left : ARES_DEPTHWISE_WIDTH;
        int32_t acc[ARES_DEPTHWISE_WIDTH];
        for (int32_t i = 0; i < width; ++i) {
            acc[i] = -w->zeros;
        }
        for (int32_t row = 0; row < w->rows; ++row) {
            ares_add_columns(w->in + row * w->row_step + c, w->step, w->columns, width,
                             w->is_signed, acc);
        }
        ares_requantize(rescale, c, acc, 1, width, out + c, width);
    }
}

/* One axis' part of k. */
static int32_t place_of(const ares_counted *counted, ares_extent whole)
{
    const int32_t first = whole.first < counted->from ? counted->from : whole.first;
    const int32_t end = whole.end > counted->to ? counted->to : whole.end;
    return (end - first - counted->shortest) * counted->stride;
}

ares_status ares_avg_pool2d(const void *params, const void *const *inputs, void *const *outputs,
                            void *scratch)
{
    const ares_avg_pool2d_params *const p = (const ares_avg_pool2d_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t y = 0; y < p->down.out; ++y) {
        const ares_extent tall = ares_extent_of(&p->down, y);
        const ares_extent down = ares_extent_inside(&p->down, tall);
        const ares_rescale *const of_row = p->rescales + place_of(&p->rows, tall);
        for (int32_t x = 0; x < p->across.out; ++x) {
            const ares_extent wide = ares_extent_of(&p->across, x);
            const ares_extent across = ares_extent_inside(&p->across, wide);
            const ares_rescale *const rescale = of_row + place_of(&p->columns, wide);
            window w;
            w.rows = down.end > down.first ? down.end - down.first : 0;
            w.columns = across.end > across.first ? across.end - across.first : 0;
            w.row_step = p->across.in * p->channels;
            w.step = p->channels;
            w.in = in;
            if (w.rows > 0 && w.columns > 0) {
                w.in += down.first * w.row_step + across.first * w.step;
            }
            /* A row that is whole goes on in the next: fewer, longer runs. */
            if (w.columns == p->across.in) {
                w.columns *= w.rows;
                w.rows = w.rows > 0;
            }
            w.zeros = w.rows * w.columns * p->input_zero_point;
            w.is_signed = p->input_signed;
            pool_window(&w, p->channels, rescale, out);
            out += p->channels;
        }
    }
    return ARES_OK;
}
