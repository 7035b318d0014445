#include "../inc/convolution.h"

#include <string.h>

/* Bytes that the processor copies at once. */
enum { WORD = sizeof(void *) };

/* Short copies: a call of memcpy costs more than most of them, and a word at a time compiles to one load each. */
static inline void copy(uint8_t *to, const uint8_t *from, int32_t bytes)
{
    int32_t i = 0;
    for (; i + WORD <= bytes; i += WORD) {
        memcpy(to + i, from + i, WORD);
    }
    if (i < bytes && bytes >= WORD) { /* the last word, part of which is there already */
        memcpy(to + bytes - WORD, from + bytes - WORD, WORD);
        return;
    }
    for (; i + 4 <= bytes; i += 4) {
        memcpy(to + i, from + i, 4);
    }
    for (; i < bytes; ++i) {
        to[i] = from[i];
    }
}

static void fill(uint8_t *to, uint8_t byte, int32_t bytes)
{
    for (int32_t i = 0; i < bytes; ++i) {
        to[i] = byte;
    }
}

/*
 * What a patch is made of: runs of codes that are neighbours in memory, so many in each row of the kernel. Patches whose
 * first tap is in one of the first rows and columns are inside the input as a whole.
 */
typedef struct patch_shape {
    int32_t depth;   /* codes of a tap */
    int32_t runs;    /* of a kernel row */
    int32_t taps;    /* of a run */
    int32_t down;    /* codes to the next row of the kernel */
    int32_t across;  /* codes to its next column */
    int32_t rows;    /* of the input, in which a patch may begin that is inside */
    int32_t columns; /* the same */
} patch_shape;

static patch_shape shape_of(const ares_convolution *conv)
{
    const int joined = conv->groups == 1 && conv->across.dilation == 1;
    patch_shape shape;
    shape.depth = conv->in_c / conv->groups;
    shape.runs = joined ? 1 : conv->across.kernel;
    shape.taps = joined ? conv->across.kernel : 1;
    shape.down = conv->down.dilation * conv->across.in * conv->in_c;
    shape.rows = conv->down.in - (conv->down.kernel - 1) * conv->down.dilation;
    shape.columns = conv->across.in - (conv->across.kernel - 1) * conv->across.dilation;
    shape.across = conv->across.dilation * conv->in_c;
    return shape;
}

/* A run of taps that begins at position x of a row of the input, NULL outside: zero points where there is no input. */
static void copy_run(const ares_convolution *conv, const patch_shape *shape, const uint8_t *row,
                     int32_t x, uint8_t *to)
{
    const uint8_t zero = ares_code_byte(conv->input_zero_point);
    int32_t first = x < 0 ? -x : 0;
    int32_t end = conv->across.in - x;
    first = first > shape->taps ? shape->taps : first;
    end = end > shape->taps ? shape->taps : end;
    if (row == NULL || end <= first) {
        fill(to, zero, shape->taps * shape->depth);
        return;
    }
    fill(to, zero, first * shape->depth);
    copy(to + first * shape->depth, row + (x + first) * conv->in_c, (end - first) * shape->depth);
    fill(to + end * shape->depth, zero, (shape->taps - end) * shape->depth);
}

/* A patch that is inside the input as a whole and begins at first. */
static void whole_patch(const ares_convolution *conv, const patch_shape *shape,
                        const uint8_t *first, uint8_t *to, const uint8_t **x)
{
    const int32_t run_bytes = shape->taps * shape->depth;
    int32_t at = 0;
    for (int32_t i = 0; i < conv->down.kernel; ++i) {
        const uint8_t *run = first;
        for (int32_t j = 0; j < shape->runs; ++j) {
            if (conv->in_place) {
                *x = run;
                x += ARES_TILE_ROWS;
            } else {
                copy(to + at, run, run_bytes);
                at += run_bytes;
            }
            run += shape->across;
        }
        first += shape->down;
    }
    if (!conv->in_place) {
        fill(to + at, 0, conv->length - at);
        *x = to;
    }
}

/* The patch whose first tap is at row top and column left: pointed at, or copied to where to points. */
static void patch(const ares_convolution *conv, const patch_shape *shape, const uint8_t *in,
                  int32_t top, int32_t left, uint8_t *to, const uint8_t **x)
{
    const int32_t run_bytes = shape->taps * shape->depth;
    int32_t at = 0;
    for (int32_t i = 0; i < conv->down.kernel; ++i) {
        const int32_t row = top + i * conv->down.dilation;
        const int inside = row >= 0 && row < conv->down.in;
        const uint8_t *const line = inside ? in + row * conv->across.in * conv->in_c : NULL;
        for (int32_t j = 0; j < shape->runs; ++j) {
            const int32_t column = left + j * conv->across.dilation;
            if (conv->in_place && inside && column >= 0 &&
                column + shape->taps <= conv->across.in) {
                *x = line + column * conv->in_c;
            } else {
                copy_run(conv, shape, line, column, to + at);
                *x = to + at;
            }
            at += run_bytes;
            x += conv->in_place ? ARES_TILE_ROWS : 0;
        }
    }
    if (!conv->in_place) {
        fill(to + at, 0, conv->length - at);
        *x = to;
    }
}

