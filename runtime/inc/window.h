/*
 * A window that slides along one axis of its input, and the taps of it that fall inside.
 *
 *   position of tap j of window i = i * stride - pad + j * dilation    (0 <= i < out, 0 <= j < kernel)
 *
 * Positions outside [0, in) are padding: what a kernel makes of them, its own header says. A kernel over an image has
 * two windows, down its rows and across its columns.
 *
 * Ranges: in, out, kernel, stride and dilation >= 1; pad >= 0, in front of position 0 (what is behind the input
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

#endif
