/*
 * Real values to 8-bit codes: the quantiser at a float input of the network.
 *
 *   x      = in[i], then x = x + c, x - c, c - x, x * c or x / c, or c with the sign of x, for every step
 *   t      = x / scale + zero_point              binary32, each operation rounded on its own (N6, N9)
 *   out[i] = clamp(round_half_even(t), lo, hi)   exact
 *
 * A step's constant is values[i / inner % count]: one for the tensor, one for each channel, one for each element.
 *
 * This is Brevitas' own order: true division, zero point before the rounding, clamp last. Infinities clamp;
 * NaN, which has no code, becomes zero_point; -0.0 is zero. A quotient too small for a normal number may come
 * out differently on different processors, and does not matter: it rounds to zero_point whatever it is.
 *
 * Memory: input binary32 [elements], output bytes [elements], same order. Ranges: elements >= 1, scale a
 * normal positive number, num_steps >= 0, count and inner >= 1, values finite, not zero where they divide, -2^23 < lo <= zero_point <= hi < 2^23 (so that each is exact in binary32).
 * No aliasing. Scratch: none. The output's type is whatever lo and hi are (one byte either way).
 */
#ifndef ARES_QUANTIZE_F32_H
#define ARES_QUANTIZE_F32_H

#include "layer_descriptors.h"
#include "numerics.h"

typedef enum ares_float_step_kind {
    ARES_STEP_ADD,
    ARES_STEP_SUB,  /* x - c */
    ARES_STEP_RSUB, /* c - x */
    ARES_STEP_MUL,
    ARES_STEP_DIV,  /* x / c */
    ARES_STEP_SIGN, /* c for x >= 0, else -c */
} ares_float_step_kind;

typedef struct ares_float_step {
    int32_t kind; /* an ares_float_step_kind */
    int32_t count;
    int32_t inner;
    const float *values; /* [count] */
} ares_float_step;

typedef struct ares_quantize_f32_params {
    int32_t elements;
    float scale;
    int32_t zero_point;
    int32_t lo;
    int32_t hi;
    int32_t num_steps;
    const ares_float_step *steps; /* [num_steps], NULL without */
} ares_quantize_f32_params;

ares_status ares_quantize_f32(const void *params, const void *const *inputs, void *const *outputs,
                              void *scratch);

#endif
