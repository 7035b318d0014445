#include "../inc/matmul_softmax.h"

#include "../inc/dot.h"
#include "../inc/softmax_row.h"

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

/* Accumulators of one query, and the largest that is kept. */
static int32_t score_row(const ares_matmul_softmax_params *p, const uint8_t *q, const uint8_t *k,
                         const uint8_t *mask, int32_t *acc)
{
    int32_t top = INT32_MIN;
    for (int32_t j = 0; j < p->keys; ++j) {
        acc[j] = ares_dot_codes(q, p->query_signed, p->query_zero_point, k + j * p->depth,
                                p->key_signed, p->key_zero_point, p->depth);
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
    const uint8_t *k = (const uint8_t *)inputs[1];
    uint8_t *out = (uint8_t *)outputs[0];
    int32_t *const acc = (int32_t *)scratch;

    for (int32_t g = 0; g < p->groups; ++g) {
        for (int32_t i = 0; i < p->queries; ++i) {
            const int32_t row = g * p->queries + i;
            const uint8_t *const mask =
                p->mask_rows != 0 ? p->mask + row % p->mask_rows * p->keys : NULL;
            const int32_t top = score_row(p, q, k, mask, acc);
            probabilities(p, acc, top, mask, out);
            q += p->depth;
            out += p->keys;
        }
        k += p->shared ? 0 : p->keys * p->depth;
    }
    return ARES_OK;
}
