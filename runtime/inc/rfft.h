/*
 * Real DFT of every row of codes; the magnitudes of its bins, or their phases, as codes.
 *
 *   re[k] = sum over n of (in[n] - input_zero_point) * cosine[n k mod length]             (N16)
 *   im[k] = sum over n of (in[n] - input_zero_point) * -sine[n k mod length]
 *   out[k] = first + number of steps passed                     k = 0 .. length / 2
 *
 * Magnitude: step j is passed when sqrt(re^2 + im^2) > thresholds[j], and at equality when first + j is odd, so
 * that a tie takes the even code (N1). Phase: parts of at most 2^20 count as zero; step j is passed when the angle
 * of (re, im), in (-pi, pi], is at least that of directions[2 j], directions[2 j + 1]; the angle of (0, 0) is 0.
 * Both compare after both parts were divided by the smallest power of two that leaves 31 bits.
 *
 * Memory: input [rows][length], output [rows][length / 2 + 1], bytes: s8 or u8 codes.
 * Ranges: rows >= 1; 2 <= length <= 1024; tables Q30 with cosine[length - j] = cosine[j], sine[length - j] = -sine[j];
 * |re|, |im| <= 255 * 1024 * 2^30 < 2^48; 0 <= thresholds <= 2^62, ascending; directions Q30, ascending from -pi to
 * pi, the first `below` with sine < 0. No aliasing of input and output. Scratch: int16, 2 * (length / 2 + 1).
 */
#ifndef ARES_RFFT_H
#define ARES_RFFT_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_rfft_params {
    int32_t rows;
    int32_t length;
    int32_t input_zero_point;
    int32_t input_signed;
    int32_t first;
    int32_t is_phase;
    int32_t below;
    int32_t num_steps;
    const int32_t *cosine;     /* [length] */
    const int32_t *sine;       /* [length] */
    const int64_t *thresholds; /* [num_steps], magnitude only */
    const int32_t *directions; /* [num_steps][2], phase only */
} ares_rfft_params;

ares_status ares_rfft(const void *params, const void *const *inputs, void *const *outputs,
                      void *scratch);

#endif
