/*
 * Micro-kernels: the inner loops of everything heavy, written once for each instruction set.
 *
 *   ares_tile            acc[r][n] = sum over s, i of x[s][r][i] * w[s][n][i]     r < rows, n < width, i < length
 *   ares_depthwise_tile  acc[c]    = sum over t of x[t][first + c] * w[t][first + c]           c < width, t < taps
 *   ares_requantize      out[r][n] = the code of acc[r][n] (N3 to N5), of the channel first + n
 *
 * x are raw codes, zero points and all: s8 when is_signed, else u8. What z * sum(w) they have too much is in the
 * offsets of the rescale. All sums are exact, |sum| and every part of it < 2^31 (N2, proven by the planner for raw codes),
 * so that the order, the tiles and the instructions are an instruction set's own. Nothing is read or written beside
 * what is named here, and no pointer has to be aligned beyond its C type.
 *
 * Weights of tiles lie in panels, packed by the planner (ares/ops/_panels.py):
 *
 *   [panel of ARES_PANEL_WIDTH channels][segment][length / 4][channels of the panel][4]
 *
 * Every panel is full but the last one of a layer, which is as wide as what is left. Accumulators of a tile are
 * [rows][ARES_PANEL_WIDTH], whatever the width; what is beyond rows and width in them has no meaning.
 *
 * The portable ones, ares_*_portable, are always there: what an instruction set must equal (tests/runtime).
 */
#ifndef ARES_MICROKERNELS_H
#define ARES_MICROKERNELS_H

#include "symbols.h"

#include "numerics.h"
#include "window.h"

#include <stdint.h>

enum {
    ARES_TILE_ROWS = 4,       /* rows of x in a tile at most */
    ARES_TILE_SEGMENTS = 16,  /* segments of a row at most */
    ARES_PANEL_WIDTH = 16,    /* channels of a panel at most */
    ARES_DEPTHWISE_WIDTH = 64 /* channels of a depthwise tile at most */
};

/*
 * Rows of codes, each in segments that may lie anywhere: segment s of row r begins at x[s * ARES_TILE_ROWS + r].
 * 1 <= rows <= ARES_TILE_ROWS, 1 <= segments <= ARES_TILE_SEGMENTS, length a multiple of 4, at least 4.
 */
typedef struct ares_tile_rows {
    const uint8_t *x[ARES_TILE_SEGMENTS * ARES_TILE_ROWS];
    int32_t rows;
    int32_t segments;
    int32_t length;
    int32_t is_signed;
} ares_tile_rows;

/* Taps of a depthwise window: tap t of channel c is x[t][c], its weight weight[t * channels + c]. taps >= 1. */
typedef struct ares_depthwise_taps {
    const uint8_t *const *x;
    int32_t taps;
    int32_t is_signed;
    const int8_t *weight;
    int32_t channels;
} ares_depthwise_taps;

/* panel: the weights of 1 <= width <= ARES_PANEL_WIDTH channels. */
void ares_tile(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc);

/* 1 <= width <= ARES_DEPTHWISE_WIDTH, 0 <= first <= channels - width. */
void ares_depthwise_tile(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                         int32_t *acc);

/*
 * Row r of acc begins at acc[r * ARES_PANEL_WIDTH], of out at out[r * out_step]; rows >= 1. width is one of a panel, or up
 * to ARES_DEPTHWISE_WIDTH with a single row.
 */
void ares_requantize(const ares_rescale *rescale, int32_t first, const int32_t *acc, int32_t rows,
                     int32_t width, uint8_t *out, int32_t out_step);

/* Which micro-kernels run here: "portable", or an instruction set. */
const char *ares_instruction_set(void);

void ares_tile_portable(const ares_tile_rows *rows, const int8_t *panel, int32_t width,
                        int32_t *acc);
void ares_depthwise_tile_portable(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                                  int32_t *acc);
void ares_requantize_portable(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                              int32_t rows, int32_t width, uint8_t *out, int32_t out_step);

/*
 * The fastest tile in C alone: in vectors of GNU C where the processor has some. Where no instruction set is chosen, and
 * with -DARES_PORTABLE, it is what runs.
 */
#if defined(__GNUC__) && !defined(__TINYC__) &&                                                    \
    (defined(__SSE2__) || defined(__ALTIVEC__) || defined(__VX__))
#define ARES_MICRO_VECTORS
#define ARES_TILE_IN_C ares_tile_vectors
void ares_tile_vectors(const ares_tile_rows *rows, const int8_t *panel, int32_t width,
                       int32_t *acc);
#else
#define ARES_TILE_IN_C ares_tile_portable
#endif

/* Which of the others there is, by what the compiler says of the processor. */
#if defined(ARES_PORTABLE)
#elif (defined(__x86_64__) || defined(__i386__)) && __STDC_HOSTED__ &&                             \
    (defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 9 && !defined(_WIN32)))
