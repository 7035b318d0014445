#include "../inc/rotary.h"

#include "../inc/micro_rows.h"
#include "../inc/wide.h"

/* N14: the code of acc * multiplier / 2^(shift + 32), |acc| < 2^39. */
static int32_t finish(const ares_rotary_params *p, int64_t acc)
{
    const int64_t value = ares_wide_round(acc, p->multiplier, p->shift + 32, p->zero_point);
    return ares_clamp(value, p->lo, p->hi);
}

ares_status ares_rotary(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch)
{
    const ares_rotary_params *const p = (const ares_rotary_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    uint8_t *const out = (uint8_t *)outputs[0];
    const int32_t step = p->halves ? 1 : 2;
    const int32_t apart = p->halves ? p->pairs : 1;
    int32_t head = 0;
    (void)scratch;

    for (int32_t l = 0; l < p->outer * p->length; ++l) {
        const int32_t *const cos = p->cos + l % p->length * p->pairs;
        const int32_t *const sin = p->sin + l % p->length * p->pairs;
        for (int32_t h = 0; h < p->inner * p->heads; ++h) {
            for (int32_t i = ares_rotary_some(p, cos, sin, in + head, out + head); i < p->pairs;
                 ++i) {
                const int32_t j = head + i * step;
                const int32_t k = j + apart;
                const int64_t a = ares_load_code(in, j, p->input_signed) - p->input_zero_point;
                const int64_t b = ares_load_code(in, k, p->input_signed) - p->input_zero_point;
                out[j] = ares_code_byte(finish(p, a * cos[i] - b * sin[i]));
                out[k] = ares_code_byte(finish(p, a * sin[i] + b * cos[i]));
            }
            head += 2 * p->pairs;
        }
    }
    return ARES_OK;
}
