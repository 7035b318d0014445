/*
 * Steps that all channels share (N5) behind the sums of many rows, with permutations of bytes (AVX-512 VBMI): no value is
 * rounded, and no table of theirs is read value by value.
 */
#ifndef ARES_MICRO_STEPS_AVX512_H
#define ARES_MICRO_STEPS_AVX512_H

#include "symbols.h"

#include "micro_avx512.h"

#if defined(ARES_MICRO_X86)

enum {
    ARES_STEP_BUCKETS = 512,
    ARES_STEP_ROWS = 16,     /* rows at a time at most */
    ARES_STEP_WORTH_IT = 512 /* codes from which on the tables are worth making */
};

/*
 * Buckets of 2^bits values from origin on, with one threshold each at most: its place there in 2^16 parts, and the codes
 * below it and from it on.
 */
typedef struct ares_step_tables {
    uint8_t high[ARES_STEP_BUCKETS]; /* of the place */
    uint8_t low[ARES_STEP_BUCKETS];
    uint8_t under[ARES_STEP_BUCKETS];
    uint8_t from[ARES_STEP_BUCKETS];
    int64_t origin;
    int64_t reach; /* of the last threshold from origin */
    int32_t bits;
    int32_t buckets;
} ares_step_tables;

/* Whether this processor permutes bytes, and such tables can be had. */
int ares_step_tables_of(ares_step_tables *tables, const ares_rescale *rescale);

/* Constants of sixteen channels, those of even and of odd lanes apart. */
typedef struct ares_step_scaling {
    __m512i multiplier[2];
    __m512i offset[2];
    __m512i top[2];
    __m512i turn[2];
} ares_step_scaling;

/* Whether the shifts of these channels, first to first + width - 1, are small enough. */
int ares_step_scaling_of(ares_step_scaling *s, const ares_step_tables *tables,
                         const ares_rescale *rescale, int32_t first, int32_t width);

/*
 * The codes of sums, as ares_requantize gives them: rows 1 to ARES_STEP_ROWS of a panel. acc has whole rows, and as many as a
 * multiple of four.
 */
void ares_step_rows_avx512(const ares_step_tables *tables, const ares_step_scaling *s,
                           const ares_rescale *rescale, int32_t first, const int32_t *acc,
                           int32_t rows, int32_t width, uint8_t *out, int32_t out_step);

#endif

#endif
