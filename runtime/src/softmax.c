#include "../inc/softmax.h"

#include "../inc/softmax_row.h"

static int32_t counts(const uint8_t *mask, int32_t j)
{
    return mask == NULL || mask[j] != 0;
}

ares_status ares_softmax(const void *params, const void *const *inputs, void *const *outputs,
                         void *scratch)
{
    const ares_softmax_params *const p = (const ares_softmax_params *)params;
    const uint8_t *in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    const uint8_t *const x = p->exponents;
    const uint32_t *const m = p->mantissas;
    (void)scratch;

    for (int32_t r = 0; r < p->rows; ++r) {
        const int32_t kept = p->causal ? r % p->keys + 1 : p->keys;
        const uint8_t *const mask = p->mask_rows != 0 ? p->mask + r % p->mask_rows * p->keys : NULL;
        int32_t top = -128; /* no code is less */
        for (int32_t j = 0; j < kept; ++j) {
            const int32_t code = ares_load_code(in, j, p->input_signed);
            top = counts(mask, j) && code > top ? code : top;
        }
        uint64_t sum = 0;
        for (int32_t j = 0; j < kept; ++j) {
            if (!counts(mask, j)) {
                continue;
            }
            const int32_t k = top - ares_load_code(in, j, p->input_signed);
            sum += ares_softmax_term(m[k], x[k]);
        }
        const ares_softmax_row row = ares_softmax_close(sum, p->numerator, p->exponent);
        for (int32_t j = 0; j < kept; ++j) {
            if (!counts(mask, j)) {
                out[j] = ares_code_byte(p->zero_point);
                continue;
            }
            const int32_t k = top - ares_load_code(in, j, p->input_signed);
            const int64_t code = ares_softmax_code(&row, m[k], x[k], p->zero_point);
            out[j] = ares_code_byte(ares_clamp(code, p->lo, p->hi));
        }
        for (int32_t j = kept; j < p->keys; ++j) {
            out[j] = ares_code_byte(p->zero_point);
        }
        in += p->keys;
        out += p->keys;
    }
    return ARES_OK;
}
