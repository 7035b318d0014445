/* The micro-kernels in plain C: for processors without an instruction set of their own here, and what the others must equal. */
#include "../inc/microkernels.h"

/*
 * Two rows times two channels: four products of four loads. Rows and channels that do not exist are given as ones that
 * do, and their sums come first, so that the right ones are written over them.
 */
static void tile_2x2(const ares_tile_rows *rows, int32_t r, int32_t r_next, const int8_t *panel,
                     int32_t n, int32_t n_next, int32_t width, int32_t *acc)
{
    const int32_t step = 4 * width;
    const int8_t *w0 = panel + 4 * n;
    const int8_t *w1 = panel + 4 * n_next;
    int32_t sum00 = 0;
    int32_t sum01 = 0;
    int32_t sum10 = 0;
    int32_t sum11 = 0;
    for (int32_t s = 0; s < rows->segments; ++s) {
        const uint8_t *const x0 = rows->x[s * ARES_TILE_ROWS + r];
        const uint8_t *const x1 = rows->x[s * ARES_TILE_ROWS + r_next];
        for (int32_t i = 0; i < rows->length; i += 4) {
            for (int32_t k = 0; k < 4; ++k) {
                const int32_t a0 = rows->is_signed ? (int8_t)x0[i + k] : x0[i + k];
                const int32_t a1 = rows->is_signed ? (int8_t)x1[i + k] : x1[i + k];
                sum00 += a0 * w0[k];
                sum01 += a0 * w1[k];
                sum10 += a1 * w0[k];
                sum11 += a1 * w1[k];
            }
            w0 += step;
            w1 += step;
        }
    }
    acc[r_next * ARES_PANEL_WIDTH + n_next] = sum11;
    acc[r_next * ARES_PANEL_WIDTH + n] = sum10;
    acc[r * ARES_PANEL_WIDTH + n_next] = sum01;
    acc[r * ARES_PANEL_WIDTH + n] = sum00;
}

void ares_tile_portable(const ares_tile_rows *rows, const int8_t *panel, int32_t width,
                        int32_t *acc)
{
    for (int32_t r = 0; r < rows->rows; r += 2) {
        const int32_t r_next = r + 1 < rows->rows ? r + 1 : r;
        for (int32_t n = 0; n < width; n += 2) {
            const int32_t n_next = n + 1 < width ? n + 1 : n;
            tile_2x2(rows, r, r_next, panel, n, n_next, width, acc);
        }
    }
}

void ares_depthwise_tile_portable(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                                  int32_t *acc)
{
    for (int32_t c = 0; c < width; ++c) {
        const int8_t *w = taps->weight + first + c;
        int32_t sum = 0;
        for (int32_t t = 0; t < taps->taps; ++t) {
            sum += ares_load_code(taps->x[t], first + c, taps->is_signed) * *w;
            w += taps->channels;
        }
        acc[c] = sum;
    }
}

void ares_requantize_portable(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                              int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    for (int32_t n = 0; n < width; ++n) {
        for (int32_t r = 0; r < rows; ++r) {
            const int32_t code =
                ares_rescale_apply(rescale, acc[r * ARES_PANEL_WIDTH + n], first + n);
            out[r * out_step + n] = ares_code_byte(code);
        }
    }
}
