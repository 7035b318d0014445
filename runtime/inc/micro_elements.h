/*
 * What an instruction set can do to many elements at once, of kernels that are otherwise loops over single ones. What has
 * to do with binary32 is in micro_floats.h.
 *
 * Each function answers how many it has done, from the first one on: 0 where there is nothing better than the kernel's own
 * loop, which does the rest.
 */
#ifndef ARES_MICRO_ELEMENTS_H
#define ARES_MICRO_ELEMENTS_H

#include "symbols.h"

#include "add.h"
#include "microkernels.h"

#include <stdint.h>

/* Elements of one repetition (add.h). */
int32_t ares_add_some(const ares_add_params *p, const uint8_t *in0, const uint8_t *in1,
                      uint8_t *out);

/* Channels: sums[c] += in[k * step + c], k < count. Sums of less than 2^31. */
int32_t ares_sum_some(const uint8_t *in, int32_t count, int32_t step, int32_t channels,
                      int32_t is_signed, int32_t *sums);

/* Bytes of each plane: out[i * planes + k] = in[k * stride + i], k < planes. */
int32_t ares_interleave_some(const uint8_t *in, int32_t planes, int32_t stride, int32_t count,
                             uint8_t *out);

/* What they are of the instruction sets that have them; x86's are in micro_x86.h. */
#if defined(ARES_MICRO_MVE)
int32_t ares_add_mve(const ares_add_params *p, const uint8_t *in0, const uint8_t *in1,
                     uint8_t *out);
#endif

#if defined(ARES_MICRO_NEON)
int32_t ares_add_neon(const ares_add_params *p, const uint8_t *in0, const uint8_t *in1,
                      uint8_t *out);
#endif

#endif
