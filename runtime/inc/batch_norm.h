/*
 * A factor and an offset, or a function, for each channel of 8-bit codes: BatchNorm where no layer takes it.
 *
 *   out[o,c,i] = rescale[c](in[o,c,i] - input_zero_point)              (N3, then N4 or N5)
 *
 * Nothing is summed: the accumulator is one code's step. The offset of channel c holds the BatchNorm's mean and beta
 * and the output's zero point, the multiplier gamma and both scales; it is negative where gamma is.
 *
 * Memory: in and out [outer][channels][inner], any axes before and behind that of the channels. rescale has one
 * element for each channel, or a single one (channel_stride 0).
 *
 * Ranges: sizes >= 1; |in - input_zero_point| <= 255; constants as numerics.h says for accumulators up to 255.
 * Bytes of in are s8 when input_signed, else u8. out may be in: element i is read before it is written and never
 * after. Scratch: none.
 */
#ifndef ARES_BATCH_NORM_H
#define ARES_BATCH_NORM_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef struct ares_batch_norm_params {
    int32_t outer;
    int32_t channels;
    int32_t inner;
    int32_t input_zero_point;
    int32_t input_signed;
    ares_rescale rescale;
} ares_batch_norm_params;

ares_status ares_batch_norm(const void *params, const void *const *inputs, void *const *outputs,
                            void *scratch);

#endif
