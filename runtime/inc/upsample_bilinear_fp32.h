/*
 * Bilinear interpolation of 8-bit codes whose result stays real: a network that ends with maps in a larger size.
 *
 *   out[y,x,c] = (float)acc[y,x,c] * scale[c] + bias[c]                (N2, N9)
 *
 * acc are the sums of bilinear.h, which says what they are made of. Each of the three binary32 operations (conversion,
 * product, sum) is rounded on its own, in this order.
 *
 * Memory: input [down.in][across.in][channels], output [down.out][across.out][channels] binary32: channels last; scale
 * has one element per channel, bias too, or is NULL. No aliasing. Scratch: none.
 */
#ifndef ARES_UPSAMPLE_BILINEAR_FP32_H
#define ARES_UPSAMPLE_BILINEAR_FP32_H

#include "layer_descriptors.h"
#include "bilinear.h"

typedef struct ares_upsample_bilinear_fp32_params {
    ares_bilinear image;
    const float *scale;
    const float *bias;
} ares_upsample_bilinear_fp32_params;

ares_status ares_upsample_bilinear_fp32(const void *params, const void *const *inputs,
                                        void *const *outputs, void *scratch);

#endif
