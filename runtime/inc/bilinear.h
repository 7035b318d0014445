/*
 * The sums of a bilinear interpolation of 8-bit codes, exact in int32 (N2), at places that are fractions of the
 * distance between two inputs: what upsample_bilinear2d and upsample_bilinear_fp32 share.
 *
 *   acc[y,x,c] = sum over i, j of u[y,i] * u[x,j] * (in[i,j,c] - input_zero_point)
 *
 * The weights along an axis: with n = max(y * step + offset, 0), i = n div divisor and r = n mod divisor, input i has
 * divisor - r and the next one r. What lies beyond the last input is the last input.
 *
 * Memory: input [down.in][across.in][channels]: channels last. A signal along one axis is an image of one row.
 *
 * Ranges: in, out, divisor and channels >= 1; step >= 0; (out - 1) * step and it with offset within int32;
 * down.divisor * across.divisor * |code - input_zero_point| < 2^31, proven by the planner. Input bytes are s8 when
 * input_signed, else u8.
 */
#ifndef ARES_BILINEAR_H
#define ARES_BILINEAR_H

#include "symbols.h"

#include "numerics.h"

#include <stdint.h>

/* Where the outputs along an axis lie among the inputs. */
typedef struct ares_line {
    int32_t in;
    int32_t out;
    int32_t step;
    int32_t offset;
    int32_t divisor;
} ares_line;

typedef struct ares_bilinear {
    ares_line down;
    ares_line across;
    int32_t channels;
    int32_t input_zero_point;
    int32_t input_signed;
} ares_bilinear;

/* The two inputs that an output lies between, and their weights. */
typedef struct ares_between {
    int32_t first;
    int32_t second;
    int32_t first_weight;
    int32_t second_weight;
} ares_between;

static inline ares_between ares_between_of(const ares_line *line, int32_t output)
{
    const int32_t last = line->in - 1;
    const int32_t place = output * line->step + line->offset;
    const int32_t n = place < 0 ? 0 : place;
    const int32_t whole = n / line->divisor;
    ares_between found;
    found.first = whole < last ? whole : last;
    found.second = whole < last ? whole + 1 : last;
    found.second_weight = n % line->divisor;
    found.first_weight = line->divisor - found.second_weight;
    return found;
}

/* The sum along one row, of channel c. */
static inline int32_t ares_bilinear_row(const ares_bilinear *p, const uint8_t *row,
                                        ares_between across, int32_t c)
{
    const int32_t z = p->input_zero_point;
    const int32_t a = ares_load_code(row, across.first * p->channels + c, p->input_signed) - z;
    const int32_t b = ares_load_code(row, across.second * p->channels + c, p->input_signed) - z;
    return a * across.first_weight + b * across.second_weight;
}

/* acc of channel c of an output between these rows and columns. */
static inline int32_t ares_bilinear_sum(const ares_bilinear *p, const uint8_t *in,
                                        ares_between down, ares_between across, int32_t c)
{
    const int32_t row = p->across.in * p->channels;
    return ares_bilinear_row(p, in + down.first * row, across, c) * down.first_weight +
           ares_bilinear_row(p, in + down.second * row, across, c) * down.second_weight;
}

#endif
