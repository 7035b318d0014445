#include "../inc/codes_product.h"

#include "../inc/token_rows.h"

/* What turns the byte of a code into that of an s8 code: 128 less is the highest bit turned over. */
static uint32_t flip_of(const ares_codes_matrix *b)
{
    return b->is_signed ? 0u : 0x80u;
}

void ares_pack_codes(const ares_codes_matrix *b, int32_t first, int32_t width, int32_t a_zero,
                     int8_t *panel, int64_t *terms)
{
    const uint8_t *const codes = b->codes + first * b->column_step;
    const uint32_t flip = flip_of(b);
    uint8_t *to = (uint8_t *)panel;
    int32_t k = 0;

    for (; k + 4 <= b->depth; k += 4) {
        const uint8_t *from = codes + k * b->depth_step;
        for (int32_t n = 0; n < width; ++n) {
            for (int32_t i = 0; i < 4; ++i) {
                to[i] = (uint8_t)(from[i * b->depth_step] ^ flip);
            }
            from += b->column_step;
            to += 4;
        }
    }
    if (k < b->depth) {
        const uint8_t *from = codes + k * b->depth_step;
        for (int32_t n = 0; n < width; ++n) {
            for (int32_t i = 0; i < 4; ++i) {
                to[i] = k + i < b->depth ? (uint8_t)(from[i * b->depth_step] ^ flip) : 0;
            }
            from += b->column_step;
            to += 4;
        }
    }
    for (int32_t n = 0; n < width; ++n) {
        terms[n] = 0;
    }
    if (a_zero != 0) {
        for (int32_t n = 0; n < width; ++n) {
            int32_t sum = 0;
            for (k = 0; k < b->depth; k += 4) {
                const int8_t *const four = panel + (k * width + 4 * n);
                sum += four[0] + four[1] + four[2] + four[3];
            }
            terms[n] = a_zero * ((int64_t)b->depth * ares_packed_zero_point(b) - sum);
        }
    }
}

int32_t ares_sum_codes(const uint8_t *codes, int32_t count, int32_t is_signed)
{
    int32_t sum = 0;
    if (is_signed) {
        for (int32_t i = 0; i < count; ++i) {
            sum += (int8_t)codes[i];
        }
    } else {
        for (int32_t i = 0; i < count; ++i) {
            sum += codes[i];
        }
    }
    return sum;
}

void ares_correct_codes(int32_t *acc, int32_t rows, int32_t width, const int64_t *terms,
                        const int32_t *row_sums, int32_t packed_zero_point)
{
    for (int32_t r = 0; r < rows; ++r) {
        const int64_t row_term = row_sums != NULL ? (int64_t)packed_zero_point * row_sums[r] : 0;
        for (int32_t n = 0; n < width; ++n) {
            int32_t *const sum = &acc[r * ARES_PANEL_WIDTH + n];
            *sum = (int32_t)(*sum + terms[n] - row_term);
        }
    }
}

void ares_multiply_codes(const ares_codes_product *product, void *scratch)
{
    const int32_t depth = product->b.depth;
    const int32_t packed_zero = ares_packed_zero_point(&product->b);
    int32_t *const row_sums = packed_zero != 0 ? (int32_t *)scratch : NULL;
    int8_t *const panel = (int8_t *)scratch + (row_sums != NULL ? 4 * product->count : 0);
    uint8_t *const copies = (uint8_t *)panel + ARES_PANEL_WIDTH * ares_padded_length(depth);

    for (int32_t r = 0; row_sums != NULL && r < product->count; ++r) {
        row_sums[r] =
            ares_sum_codes(product->rows + r * product->row_step, depth, product->row_signed);
    }
    for (int32_t n = 0; n < product->columns; n += ARES_PANEL_WIDTH) {
        const int32_t left = product->columns - n;
        const int32_t width = left < ARES_PANEL_WIDTH ? left : ARES_PANEL_WIDTH;
        int64_t terms[ARES_PANEL_WIDTH];
        ares_pack_codes(&product->b, n, width, product->row_zero_point, panel, terms);
        for (int32_t r = 0; r < product->count; r += ARES_TILE_ROWS) {
            const int32_t rest = product->count - r;
            ares_tile_rows rows;
            int32_t acc[ARES_TILE_ROWS * ARES_PANEL_WIDTH];
            rows.is_signed = product->row_signed;
            ares_token_rows(&rows, product->rows + r * product->row_step, product->row_step, depth,
                            rest < ARES_TILE_ROWS ? rest : ARES_TILE_ROWS, copies);
            ares_tile(&rows, panel, width, acc);
            if (packed_zero != 0 || product->row_zero_point != 0) {
                ares_correct_codes(acc, rows.rows, width, terms,
                                   row_sums != NULL ? row_sums + r : NULL, packed_zero);
            }
            ares_requantize(product->rescale, 0, acc, rows.rows, width,
                            product->out + r * product->out_step + n, product->out_step);
        }
    }
}