#define ARES_MICRO_X86 /* micro_x86.h; for Windows gcc aligns no stack for such registers */
#elif defined(__ARM_NEON) && !defined(__ARM_BIG_ENDIAN)
#define ARES_MICRO_NEON
#elif defined(__wasm_simd128__)
#define ARES_MICRO_WASM
#elif defined(__riscv_v) && defined(__riscv_v_intrinsic)
#define ARES_MICRO_RVV
#elif defined(__ARM_FEATURE_MVE) && !defined(__ARM_BIG_ENDIAN)
#define ARES_MICRO_MVE
#elif defined(__ARM_FEATURE_SIMD32) && defined(__ARM_FEATURE_UNALIGNED) &&                         \
    !defined(__ARM_BIG_ENDIAN)
#define ARES_MICRO_DSP
#endif

#if defined(ARES_MICRO_DSP)
void ares_tile_dsp(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc);
void ares_depthwise_tile_dsp(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                             int32_t *acc);
void ares_requantize_dsp(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                         int32_t rows, int32_t width, uint8_t *out, int32_t out_step);
#endif

#if defined(ARES_MICRO_MVE)
void ares_tile_mve(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc);
void ares_depthwise_tile_mve(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                             int32_t *acc);
void ares_requantize_mve(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                         int32_t rows, int32_t width, uint8_t *out, int32_t out_step);
#endif

#if defined(ARES_MICRO_NEON)
void ares_tile_neon(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc);
void ares_depthwise_tile_neon(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                              int32_t *acc);
void ares_requantize_neon(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                          int32_t rows, int32_t width, uint8_t *out, int32_t out_step);
#endif

#if defined(ARES_MICRO_WASM)
void ares_tile_wasm(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc);
void ares_depthwise_tile_wasm(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                              int32_t *acc);
void ares_requantize_wasm(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                          int32_t rows, int32_t width, uint8_t *out, int32_t out_step);
#endif

#if defined(ARES_MICRO_RVV)
void ares_tile_rvv(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc);
void ares_depthwise_tile_rvv(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                             int32_t *acc);
void ares_requantize_rvv(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                         int32_t rows, int32_t width, uint8_t *out, int32_t out_step);
#endif

/*
 * Up to ARES_DEPTHWISE_WIDTH channels, first to first + width - 1, of a depthwise layer, for as many positions as one
 * likes. prepared: what an instruction set makes of their constants.
 */
#if defined(ARES_MICRO_X86)
#define ARES_DEPTHWISE_PREPARED 3456
#else
#define ARES_DEPTHWISE_PREPARED 0
#endif

typedef struct ares_depthwise_block {
    const ares_depthwise_taps *taps;
    const ares_rescale *rescale;
    int32_t first;
    int32_t width;
    int32_t is_prepared;
#if ARES_DEPTHWISE_PREPARED > 0
    uint8_t prepared[ARES_DEPTHWISE_PREPARED];
#endif
} ares_depthwise_block;

/*
 * Positions one behind the other. x of the taps are those of the first; taps first to end - 1 lie in the input, step bytes
 * further at each position that follows, the others at zero points, which stay.
 */
typedef struct ares_depthwise_run {
    int32_t positions;
    int32_t step;
    int32_t first;
    int32_t end;
} ares_depthwise_run;

/* The codes of a block in a run: position i at out[i * channels]. x, those of the block's taps, are changed. */
void ares_depthwise_prepare(ares_depthwise_block *block);
void ares_depthwise_positions(const ares_depthwise_block *block, const ares_depthwise_run *run,
                              const uint8_t **x, uint8_t *out);

/* An image of all channels, windows over it, and the code of its zero points, which are what is outside. */
typedef struct ares_depthwise_image {
    const uint8_t *in;
    const ares_window *down;
    const ares_window *across;
    uint8_t zero;
} ares_depthwise_image;

/* Whether all codes of a block in an image were had at once: position i at out[i * channels]. Taps are not asked where they are. */
#if defined(ARES_MICRO_X86)
int32_t ares_depthwise_all(const ares_depthwise_block *block, const ares_depthwise_image *image,
                           uint8_t *out);
#else
static inline int32_t ares_depthwise_all(const ares_depthwise_block *block,
                                         const ares_depthwise_image *image, uint8_t *out)
{
    (void)block;
    (void)image;
    (void)out;
    return 0;
}
#endif

/*
 * Rows of codes at equal distances: segment s of row i begins at x[s], or, from segment first to end - 1, at x[s] + i * step.
 * positions >= 1; segments, length and is_signed as in ares_tile_rows.
 */
typedef struct ares_tile_run {
    const uint8_t *x[ARES_TILE_SEGMENTS];
    int32_t positions;
    int32_t step;
    int32_t first;
    int32_t end;
    int32_t segments;
    int32_t length;
    int32_t is_signed;
} ares_tile_run;

/* Whether an instruction set does better by runs than tile by tile. */
#if defined(ARES_MICRO_X86)
int ares_has_runs(void);
#else
static inline int ares_has_runs(void)
{
    return 0;
}
#endif

/*
 * What ares_tile and ares_requantize give for each row and all panels of channels first to first + channels - 1, which
 * begin at panels. Row i of out begins at out[i * out_step]. Only where ares_has_runs.
 */
void ares_run_panels(const ares_tile_run *run, const int8_t *panels, const ares_rescale *rescale,
                     int32_t first, int32_t channels, uint8_t *out, int32_t out_step);

#endif
