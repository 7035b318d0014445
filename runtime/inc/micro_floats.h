/*
 * As micro_elements.h, of kernels of the float clause (N6, N9): every operation rounded on its own, none contracted.
 */
#ifndef ARES_MICRO_FLOATS_H
#define ARES_MICRO_FLOATS_H

#include "symbols.h"

#include "quantize_f32.h"

#include <stdint.h>

typedef int32_t ares_quantize_function(const ares_quantize_f32_params *p, const float *in,
                                       uint8_t *out);
typedef int32_t ares_real_outputs_function(const int32_t *acc, int32_t count, const float *scale,
                                           const float *bias, float *out);

/* Elements (quantize_f32.h). */
ares_quantize_function ares_quantize_some;

/* Results of a panel (real_output.h): acc, scale, bias, which may be NULL, and out have count elements. */
ares_real_outputs_function ares_real_outputs_some;

#endif
