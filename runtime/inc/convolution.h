/*
 * The sums of a convolution of 8-bit codes, exact in int32 (N2): what conv2d, conv_sum and conv_fp32 share.
 *
 *   acc[y,x,o] = sum over i,j,c of (in[y*down.stride - down.pad + i*down.dilation,
 *                                      x*across.stride - across.pad + j*across.dilation, c] - input_zero_point)
 *                * weight[o,i,j,c]
 *
 * Memory: input [down.in][across.in][in_c]: channels last. A signal along one axis is an image of one row. Positions outside
 * the input are the real value zero and add nothing. Output channel o reads input channels of group o / (out_c /
 * groups).
 *
 * Weights are panels (microkernels.h), group by group, whose rows are patches: what one window sees, [down.kernel]
 * [across.kernel][in_c / groups] codes. With in_place a patch is read where it lies, in segments of length bytes, a
 * multiple of 4: each a row of the kernel where its taps are neighbours in memory (groups and across.dilation are 1),
 * else a tap. Otherwise a patch is one segment, copied together and filled up to length, with weights of zero.
 *
 * Scratch of ares_convolution_patches: segments * length bytes for each position of a call, for what is copied: all patches,
 * or in_place those that reach outside the input; NULL where none does.
 *
 * Ranges: windows as in window.h; in_c, out_c and groups >= 1; in_c and out_c divisible by groups; sums of raw codes, with
 * input_zero_point outside the input, < 2^31, proven by the planner from the weights. Input bytes are s8 when
 * input_signed, else u8.
 */
#ifndef ARES_CONVOLUTION_H
#define ARES_CONVOLUTION_H

#include "symbols.h"

#include "microkernels.h"
#include "window.h"

#include <stdint.h>

typedef struct ares_convolution {
    ares_window down;
    ares_window across;
    int32_t in_c;
    int32_t out_c;
    int32_t groups;
    int32_t input_zero_point;
    int32_t input_signed;
    int32_t in_place;
    int32_t segments;
    int32_t length;
    const int8_t *weight;
} ares_convolution;

/* A position among the windows: row by row, from the left to the right. */
typedef struct ares_position {
    int32_t y;
    int32_t x;
} ares_position;

/*
 * The patches of a group at the given positions, 1 to ARES_TILE_ROWS of them, as a tile reads them. They may lie in
 * scratch: the next call writes over them.
 */
void ares_convolution_patches(const ares_convolution *conv, const uint8_t *in, int32_t group,
                              const ares_position *positions, int32_t count, uint8_t *scratch,
                              ares_tile_rows *patches);

/* Bytes that are copied at once, and may be written behind copies. */
#define ARES_COPY_BLOCK 16

/*
 * The patches of a group at count positions from the given one on, row by row or, is_column being 1, down: copies one behind
 * the other, segments * length bytes each, in_place or not, and then up to ARES_COPY_BLOCK bytes without meaning. A copy is one
 * segment for the panels. Only where ares_has_runs.
 */
#if defined(ARES_MICRO_X86)
void ares_convolution_copies(const ares_convolution *conv, const uint8_t *in, int32_t group,
                             ares_position position, int32_t is_column, int32_t count,
                             uint8_t *copies);
#else
static inline void ares_convolution_copies(const ares_convolution *conv, const uint8_t *in,
                                           int32_t group, ares_position position, int32_t is_column,
                                           int32_t count, uint8_t *copies)
{
    (void)conv;
    (void)in;
    (void)group;
    (void)position;
    (void)is_column;
    (void)count;
    (void)copies;
}
#endif

/* A window of results: y and x are the positions of the taps row and column of windows over [0, down.out) and
 * [0, across.out). */
typedef struct ares_result_window {
    const ares_window *rows;
    const ares_window *columns;
    int32_t row;
    int32_t column;
} ares_result_window;

/*
 * What the results in a window add up to, for n < width output channels first + n of a group: sums[n] of raw codes. The
 * answer is their number, so that the accumulators are sums[n] - number * input_zero_point * (sum of the channel's
 * weights). first is a multiple of ARES_PANEL_WIDTH, 1 <= width <= ARES_PANEL_WIDTH, to the end of the group.
 */
int32_t ares_convolution_window(const ares_convolution *conv, const uint8_t *in,
                                const ares_result_window *window, int32_t group, int32_t first,
                                int32_t width, uint8_t *scratch, int32_t *sums);

/* The panel of output channels first .. of a group; first is a multiple of ARES_PANEL_WIDTH. */
static inline const int8_t *ares_convolution_panel(const ares_convolution *conv, int32_t group,
                                                   int32_t first)
{
    const int32_t channel = group * (conv->out_c / conv->groups) + first;
    return conv->weight + channel * conv->segments * conv->length;
}

#endif
