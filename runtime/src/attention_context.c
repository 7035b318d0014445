#include "../inc/attention_context.h"

#include "../inc/codes_product.h"

ares_status ares_attention_context(const void *params, const void *const *inputs,
                                   void *const *outputs, void *scratch)
{
    const ares_attention_context_params *const p = (const ares_attention_context_params *)params;
    const uint8_t *const v = (const uint8_t *)inputs[1];
    uint8_t *const out = (uint8_t *)outputs[0];
    const int32_t served = p->num_heads / p->num_kv_heads;
    const int32_t value_step = p->num_kv_heads * p->head_dim;
    const int32_t out_step = p->num_heads * p->head_dim;
    ares_codes_product product;

    product.rows = (const uint8_t *)inputs[0];
    product.count = p->queries;
    product.row_step = p->keys;
    product.row_signed = p->weight_signed;
    product.row_zero_point = p->weight_zero_point;
    product.b.depth = p->keys;
    product.b.depth_step = p->inner * value_step;
    product.b.column_step = 1;
    product.b.is_signed = p->value_signed;
    product.b.zero_point = p->value_zero_point;
    product.columns = p->head_dim;
    product.rescale = &p->rescale;
    product.out_step = p->shared ? out_step : p->inner * out_step;
    for (int32_t g = 0; g < p->outer * p->inner; ++g) {
        const int32_t o = g / p->inner;
        const int32_t i = g % p->inner;
        const int32_t value = o * p->keys * p->inner + i;
        const int32_t token = p->shared ? g * p->queries : o * p->queries * p->inner + i;
        for (int32_t h = 0; h < p->num_heads; ++h) {
            product.b.codes = v + value * value_step + h / served * p->head_dim;
            product.out = out + token * out_step + h * p->head_dim;
            ares_multiply_codes(&product, scratch);
            product.rows += p->queries * p->keys;
        }
    }
    return ARES_OK;
}
