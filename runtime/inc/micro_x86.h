/*
 * Micro-kernels of x86: which of them a processor has is known at run time only, so that they are chosen then, once,
 * before main begins. A program that calls no constructors keeps the portable ones.
 *
 * The functions of an instruction set are compiled for it one by one (target attributes), whatever the flags say: the
 * rest of the program runs on every processor that it was built for.
 */
#ifndef ARES_MICRO_X86_H
#define ARES_MICRO_X86_H

#include "symbols.h"

#include "micro_elements.h"
#include "micro_floats.h"
#include "micro_rows.h"
#include "microkernels.h"

#include <stdint.h>

#if defined(ARES_MICRO_X86)

/* An instruction set's, and its name. The first three are named as what they are chosen for (microkernels.c). */
typedef struct ares_x86_kernels {
    void (*ares_tile)(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc);
    void (*ares_depthwise_tile)(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                                int32_t *acc);
    void (*ares_requantize)(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                            int32_t rows, int32_t width, uint8_t *out, int32_t out_step);
    /* NULL without; else whether it could be prepared. */
    int32_t (*depthwise_prepare)(ares_depthwise_block *block);
    void (*depthwise_positions)(const ares_depthwise_block *block, const ares_depthwise_run *run,
                                uint8_t *out);
    int32_t (*depthwise_image)(const ares_depthwise_block *block, const ares_depthwise_image *image,
                               uint8_t *out);
    /* NULL without; else as ares_run_panels. */
    void (*run_panels)(const ares_tile_run *run, const int8_t *panels, const ares_rescale *rescale,
                       int32_t first, int32_t channels, uint8_t *out, int32_t out_step);
    /* NULL without; else as ares_add_some and those that follow it. */
    int32_t (*add)(const ares_add_params *p, const uint8_t *in0, const uint8_t *in1, uint8_t *out);
    int32_t (*sum)(const uint8_t *in, int32_t count, int32_t step, int32_t channels,
                   int32_t is_signed, int32_t *sums);
    int32_t (*interleave)(const uint8_t *in, int32_t planes, int32_t stride, int32_t count,
                          uint8_t *out);
    ares_quantize_function *quantize;
    ares_real_outputs_function *real_outputs;
    ares_norm_function *norm;
    ares_moments_function *moments;
    ares_lookup_function *lookup;
    ares_rotary_function *rotary;
    ares_softmax_function *softmax;
    ares_scan_function *scan;
    const char *instruction_set;
} ares_x86_kernels;

/* The best that runs here. */
extern const ares_x86_kernels *ares_x86_chosen;

/*
 * What there is. A processor needs SSE4.1; AVX2; AVX-512 F, BW, DQ, VL and VNNI; and a system that keeps such registers.
 */
extern const ares_x86_kernels ares_x86_sse41;
extern const ares_x86_kernels ares_x86_avx2;
extern const ares_x86_kernels ares_x86_avx512;

/* Parts of theirs in files of their own. */
extern ares_quantize_function ares_quantize_avx512;
extern ares_real_outputs_function ares_real_outputs_avx512;
extern ares_norm_function ares_norm_avx512;
extern ares_moments_function ares_moments_avx512;
extern ares_lookup_function ares_lookup_avx512;
extern ares_rotary_function ares_rotary_avx512;
extern ares_softmax_function ares_softmax_avx512;
extern ares_scan_function ares_scan_avx512;
int32_t ares_interleave_avx2(const uint8_t *in, int32_t planes, int32_t stride, int32_t count,
                             uint8_t *out);
void ares_depthwise_tile_avx512(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                                int32_t *acc);
int32_t ares_depthwise_prepare_avx512(ares_depthwise_block *block);
void ares_depthwise_positions_avx512(const ares_depthwise_block *block,
                                     const ares_depthwise_run *run, uint8_t *out);
int32_t ares_depthwise_image_avx512(const ares_depthwise_block *block,
                                    const ares_depthwise_image *image, uint8_t *out);

/* Whether it permutes bytes too (AVX-512 VBMI), where the kernels with AVX-512 are chosen. */
extern int32_t ares_x86_permutes_bytes;

/* Whether this processor has what the kernels need. */
int ares_x86_can_run(const ares_x86_kernels *kernels);

#endif

#endif
