/*
 * Windows along one axis of an input, and what of them falls inside.
 *
 * A window of taps slides (convolutions):
 *
 *   position of tap j of window i = i * stride - pad + j * dilation    (0 <= i < out, 0 <= j < kernel)
 *
 * A span has a size that may differ from window to window (poolings); window i is every dilation-th position of
 *
 *   floor(i * step / share) - pad  up to, not including,  ceil((i * step + reach) / share) - pad
 *
 * One that slides has its stride for step and share = 1; those that share the input evenly (adaptive pooling) have
 * step = reach = in, share = out and pad = 0.
 *
 * Positions outside [0, in) are padding: what a kernel makes of them, its own header says. A kernel over an image has
 * two windows, down its rows and across its columns.
 *
 * Ranges: in, out, kernel, stride, dilation, step, share and reach >= 1; pad >= 0, in front of position 0 (what is behind the input
 * follows from out); every position within int32.
 */
#ifndef ARES_WINDOW_H
#define ARES_WINDOW_H

#include "symbols.h"

#include <stdint.h>

typedef struct ares_window {
    int32_t in;
    int32_t out;
    int32_t kernel;
    int32_t stride;
    int32_t pad;
    int32_t dilation;
} ares_window;

/* Taps that fall inside the input: first <= j < end, none where end <= first. origin: position of tap 0, which may
 * lie outside. */
typedef struct ares_taps {
    int32_t origin;
    int32_t first;
    int32_t end;
} ares_taps;

static inline ares_taps ares_taps_inside(const ares_window *window, int32_t i)
{
    const int32_t origin = i * window->stride - window->pad;
    const int32_t dilation = window->dilation;
    ares_taps inside;
    inside.origin = origin;
    inside.first = origin < 0 ? (-origin + dilation - 1) / dilation : 0;
    inside.end = origin >= window->in ? 0 : (window->in - 1 - origin) / dilation + 1;
    if (inside.end > window->kernel) {
        inside.end = window->kernel;
    }
    return inside;
}

/* Windows along an axis whose taps are all inside: first <= i < end, none where they are
 * equal. */
static inline void ares_whole_windows(const ares_window *window, int32_t *first, int32_t *end)
{
    const int32_t room = window->in - 1 - (window->kernel - 1) * window->dilation + window->pad;
    *first = (window->pad + window->stride - 1) / window->stride;
    *end = room < 0 ? 0 : room / window->stride + 1;
    *end = *end > window->out ? window->out : *end;
    *first = *first > window->out ? window->out : *first;
    *end = *end < *first ? *first : *end;
}

typedef struct ares_span {
    int32_t in;
    int32_t out;
    int32_t step;
    int32_t share;
    int32_t reach;
    int32_t pad;
    int32_t dilation;
} ares_span;

/* Positions: every dilation-th of first <= position < end. */
typedef struct ares_extent {
    int32_t first;
    int32_t end;
} ares_extent;

/* Window i of a span, which may reach outside the input. */
static inline ares_extent ares_extent_of(const ares_span *span, int32_t i)
{
    /* 64 bits: with shares it is the product of two sizes. */
    const int64_t start = (int64_t)i * span->step;
    const int64_t stop = start + span->reach;
    ares_extent whole;
    if (span->share == 1) {
        whole.first = (int32_t)start - span->pad;
        whole.end = (int32_t)stop - span->pad;
    } else {
        whole.first = (int32_t)(start / span->share) - span->pad;
        whole.end = (int32_t)((stop + span->share - 1) / span->share) - span->pad;
    }
    return whole;
}

/* Its positions inside the input; none where end <= first. */
static inline ares_extent ares_extent_inside(const ares_span *span, ares_extent whole)
{
    if (whole.first < 0) {
        whole.first += (-whole.first + span->dilation - 1) / span->dilation * span->dilation;
    }
    if (whole.end > span->in) {
        whole.end = span->in;
    }
    return whole;
}

#endif
