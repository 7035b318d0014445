/*
 * As micro_elements.h, of kernels that go through rows, groups or channels: LayerNorm and its like, softmax, tables, rotary
 * embeddings, the scan.
 */
#ifndef ARES_MICRO_ROWS_H
#define ARES_MICRO_ROWS_H

#include "symbols.h"

#include "microkernels.h"
#include "norm.h"
#include "rotary.h"
#include "selective_scan.h"
#include "softmax.h"

#include <stdint.h>

/* What the statistics of a group make of its elements (norm.h). */
typedef struct ares_norm_group {
    int64_t unit;  /* what a step of the input is worth: |unit * step - lead| < 2^62 */
    int64_t lead;  /* what is taken from it */
    int32_t shift; /* of the scaled difference: to the right, or to the left where it is negative */
    int32_t first; /* channel of the rescale */
} ares_norm_group;

/* Channels of a group, all or none; out may be in. */
typedef int32_t ares_norm_function(const ares_norm_params *p, const ares_norm_group *group,
                                   const uint8_t *in, uint8_t *out);

/* Codes of count, at most 2^15, all or none: their sum and that of their squares. */
typedef int32_t ares_moments_function(const uint8_t *codes, int32_t count, int32_t is_signed,
                                      int32_t *sum, int32_t *squares);

/* Codes, all or none: out[i] = table[in[i]], table of 256; out may be in. */
typedef int32_t ares_lookup_function(const uint8_t *table, const uint8_t *in, int32_t count,
                                     uint8_t *out);

/* Pairs of a head (rotary.h), all or none; out may be in. */
typedef int32_t ares_rotary_function(const ares_rotary_params *p, const int32_t *cos,
                                     const int32_t *sin, const uint8_t *in, uint8_t *out);

/* Rows (softmax.h), all or none; out may be in. */
typedef int32_t ares_softmax_function(const ares_softmax_params *p, const uint8_t *in,
                                      uint8_t *out);

/* Channels of a scan (selective_scan.h), from the first one on. */
typedef int32_t ares_scan_function(const ares_selective_scan_params *p, const void *const *inputs,
                                   uint8_t *out);

#if defined(ARES_MICRO_X86)
ares_norm_function ares_norm_some;
ares_moments_function ares_moments_some;
ares_lookup_function ares_lookup_some;
ares_rotary_function ares_rotary_some;
ares_softmax_function ares_softmax_some;
ares_scan_function ares_scan_some;
#else
/* Nobody, known to the compiler. */
static inline int32_t ares_norm_some(const ares_norm_params *p, const ares_norm_group *group,
                                     const uint8_t *in, uint8_t *out)
{
    (void)p;
    (void)group;
    (void)in;
    (void)out;
    return 0;
}

static inline int32_t ares_moments_some(const uint8_t *codes, int32_t count, int32_t is_signed,
                                        int32_t *sum, int32_t *squares)
{
    (void)codes;
    (void)count;
    (void)is_signed;
    (void)sum;
    (void)squares;
    return 0;
}

static inline int32_t ares_lookup_some(const uint8_t *table, const uint8_t *in, int32_t count,
                                       uint8_t *out)
{
    (void)table;
    (void)in;
    (void)count;
    (void)out;
    return 0;
}

static inline int32_t ares_rotary_some(const ares_rotary_params *p, const int32_t *cos,
                                       const int32_t *sin, const uint8_t *in, uint8_t *out)
{
    (void)p;
    (void)cos;
    (void)sin;
    (void)in;
    (void)out;
    return 0;
}

static inline int32_t ares_softmax_some(const ares_softmax_params *p, const uint8_t *in,
                                        uint8_t *out)
{
    (void)p;
    (void)in;
    (void)out;
    return 0;
}

static inline int32_t ares_scan_some(const ares_selective_scan_params *p, const void *const *inputs,
                                     uint8_t *out)
{
    (void)p;
    (void)inputs;
    (void)out;
    return 0;
}

#endif

#endif
