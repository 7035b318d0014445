#include "../inc/matmul_softmax.h"

#include "../inc/codes_product.h"
#include "../inc/softmax_row.h"
#include "../inc/token_rows.h"

typedef struct exponential {
    uint32_t m;
    int32_t x;
} exponential;

static int32_t counts(const uint8_t *mask, int32_t j)
{
    return mask == NULL || mask[j] != 0;
}

static exponential exponential_of(const ares_matmul_softmax_params *p, uint32_t step)
{
    const exponential none = {0, 0};
    const uint64_t half = (uint64_t)1 << 30;
    const int32_t size = (int32_t)1 << p->bits;
    int32_t place = (int32_t)(step & (uint32_t)(size - 1));
    exponential e;
    e.m = p->mantissas[place];
    e.x = p->exponents[place];
    step >>= p->bits;
    for (int32_t d = 1; d < p->digits; ++d) {
        place = d * size + (int32_t)(step & (uint32_t)(size - 1));
        const uint64_t product = (uint64_t)e.m * p->mantissas[place];
        /* What would be rounded up to 2^32 counts as 2^31 with an exponent one less. */
        const int32_t above = (int32_t)((product + half) >> 63);
        e.m = (uint32_t)((product + (half << above)) >> (31 + above));
        e.x += p->exponents[place] - above;
        step >>= p->bits;
    }
    return step != 0 || e.m == 0 || e.x > 63 ? none : e;
}

/* What of the scratch serves whom, in this order. */
typedef struct scratch_parts {
    int64_t *terms;   /* [keys] */
    int32_t *scores;  /* [ARES_TILE_ROWS][keys] */
    int8_t *panels;   /* all of the keys */
    uint8_t *queries; /* copies of a tile's */
} scratch_parts;

static scratch_parts parts_of(const ares_matmul_softmax_params *p, void *scratch)
{
    scratch_parts parts;
    parts.terms = (int64_t *)scratch;
    parts.scores = (int32_t *)(parts.terms + p->keys);
    parts.panels = (int8_t *)(parts.scores + ARES_TILE_ROWS * p->keys);
    parts.queries = (uint8_t *)parts.panels + p->keys * ares_padded_length(p->depth);
    return parts;
}

static int32_t panel_width(const ares_matmul_softmax_params *p, int32_t first)
{
    const int32_t left = p->keys - first;
    return left < ARES_PANEL_WIDTH ? left : ARES_PANEL_WIDTH;
}

static ares_codes_matrix pack_keys(const ares_matmul_softmax_params *p, const uint8_t *k,
                                   const scratch_parts *parts)
{
    const int32_t length = ares_padded_length(p->depth);
    ares_codes_matrix keys;
    keys.codes = k;
    keys.depth = p->depth;
    keys.depth_step = 1;
    keys.column_step = p->depth;
    keys.is_signed = p->key_signed;
    keys.zero_point = p->key_zero_point;
    for (int32_t j = 0; j < p->keys; j += ARES_PANEL_WIDTH) {
        ares_pack_codes(&keys, j, panel_width(p, j), p->query_zero_point,
                        parts->panels + j * length, parts->terms + j);
    }
    return keys;
}

/* Accumulators of a tile of queries, row by row in parts->scores. */
static void score_rows(const ares_matmul_softmax_params *p, const uint8_t *q, int32_t count,
                       const ares_codes_matrix *keys, const scratch_parts *parts)
{
    const int32_t packed_zero = ares_packed_zero_point(keys);
    int32_t row_sums[ARES_TILE_ROWS];
    ares_tile_rows rows;
    rows.is_signed = p->query_signed;
    ares_token_rows(&rows, q, p->depth, p->depth, count, parts->queries);
    for (int32_t r = 0; packed_zero != 0 && r < count; ++r) {
        row_sums[r] = ares_sum_codes(q + r * p->depth, p->depth, p->query_signed);
    }
    for (int32_t j = 0; j < p->keys; j += ARES_PANEL_WIDTH) {
        const int32_t width = panel_width(p, j);
        int32_t acc[ARES_TILE_ROWS * ARES_PANEL_WIDTH];
        ares_tile(&rows, parts->panels + j * rows.length, width, acc);
        ares_correct_codes(acc, count, width, parts->terms + j, packed_zero != 0 ? row_sums : NULL,
                           packed_zero);
        for (int32_t r = 0; r < count; ++r) {
            for (int32_t n = 0; n < width; ++n) {
                parts->scores[r * p->keys + j + n] = acc[r * ARES_PANEL_WIDTH + n];
            }
        }
    }
}

static int32_t largest(const ares_matmul_softmax_params *p, const int32_t *acc, const uint8_t *mask)
{
    int32_t top = INT32_MIN;
    for (int32_t j = 0; j < p->keys; ++j) {
        top = counts(mask, j) && acc[j] > top ? acc[j] : top;
    }
    return top;
}

static void probabilities(const ares_matmul_softmax_params *p, const int32_t *acc, int32_t top,
                          const uint8_t *mask, uint8_t *out)
{
    uint64_t sum = 0;
    for (int32_t j = 0; j < p->keys; ++j) {
        if (counts(mask, j)) {
            const exponential e = exponential_of(p, (uint32_t)top - (uint32_t)acc[j]);
            sum += ares_softmax_term(e.m, e.x);
        }
    }
    const ares_softmax_row row = ares_softmax_close(sum, p->numerator, p->exponent);
    for (int32_t j = 0; j < p->keys; ++j) {
        int32_t code = p->zero_point;
        if (counts(mask, j)) {
            const exponential e = exponential_of(p, (uint32_t)top - (uint32_t)acc[j]);
            code = ares_clamp(ares_softmax_code(&row, e.m, e.x, p->zero_point), p->lo, p->hi);
        }
        out[j] = ares_code_byte(code);
    }
}

ares_status ares_matmul_softmax(const void *params, const void *const *inputs, void *const *outputs,
                                void *scratch)
{
    const ares_matmul_softmax_params *const p = (const ares_matmul_softmax_params *)params;
    const uint8_t *q = (const uint8_t *)inputs[0];
    const uint8_t *const k = (const uint8_t *)inputs[1];
    uint8_t *out = (uint8_t *)outputs[0];
    const scratch_parts parts = parts_of(p, scratch);
    const int32_t group_codes = p->shared ? 0 : p->keys * p->depth;
    int32_t row = 0;

    for (int32_t g = 0; g < p->groups; ++g) {
        const ares_codes_matrix keys = pack_keys(p, k + g * group_codes, &parts);
        for (int32_t i = 0; i < p->queries; i += ARES_TILE_ROWS) {
            const int32_t left = p->queries - i;
            const int32_t count = left < ARES_TILE_ROWS ? left : ARES_TILE_ROWS;
            score_rows(p, q, count, &keys, &parts);
            for (int32_t r = 0; r < count; ++r) {
                const int32_t *const acc = parts.scores + r * p->keys;
                const uint8_t *const mask =
                    p->mask_rows != 0 ? p->mask + row % p->mask_rows * p->keys : NULL;
                probabilities(p, acc, largest(p, acc, mask), mask, out);
                out += p->keys;
                ++row;
            }
            q += count * p->depth;
        }
    }
    return ARES_OK;
}
