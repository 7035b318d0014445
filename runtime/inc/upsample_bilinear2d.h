/*
 * Bilinear interpolation of 8-bit codes, to any size.
 *
 *   out[y,x,c] = rescale(acc[y,x,c], c)                                (N2, N3 to N5)
 *
 * acc are the sums of bilinear.h, which says what they are made of.
 *
 * Memory: input [down.in][across.in][channels], output [down.out][across.out][channels]: channels last. The output's
 * type is whatever the codes of rescale are (one byte either way). No aliasing of input and output. Scratch: none.
 */
#ifndef ARES_UPSAMPLE_BILINEAR2D_H
#define ARES_UPSAMPLE_BILINEAR2D_H

#include "layer_descriptors.h"
#include "bilinear.h"
#include "numerics.h"

typedef struct ares_upsample_bilinear2d_params {
    ares_bilinear image;
    ares_rescale rescale;
} ares_upsample_bilinear2d_params;

ares_status ares_upsample_bilinear2d(const void *params, const void *const *inputs,
                                     void *const *outputs, void *scratch);

#endif
