#include "../inc/attention_scores.h"

#include "../inc/codes_product.h"

ares_status ares_attention_scores(const void *params, const void *const *inputs,
                                  void *const *outputs, void *scratch)
{
    const ares_attention_scores_params *const p = (const ares_attention_scores_params *)params;
    const uint8_t *const q = (const uint8_t *)inputs[0];
    const uint8_t *const k = (const uint8_t *)inputs[1];
    const int32_t served = p->num_heads / p->num_kv_heads;
    const int32_t query_step = p->num_heads * p->head_dim;
    const int32_t key_step = p->num_kv_heads * p->head_dim;
    ares_codes_product product;

    product.count = p->queries;
    product.row_step = p->shared ? query_step : p->inner * query_step;
    product.row_signed = p->query_signed;
    product.row_zero_point = p->query_zero_point;
    product.b.depth = p->head_dim;
    product.b.depth_step = 1;
    product.b.column_step = p->inner * key_step;
    product.b.is_signed = p->key_signed;
    product.b.zero_point = p->key_zero_point;
    product.columns = p->keys;
    product.rescale = &p->rescale;
    product.out = (uint8_t *)outputs[0];
    product.out_step = p->keys;
    for (int32_t g = 0; g < p->outer * p->inner; ++g) {
        const int32_t o = g / p->inner;
        const int32_t i = g % p->inner;
        const int32_t query = p->shared ? 0 : o * p->queries * p->inner + i;
        const int32_t key = o * p->keys * p->inner + i;
        for (int32_t h = 0; h < p->num_heads; ++h) {
            product.rows = q + query * query_step + h * p->head_dim;
            product.b.codes = k + key * key_step + h / served * p->head_dim;
            ares_multiply_codes(&product, scratch);
            product.out += p->queries * p->keys;
        }
    }
    return ARES_OK;
}
