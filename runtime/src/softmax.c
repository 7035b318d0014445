#include "../inc/softmax.h"

/* round(product / 2^shift + zero_point), half to even; shift >= 32. */
static int64_t rounded(uint64_t product, int32_t shift, int32_t zero_point)
{
    if (shift > 64) {
        return zero_point; /* less than half a code */
    }
    const uint64_t halves = product >> (shift - 1);
    const uint64_t below = product & (((uint64_t)1 << (shift - 1)) - 1u);
    const int64_t code = (int64_t)(halves >> 1) + zero_point;
    const int64_t up = (halves & 1u) != 0 && (below != 0 || (code & 1) != 0);
    return code + up;
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
        int32_t top = ares_load_code(in, 0, p->input_signed);
        for (int32_t j = 1; j < kept; ++j) {
            const int32_t code = ares_load_code(in, j, p->input_signed);
            top = code > top ? code : top;
        }
        uint64_t sum = 0;
        for (int32_t j = 0; j < kept; ++j) {
            const int32_t k = top - ares_load_code(in, j, p->input_signed);
            sum += ((uint64_t)m[k] << 19) >> x[k];
        }
        int32_t drop = 19;
        while (sum >> drop > UINT32_MAX) {
            ++drop;
        }
        const uint64_t factor = ((uint64_t)p->numerator << 31) / (sum >> drop);
        const int32_t shift = drop + 12 - p->exponent;
        for (int32_t j = 0; j < kept; ++j) {
            const int32_t k = top - ares_load_code(in, j, p->input_signed);
            const int64_t code = rounded(m[k] * factor, shift + x[k], p->zero_point);
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
