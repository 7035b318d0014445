/*
 * Scores of attention: every query of a group and head times every key of it.
 *
 *   acc[g,h,i,j] = sum over d of (q[i,h,d] - query_zero_point) * (k[j,kv,d] - key_zero_point)
 *   out[g,h,i,j] = rescale(acc[g,h,i,j])                               (N2, N3 to N5)
 *
 * kv = h / (num_heads / num_kv_heads): heads of queries share heads of keys. 1 / sqrt(head_dim) is part of rescale.
 *
 * Memory: q [tokens][num_heads][head_dim], k [tokens][num_kv_heads][head_dim], out
 * [outer * inner][num_heads][queries][keys]. Key j of group g = o * inner + i is the token (o * keys + j) * inner + i; so is
 * query j with queries in the place of keys, unless they are shared: then it is the token j for all groups.
 *
 * Ranges: all sizes >= 1; num_heads a multiple of num_kv_heads; |acc| <= head_dim * 255 * 255 < 2^31, proven by the planner;
 * rescale has one channel. No aliasing of inputs and output; q may be k. Scratch: that of
 * ares_multiply_codes (codes_product.h). Bytes of q are s8 when
 * query_signed, else u8; k on its own.
 */
#ifndef ARES_ATTENTION_SCORES_H
#define ARES_ATTENTION_SCORES_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_attention_scores_params {
    int32_t outer;
    int32_t inner;
    int32_t queries;
    int32_t keys;
    int32_t num_heads;
    int32_t num_kv_heads;
    int32_t head_dim;
    int32_t shared;
    int32_t query_zero_point;
    int32_t query_signed;
    int32_t key_zero_point;
    int32_t key_signed;
    ares_rescale rescale;
} ares_attention_scores_params;

ares_status ares_attention_scores(const void *params, const void *const *inputs,
                                  void *const *outputs, void *scratch);

#endif