void ares_convolution_patches(const ares_convolution *conv, const uint8_t *in, int32_t group,
                              const ares_position *positions, int32_t count, uint8_t *scratch,
                              ares_tile_rows *patches)
{
    const patch_shape shape = shape_of(conv);
    const int32_t segments = conv->segments;
    const int32_t step = conv->across.stride * conv->in_c;
    int beside = 0; /* in place, as a whole, in the row that was before */

    patches->rows = count;
    patches->segments = segments;
    patches->length = conv->length;
    patches->is_signed = conv->input_signed;
    for (int32_t r = 0; r < count; ++r) {
        const int32_t top = positions[r].y * conv->down.stride - conv->down.pad;
        const int32_t left = positions[r].x * conv->across.stride - conv->across.pad;
        const uint8_t **const x = &patches->x[r];
        const int is_whole = top >= 0 && top < shape.rows && left >= 0 && left < shape.columns;
        if (is_whole && beside && positions[r].y == positions[r - 1].y) {
            const int32_t further = (positions[r].x - positions[r - 1].x) * step;
            for (int32_t s = 0; s < segments; ++s) {
                x[s * ARES_TILE_ROWS] = x[s * ARES_TILE_ROWS - 1] + further;
            }
            continue;
        }
        uint8_t *const to = scratch + r * segments * conv->length;
        if (is_whole) {
            const int32_t first = (top * conv->across.in + left) * conv->in_c;
            whole_patch(conv, &shape, in + group * shape.depth + first, to, x);
        } else {
            patch(conv, &shape, in + group * shape.depth, top, left, to, x);
        }
        beside = is_whole && conv->in_place;
    }
}

#if defined(ARES_MICRO_X86)

/* Whole blocks: what the last one has too much is written over by what comes behind it. */
static inline void copy_blocks(uint8_t *to, const uint8_t *from, int32_t bytes)
{
    int32_t i = 0;
    do {
        memcpy(to + i, from + i, ARES_COPY_BLOCK);
        i += ARES_COPY_BLOCK;
    } while (i < bytes);
}

static inline void fill_blocks(uint8_t *to, uint8_t byte, int32_t bytes)
{
    for (int32_t i = 0; i < bytes; i += ARES_COPY_BLOCK) {
        memset(to + i, byte, ARES_COPY_BLOCK);
    }
}

/* As copy_run, in blocks, but where they would end behind the input. */
static void copy_run_in_blocks(const ares_convolution *conv, const patch_shape *shape,
                               const uint8_t *row, const uint8_t *end_of_input, int32_t x,
                               uint8_t *to)
{
    const uint8_t zero = ares_code_byte(conv->input_zero_point);
    const int32_t bytes = shape->taps * shape->depth;
    const int32_t first = x < 0 ? -x : 0;
    const int32_t room = conv->across.in - x;
    const int32_t end = room < shape->taps ? room : shape->taps;
    if (row == NULL || end <= first) {
        fill_blocks(to, zero, bytes);
        return;
    }
    const uint8_t *const from = row + (x + first) * conv->in_c;
    const int32_t inside = (end - first) * shape->depth;
    fill_blocks(to, zero, first * shape->depth);
    if (end_of_input - from < inside + ARES_COPY_BLOCK) {
        copy(to + first * shape->depth, from, inside);
    } else {
        copy_blocks(to + first * shape->depth, from, inside);
    }
    fill_blocks(to + end * shape->depth, zero, (shape->taps - end) * shape->depth);
}

/* Patches that are inside the input as a whole, a step apart; rows: of the kernel. */
static inline void whole_in_blocks(const ares_convolution *conv, const patch_shape *shape,
                                   const uint8_t *first, int32_t count, uint8_t *copies,
                                   const int32_t rows)
{
    const int32_t run_bytes = shape->taps * shape->depth;
    const int32_t down = shape->down;
    for (int32_t r = 0; r < count; ++r) {
        const uint8_t *row = first;
        uint8_t *to = copies;
        for (int32_t i = 0; i < rows; ++i) {
            for (int32_t j = 0; j < shape->runs; ++j) {
                copy_blocks(to, row + j * shape->across, run_bytes);
                to += run_bytes;
            }
            row += down;
        }
        memset(to, 0, 4); /* fills up to length, or is written over */
        first += conv->across.stride * conv->in_c;
        copies += conv->segments * conv->length;
    }
}

/* The same of one run of three rows, in one block each: what stems of images have. */
static void three_blocks(const ares_convolution *conv, const patch_shape *shape,
                         const uint8_t *first, int32_t count, uint8_t *copies)
{
    const int32_t run_bytes = shape->taps * shape->depth;
    const int32_t step = conv->across.stride * conv->in_c;
    const int32_t length = conv->segments * conv->length;
    const uint8_t *const second = first + shape->down;
    const uint8_t *const third = second + shape->down;
    for (int32_t r = 0; r < count; ++r) {
        memcpy(copies, first + r * step, ARES_COPY_BLOCK);
        memcpy(copies + run_bytes, second + r * step, ARES_COPY_BLOCK);
        memcpy(copies + 2 * run_bytes, third + r * step, ARES_COPY_BLOCK);
        memset(copies + 3 * run_bytes, 0, 4);
        copies += length;
    }
}

