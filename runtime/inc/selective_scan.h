/*
 * Selective scan of a state space layer (Mamba), on 8-bit codes (N15).
 *
 *   k = dt[t,d] - dt_zero_point
 *   h[d,n] <- exp(-k * alpha[d,n]) * h[d,n] + k * (x[t,d] - x_zero_point) * (b[t,n] - b_zero_point)
 *   sum    = (sum over n of (c[t,n] - c_zero_point) * h[d,n]) + skip[d] * (x[t,d] - x_zero_point)
 *   out    = clamp(round(sum * multiplier / 2^shift + output_zero_point), lo, hi)
 *
 * h starts at zero and is held times 2^fraction, the sum times 2^(fraction - drop). decay is exp(-alpha) * 2^62;
 * its powers 0..255 are products of at most two of 32 table entries, made for one state at a time.
 *
 * Memory: inputs x, dt [steps][channels], b, c [steps][states]; output [steps][channels]; decay
 * [channels][states], skip [channels].
 * Ranges: sizes >= 1; 0 <= k <= 255; 0 <= decay <= 2^62; 1 <= fraction, drop <= 60; |h| and |sum| <= 2^61 as held,
 * proven from the bounds of the codes; multiplier, shift as in ares_wide_round. No aliasing. Scratch: 16 bytes a step,
 * aligned to 8. Bytes are s8 where *_signed, else u8.
 */
#ifndef ARES_SELECTIVE_SCAN_H
#define ARES_SELECTIVE_SCAN_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_selective_scan_params {
    int32_t steps;
    int32_t channels;
    int32_t states;
    int32_t x_zero_point;
    int32_t x_signed;
    int32_t dt_zero_point;
    int32_t dt_signed;
    int32_t b_zero_point;
    int32_t b_signed;
    int32_t c_zero_point;
    int32_t c_signed;
    int32_t fraction;
    int32_t drop;
    int32_t multiplier;
    int32_t shift;
    int32_t output_zero_point;
    int32_t lo;
    int32_t hi;
    const int64_t *decay;
    const int64_t *skip;
} ares_selective_scan_params;

ares_status ares_selective_scan(const void *params, const void *const *inputs, void *const *outputs,
                                void *scratch);

#endif
