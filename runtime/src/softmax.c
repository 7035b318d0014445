#include "../inc/softmax.h"

#include "../inc/micro_rows.h"
#include "../inc/softmax_row.h"

/* From so many keys on it pays to make the codes of a row once for each step below its largest score. */
#define LONG_ROW 64

static int32_t counts(const uint8_t *mask, int32_t j)
{
    return mask == NULL || mask[j] != 0;
}

/* A row of scores as bytes that ascend with them: byte ^ flip. */
typedef struct scores {
    const uint8_t *in;
    const uint8_t *mask;
    int32_t kept;
    int32_t flip;
    int32_t top; /* the largest */
} scores;

static int32_t largest_of(const scores *row)
{
    int32_t top = 0;
    for (int32_t j = 0; j < row->kept; ++j) {
        const int32_t code = row->in[j] ^ row->flip;
        top = counts(row->mask, j) && code > top ? code : top;
    }
    return top;
}

static uint64_t sum_of(const ares_softmax_params *p, const scores *row)
{
    const uint8_t *const x = p->exponents;
    const uint32_t *const m = p->mantissas;
    const uint8_t *const in = row->in;
    const int32_t flip = row->flip;
    const int32_t top = row->top;
    const int32_t kept = row->kept;
    uint64_t sum = 0;
    for (int32_t j = 0; j < kept; ++j) {
        const int32_t k = top - (in[j] ^ flip);
        if (counts(row->mask, j)) {
            sum += ares_softmax_term(m[k], x[k]);
        }
    }
    return sum;
}

static uint8_t byte_of(const ares_softmax_params *p, const ares_softmax_row *close, int32_t k)
{
    const int64_t code = ares_softmax_code(close, p->mantissas[k], p->exponents[k], p->zero_point);
    return ares_code_byte(ares_clamp(code, p->lo, p->hi));
}

/* The codes of the kept keys. They fall with the score, so that behind the first that is zero's all are. */
static void write_codes(const ares_softmax_params *p, const scores *row,
                        const ares_softmax_row *close, uint8_t *out)
{
    const uint8_t zero = ares_code_byte(p->zero_point);
    const uint8_t *const in = row->in;
    const uint8_t *const mask = row->mask;
    const int32_t flip = row->flip;
    const int32_t top = row->top;
    const int32_t kept = row->kept;
    uint8_t codes[256];
    if (kept < LONG_ROW) {
        for (int32_t j = 0; j < kept; ++j) {
            out[j] = counts(mask, j) ? byte_of(p, close, top - (in[j] ^ flip)) : zero;
        }
        return;
    }
    int32_t k = 0;
    do {
        codes[k] = byte_of(p, close, k);
    } while (codes[k++] != zero && k <= top);
    for (; k <= top; ++k) {
        codes[k] = zero;
    }
    for (int32_t j = 0; j < kept; ++j) {
        out[j] = counts(mask, j) ? codes[top - (in[j] ^ flip)] : zero;
    }
}

ares_status ares_softmax(const void *params, const void *const *inputs, void *const *outputs,
                         void *scratch)
{
    const ares_softmax_params *const p = (const ares_softmax_params *)params;
    const uint8_t *in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    scores row;
    (void)scratch;

    if (ares_softmax_some(p, in, out) > 0) {
        return ARES_OK;
    }
    row.flip = p->input_signed ? 128 : 0;
    for (int32_t r = 0; r < p->rows; ++r) {
        row.in = in;
        row.mask = p->mask_rows != 0 ? p->mask + r % p->mask_rows * p->keys : NULL;
        row.kept = p->causal ? r % p->keys + 1 : p->keys;
        row.top = largest_of(&row);
        const ares_softmax_row close =
            ares_softmax_close(sum_of(p, &row), p->numerator, p->exponent);
        write_codes(p, &row, &close, out);
        for (int32_t j = row.kept; j < p->keys; ++j) {
            out[j] = ares_code_byte(p->zero_point);
        }
        in += p->keys;
        out += p->keys;
    }
    return ARES_OK;
}
