/*
 * Normalisation of 8-bit codes in groups: LayerNorm, RMSNorm and GroupNorm (N11). No floating point.
 *
 *   e[i]     = in[i] - input_zero_point,   n = width * positions codes in a group
 *   S1       = sum of e (0 unless is_centred),   S2 = sum of e^2
 *   W        = (n * S2 - S1^2) * 2^variance_shift + variance_offset          variance and eps
 *   R, k     : 1 / sqrt(W) = R * 2^(k - 68), R in [2^36, 2^37]               once a group
 *   p[i]     = floor((n * e[i] - S1) * R * multiplier[c] / 2^32)
 *   total[i] = floor(p[i] / 2^(root_shift - k)) + offset[c]                  exact where that is a left shift
 *   out[i]   = finish(total[i])                                              (N1, then N4 or N5)
 *
 * c is the channel, groups * width of them; multiplier (gamma, signed here) and offset (beta and zero point) are
 * those of rescale, one each or one a channel.
 *
 * Memory: rows * groups * width * positions elements, row by row; in a row the element of channel c and position i
 * lies at c * channel_stride + i * position_stride. Row-major N C ...: strides positions and 1; channels last: 1 and
 * groups * width; over the last axis: groups = positions = 1.
 *
 * Ranges: sizes >= 1; n <= 2^17; variance_shift even; variance_offset >= 1 and W < 2^63; |multiplier| < 2^31,
 * |offset| < 2^61, |total| < 2^62: proven by the planner (ares/numerics/norms.py). out may be in: a group is summed
 * before any of it is written. Scratch: none. Input bytes are s8 when input_signed, else u8.
 */
#ifndef ARES_NORM_H
#define ARES_NORM_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_norm_params {
    int32_t rows;
    int32_t groups;
    int32_t width;
    int32_t positions;
    int32_t channel_stride;
    int32_t position_stride;
    int32_t is_centred;
    int32_t input_zero_point;
    int32_t input_signed;
    int32_t variance_shift;
    int32_t root_shift;
    int64_t variance_offset;
    ares_rescale rescale;
} ares_norm_params;

ares_status ares_norm(const void *params, const void *const *inputs, void *const *outputs,
                      void *scratch);

#endif
