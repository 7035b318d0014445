#include "../inc/codes_product.h"

#include "../inc/token_rows.h"

/* What turns the byte of a code into that of an s8 code: 128 less is the highest bit turned over. */
static uint32_t flip_of(const ares_codes_matrix *b)
{
    return b->is_signed ? 0u : 0x80u;
}

/* A column whose codes lie side by side, four at a time: apart bytes of the panel from four to four. */
static void pack_column(const uint8_t *codes, int32_t depth, uint32_t flip, int32_t apart,
                        uint8_t *to)
{
    const uint32_t flips = flip * 0x01010101u;
    int32_t k = 0;
    for (; k + 4 <= depth; k += 4) {
        uint32_t four;
        memcpy(&four, codes + k, sizeof four);
        four ^= flips;
        memcpy(to, &four, sizeof four);
        to += apart;
    }
    for (int32_t i = 0; i < 4 && k < depth; ++i) {
        to[i] = k + i < depth ? (uint8_t)(codes[k + i] ^ flip) : 0;
    }
}

/* Four steps of width columns, the last of which there are. */
static void pack_steps(const ares_codes_matrix *b, const uint8_t *codes, int32_t steps,
                       int32_t width, uint32_t flip, uint8_t *to)
{
    for (int32_t n = 0; n < width; ++n) {
        for (int32_t i = 0; i < 4; ++i) {
            to[i] = i < steps ? (uint8_t)(codes[i * b->depth_step] ^ flip) : 0;
        }
        codes += b->column_step;
        to += 4;
    }
}

void ares_pack_codes(const ares_codes_matrix *b, int32_t first, int32_t width, int32_t a_zero,
                     int8_t *panel, int64_t *terms)
{
    const uint8_t *const codes = b->codes + first * b->column_step;
    const uint32_t flip = flip_of(b);
    uint8_t *to = (uint8_t *)panel;
    int32_t k = 0;

    if (b->depth_step == 1) {
        for (int32_t n = 0; n < width; ++n) {
            pack_column(codes + n * b->column_step, b->depth, flip, 4 * width, to + 4 * n);
        }
        k = b->depth;
    }
    for (; k + 4 <= b->depth; k += 4) {
        pack_steps(b, codes + k * b->depth_step, 4, width, flip, to);
        to += 4 * width;
    }
    if (k < b->depth) {
        pack_steps(b, codes + k * b->depth_step, b->depth - k, width, flip, to);
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

/* All rows times a panel at once, where nothing is to be corrected. */
static void run_rows(const ares_codes_product *product, const int8_t *panel, int32_t width,
                     uint8_t *out)
{
    ares_tile_run run;
    run.x[0] = product->rows;
    run.positions = product->count;
    run.step = product->row_step;
    run.first = 0;
    run.end = 1;
    run.segments = 1;
    run.length = product->b.depth;
    run.is_signed = product->row_signed;
    ares_run_panels(&run, panel, product->rescale, 0, width, out, product->out_step);
}

void ares_multiply_codes(const ares_codes_product *product, void *scratch)
{
    const int32_t depth = product->b.depth;
    const int32_t packed_zero = ares_packed_zero_point(&product->b);
    int32_t *const row_sums = packed_zero != 0 ? (int32_t *)scratch : NULL;
    int8_t *const panel = (int8_t *)scratch + (row_sums != NULL ? 4 * product->count : 0);
    uint8_t *const copies = (uint8_t *)panel + ARES_PANEL_WIDTH * ares_padded_length(depth);
    const int is_exact = packed_zero == 0 && product->row_zero_point == 0;
    const int runs = is_exact && depth % 4 == 0 && ares_has_runs();

    for (int32_t r = 0; row_sums != NULL && r < product->count; ++r) {
        row_sums[r] =
            ares_sum_codes(product->rows + r * product->row_step, depth, product->row_signed);
    }
    for (int32_t n = 0; n < product->columns; n += ARES_PANEL_WIDTH) {
        const int32_t left = product->columns - n;
        const int32_t width = left < ARES_PANEL_WIDTH ? left : ARES_PANEL_WIDTH;
        int64_t terms[ARES_PANEL_WIDTH];
        ares_pack_codes(&product->b, n, width, product->row_zero_point, panel, terms);
        if (runs) {
            run_rows(product, panel, width, product->out + n);
            continue;
        }
        for (int32_t r = 0; r < product->count; r += ARES_TILE_ROWS) {
            const int32_t rest = product->count - r;
            ares_tile_rows rows;
            int32_t acc[ARES_TILE_ROWS * ARES_PANEL_WIDTH];
            rows.is_signed = product->row_signed;
            ares_token_rows(&rows, product->rows + r * product->row_step, product->row_step, depth,
                            rest < ARES_TILE_ROWS ? rest : ARES_TILE_ROWS, copies);
            ares_tile(&rows, panel, width, acc);
            if (!is_exact) {
                ares_correct_codes(acc, rows.rows, width, terms,
                                   row_sums != NULL ? row_sums + r : NULL, packed_zero);
            }
            ares_requantize(product->rescale, 0, acc, rows.rows, width,
                            product->out + r * product->out_step + n, product->out_step);
        }
    }
}
