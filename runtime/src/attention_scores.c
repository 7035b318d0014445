#include "../inc/attention_scores.h"

#include "../inc/dot.h"

ares_status ares_attention_scores(const void *params, const void *const *inputs,
                                  void *const *outputs, void *scratch)
{
    const ares_attention_scores_params *const p = (const ares_attention_scores_params *)params;
    const uint8_t *const q = (const uint8_t *)inputs[0];
    const uint8_t *const k = (const uint8_t *)inputs[1];
    uint8_t *out = (uint8_t *)outputs[0];
    const int32_t served = p->num_heads / p->num_kv_heads;
    const int32_t query_step = p->num_heads * p->head_dim;
    const int32_t key_step = p->num_kv_heads * p->head_dim;
    (void)scratch;

    for (int32_t g = 0; g < p->outer * p->inner; ++g) {
        const int32_t o = g / p->inner;
        const int32_t i = g % p->inner;
        for (int32_t h = 0; h < p->num_heads; ++h) {
            for (int32_t t = 0; t < p->queries; ++t) {
                const int32_t query = p->shared ? t : (o * p->queries + t) * p->inner + i;
                const uint8_t *const asked = q + query * query_step + h * p->head_dim;
                for (int32_t j = 0; j < p->keys; ++j) {
                    const int32_t key = (o * p->keys + j) * p->inner + i;
                    const uint8_t *const given = k + key * key_step + h / served * p->head_dim;
                    const int32_t acc =
                        ares_dot_codes(asked, p->query_signed, p->query_zero_point, given,
                                       p->key_signed, p->key_zero_point, p->head_dim);
                    *out++ = ares_code_byte(ares_rescale_apply(&p->rescale, acc, 0));
                }
            }
        }
    }
    return ARES_OK;
}
