/*
 * Context of attention: values, weighted by the probabilities of their keys.
 *
 *   acc[g,t,h,d] = sum over j of (w[g,h,t,j] - weight_zero_point) * (v[j,kv,d] - value_zero_point)
 *   out[g,t,h,d] = rescale(acc[g,t,h,d])                               (N2, N3 to N5)
 *
 * kv = h / (num_heads / num_kv_heads): heads of queries share heads of values.
 *
 * Memory: w [outer * inner][num_heads][queries][keys], v [tokens][num_kv_heads][head_dim], where value j of group
 * g = o * inner + i is the token (o * keys + j) * inner + i. out [tokens][num_heads][head_dim]: query t of the group
 * is the token (o * queries + t) * inner + i, or g * queries + t when all groups shared the queries.
 *
 * Ranges: all sizes >= 1; num_heads a multiple of num_kv_heads; |acc| <= keys * 255 * 255 < 2^31, proven by the planner;
 * rescale has one channel. No aliasing of inputs and output. Scratch: that of ares_multiply_codes
 * (codes_product.h). Bytes of w are s8
 * when weight_signed, else u8; v on its own.
 */
#ifndef ARES_ATTENTION_CONTEXT_H
#define ARES_ATTENTION_CONTEXT_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_attention_context_params {
    int32_t outer;
    int32_t inner;
    int32_t queries;
    int32_t keys;
    int32_t num_heads;
    int32_t num_kv_heads;
    int32_t head_dim;
    int32_t shared;
    int32_t weight_zero_point;
    int32_t weight_signed;
    int32_t value_zero_point;
    int32_t value_signed;
    ares_rescale rescale;
} ares_attention_context_params;

ares_status ares_attention_context(const void *params, const void *const *inputs,
                                   void *const *outputs, void *scratch);

#endif
