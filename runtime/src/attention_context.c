#include "../inc/attention_context.h"

/* acc[d] += weight * (v[d] - zero_point), d < n */
static void add_weighted(int32_t *acc, const uint8_t *v, int32_t is_signed, int32_t n,
                         int32_t weight, int32_t zero_point)
{
    if (is_signed) {
        const int8_t *const s = (const int8_t *)v;
        for (int32_t d = 0; d < n; ++d) {
            acc[d] += weight * ((int32_t)s[d] - zero_point);
        }
    } else {
        for (int32_t d = 0; d < n; ++d) {
            acc[d] += weight * ((int32_t)v[d] - zero_point);
        }
    }
}

ares_status ares_attention_context(const void *params, const void *const *inputs,
                                   void *const *outputs, void *scratch)
{
    const ares_attention_context_params *const p = (const ares_attention_context_params *)params;
    const uint8_t *w = (const uint8_t *)inputs[0];
    const uint8_t *const v = (const uint8_t *)inputs[1];
    uint8_t *const out = (uint8_t *)outputs[0];
    int32_t *const acc = (int32_t *)scratch;
    const int32_t served = p->num_heads / p->num_kv_heads;
    const int32_t value_step = p->num_kv_heads * p->head_dim;

    for (int32_t g = 0; g < p->outer * p->inner; ++g) {
        const int32_t o = g / p->inner;
        const int32_t i = g % p->inner;
        for (int32_t h = 0; h < p->num_heads; ++h) {
            const uint8_t *const head = v + h / served * p->head_dim;
            for (int32_t t = 0; t < p->queries; ++t) {
                for (int32_t d = 0; d < p->head_dim; ++d) {
                    acc[d] = 0;
                }
                for (int32_t j = 0; j < p->keys; ++j) {
                    const int32_t weight =
                        ares_load_code(w, j, p->weight_signed) - p->weight_zero_point;
                    const int32_t token = (o * p->keys + j) * p->inner + i;
                    /* Masked keys and most of a long row weigh nothing. */
                    if (weight != 0) {
                        add_weighted(acc, head + token * value_step, p->value_signed, p->head_dim,
                                     weight, p->value_zero_point);
                    }
                }
                w += p->keys;
                const int32_t token =
                    p->shared ? g * p->queries + t : (o * p->queries + t) * p->inner + i;
                uint8_t *const row = out + (token * p->num_heads + h) * p->head_dim;
                for (int32_t d = 0; d < p->head_dim; ++d) {
                    row[d] = ares_code_byte(ares_rescale_apply(&p->rescale, acc[d], 0));
                }
            }
        }
    }
    return ARES_OK;
}