/* The patch whose first tap is at row top and column left. */
static void one_in_blocks(const ares_convolution *conv, const patch_shape *shape, const uint8_t *in,
                          const uint8_t *end_of_input, int32_t top, int32_t left, uint8_t *to)
{
    const int32_t run_bytes = shape->taps * shape->depth;
    for (int32_t i = 0; i < conv->down.kernel; ++i) {
        const int32_t row = top + i * conv->down.dilation;
        const int inside = row >= 0 && row < conv->down.in;
        const uint8_t *const line = inside ? in + row * conv->across.in * conv->in_c : NULL;
        for (int32_t j = 0; j < shape->runs; ++j) {
            copy_run_in_blocks(conv, shape, line, end_of_input, left + j * conv->across.dilation,
                               to);
            to += run_bytes;
        }
    }
    memset(to, 0, 4);
}

void ares_convolution_copies(const ares_convolution *conv, const uint8_t *in, int32_t group,
                             ares_position position, int32_t is_column, int32_t count,
                             uint8_t *copies)
{
    const patch_shape shape = shape_of(conv);
    const int32_t run_bytes = shape.taps * shape.depth;
    const int32_t step = conv->across.stride * conv->in_c;
    const uint8_t *const end = in + conv->down.in * conv->across.in * conv->in_c;
    int32_t whole; /* the first such column of windows, and the one behind the last */
    int32_t whole_end;

    ares_whole_windows(&conv->across, &whole, &whole_end);
    in += group * shape.depth;
    while (count > 0) {
        const int32_t top = position.y * conv->down.stride - conv->down.pad;
        const int32_t left = position.x * conv->across.stride - conv->across.pad;
        int32_t done = 0;
        if (!is_column && top >= 0 && top < shape.rows && position.x >= whole &&
            position.x < whole_end) {
            /* From the beginning of a patch to behind its last block, at most. */
            const int32_t reach = (conv->down.kernel - 1) * shape.down +
                                  (shape.runs - 1) * shape.across + run_bytes + ARES_COPY_BLOCK;
            const uint8_t *const first = in + (top * conv->across.in + left) * conv->in_c;
            done = whole_end - position.x < count ? whole_end - position.x : count;
            if (end - first < reach + (done - 1) * step) {
                done = end - first < reach ? 0 : (int32_t)(end - first - reach) / step + 1;
            }
            if (conv->down.kernel == 3 && shape.runs == 1 && run_bytes <= ARES_COPY_BLOCK) {
                three_blocks(conv, &shape, first, done, copies);
            } else {
                whole_in_blocks(conv, &shape, first, done, copies, conv->down.kernel);
            }
        }
        if (done == 0) {
            one_in_blocks(conv, &shape, in, end, top, left, copies);
            done = 1;
        }
        copies += done * conv->segments * conv->length;
        count -= done;
        position.y += is_column;
        position.x += is_column ? 0 : done;
        if (position.x == conv->across.out) {
            position.x = 0;
            position.y += 1;
        }
    }
}

#endif

int32_t ares_convolution_window(const ares_convolution *conv, const uint8_t *in,
                                const ares_result_window *window, int32_t group, int32_t first,
                                int32_t width, uint8_t *scratch, int32_t *sums)
{
    const int8_t *const panel = ares_convolution_panel(conv, group, first);
    const ares_taps down = ares_taps_inside(window->rows, window->row);
    const ares_taps across = ares_taps_inside(window->columns, window->column);
    ares_position positions[ARES_TILE_ROWS];
    ares_tile_rows patches;
    int32_t acc[ARES_TILE_ROWS * ARES_PANEL_WIDTH];
    int32_t number = 0;
    int32_t waiting = 0;

    for (int32_t n = 0; n < width; ++n) {
        sums[n] = 0;
    }
    for (int32_t i = down.first; i < down.end; ++i) {
        for (int32_t j = across.first; j < across.end; ++j) {
            positions[waiting].y = down.origin + i * window->rows->dilation;
            positions[waiting].x = across.origin + j * window->columns->dilation;
            ++waiting;
            ++number;
            if (waiting < ARES_TILE_ROWS && (i + 1 < down.end || j + 1 < across.end)) {
                continue;
            }
            ares_convolution_patches(conv, in, group, positions, waiting, scratch, &patches);
            ares_tile(&patches, panel, width, acc);
            for (int32_t r = 0; r < waiting; ++r) {
                for (int32_t n = 0; n < width; ++n) {
                    sums[n] += acc[r * ARES_PANEL_WIDTH + n];
                }
            }
            waiting = 0;
        }
    }
    return number;
}
