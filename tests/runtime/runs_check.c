/*
 * What an instruction set does to many positions or elements at once, against the portable micro-kernels one by one, which
 * micro_check.c proves: runs of panels, runs of depthwise positions and images (microkernels.h), and the functions of
 * micro_elements.h and micro_floats.h against plain loops. runs_check SEED FIRST COUNT; its lines are those of micro_check.c.
 *
 * Arrays that are read end where memory ends, images also begin where it begins; around what is written lie bytes that
 * must stay.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */

#include "micro_elements.h"
#include "micro_floats.h"
#include "microkernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 65536, ROOM = 4 * PAGE, CHANNELS = 200, TAPS = 30, AREAS = 8, SLACK = 64 };
enum { IN, WEIGHT, OUT, MULTIPLIER, OFFSET, SHIFT, OTHER, ZERO };
enum { RUNS, DEPTHWISE, ADD, QUANTIZE, SUM, REAL, IMAGE, INTERLEAVE, KINDS };
enum { TIES, CUTS, STILL, SINGLE, MANY, SMALL_SHIFTS, OUTSIDE, FACTS };

static const char *const fact_names[FACTS] = {"ties", "cuts",         "still",  "single",
                                              "many", "small-shifts", "outside"};
static uint32_t reached[FACTS];
static uint8_t *ends[AREAS];
static uint64_t state;

static uint64_t draw(void)
{
    uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int32_t between(int32_t first, int32_t last)
{
    return (int32_t)(first + (int64_t)(draw() % (uint64_t)((int64_t)last - first + 1)));
}

/* An array that ends where nothing may be read, filled with anything, often extremes. */
static uint8_t *place(int which, int32_t bytes)
{
    static const uint8_t extremes[] = {0, 127, 128, 255};
    uint8_t *const at = ends[which] - bytes;
    const int is_extreme = between(0, 3) == 0;
    for (int32_t i = 0; i < bytes; ++i) {
        at[i] = is_extreme ? extremes[draw() % 4] : (uint8_t)(draw() >> 56);
    }
    return at;
}

/* Constants for channels first to first + width - 1, which end there. */
static void make_rescale(ares_rescale *rescale, int32_t channels)
{
    const int32_t count = between(0, 3) == 0 ? 1 : channels;
    const int is_small = between(0, 5) == 0; /* shifts below 32 */
    const int is_power = between(0, 2) == 0; /* many ties */
    int32_t *const multiplier = (int32_t *)(void *)(ends[MULTIPLIER] - 4 * count);
    int64_t *const offset = (int64_t *)(void *)(ends[OFFSET] - 8 * count);
    uint8_t *const shift = ends[SHIFT] - count;
    for (int32_t c = 0; c < count; ++c) {
        const int32_t bits = is_small ? between(20, 40) : between(34, 46);
        const int32_t top = bits - between(6, 14);
        const int64_t large = (int64_t)1 << (top > 30 ? 30 : top);
        multiplier[c] =
            (int32_t)(is_power ? large : large / 2 + (int64_t)(draw() % (uint64_t)large));
        multiplier[c] = between(0, 7) == 0 ? -multiplier[c] : multiplier[c];
        offset[c] = (int64_t)between(-40, 40) * ((int64_t)1 << bits) + ((int64_t)1 << (bits - 1));
        shift[c] = (uint8_t)bits;
    }
    reached[SMALL_SHIFTS] += (uint32_t)is_small;
    memset(rescale, 0, sizeof *rescale);
    rescale->multiplier = multiplier;
    rescale->offset = offset;
    rescale->shift = shift;
    rescale->channel_stride = count > 1 ? 1 : channels == 1 && between(0, 1);
    rescale->lo = between(0, 1) ? -between(1, 128) : between(0, 20);
    rescale->hi = rescale->lo < 0 ? between(0, 127) : between(rescale->lo, 255);
}

static void note(const ares_rescale *rescale, int32_t acc, int32_t channel)
{
    const int32_t c = channel * rescale->channel_stride;
    const int64_t total = (int64_t)acc * rescale->multiplier[c] + rescale->offset[c];
    const int64_t code = ares_floor_shift(total, rescale->shift[c]);
    reached[TIES] += (uint64_t)total << (64 - rescale->shift[c]) == 0;
    reached[CUTS] += code < rescale->lo || code > rescale->hi;
}

static uint8_t canary(int32_t i)
{
    return (uint8_t)(0xA5 ^ (i * 7));
}

static uint8_t *painted(int32_t bytes)
{
    uint8_t *const at = ends[OUT] - bytes - SLACK;
    for (int32_t i = -SLACK; i < bytes + SLACK; ++i) {
        at[i] = canary(i);
    }
    return at;
}

/* Compares with what is expected: bytes of results among others that must stay. */
static void compare(const char *what, const uint8_t *out, const uint8_t *expected, int32_t bytes)
{
    for (int32_t i = -SLACK; i < bytes + SLACK; ++i) {
        const uint8_t due = i < 0 || i >= bytes ? canary(i) : expected[i];
        if (out[i] != due) {
            printf("wrong %s byte %d of %d: expected %d, found %d\n", what, (int)i, (int)bytes,
                   (int)due, (int)out[i]);
            exit(1);
        }
    }
}

static void check_runs(uint32_t number)
{
    static uint8_t expected[ROOM];
    ares_tile_run run = {{NULL},
                         between(0, 2) ? between(1, 13) : 1,
                         0,
                         0,
                         0,
                         between(1, 6),
                         4 * between(1, 20),
                         between(0, 1)};
    ares_rescale rescale;
    const int32_t channels = between(1, 70);
    const int32_t out_step = channels + between(0, 1) * between(0, 9);
    const int32_t bytes = (run.positions - 1) * out_step + channels;
    printf("case %u runs positions %d segments %d length %d channels %d s8 %d\n", number,
           (int)run.positions, (int)run.segments, (int)run.length, (int)channels,
           (int)run.is_signed);
    run.step = between(1, 3) * 4;
    run.first = between(0, run.segments);
    run.end = between(run.first, run.segments);
    const int32_t span = run.length + (run.positions - 1) * run.step;
    const uint8_t *const in = place(IN, span * run.segments);
    const uint8_t *const still = place(ZERO, run.length);
    for (int32_t s = 0; s < run.segments; ++s) {
        run.x[s] = s >= run.first && s < run.end ? in + s * span : still;
        reached[STILL] += run.x[s] == still;
    }
    const int8_t *const panels = (int8_t *)place(WEIGHT, channels * run.segments * run.length);
    make_rescale(&rescale, channels);
    reached[run.positions == 1 ? SINGLE : MANY] += 1;
    uint8_t *const out = painted(bytes);
    memcpy(expected, out, (size_t)bytes);
    for (int32_t i = 0; i < run.positions; ++i) {
        ares_tile_rows row = {{NULL}, 1, run.segments, run.length, run.is_signed};
        for (int32_t s = 0; s < run.segments; ++s) {
            row.x[s * ARES_TILE_ROWS] = run.x[s] + (run.x[s] == still ? 0 : i * run.step);
        }
        for (int32_t n = 0; n < channels; n += ARES_PANEL_WIDTH) {
            const int32_t left = channels - n;
            const int32_t width = left < ARES_PANEL_WIDTH ? left : ARES_PANEL_WIDTH;
            int32_t acc[ARES_PANEL_WIDTH];
            ares_tile_portable(&row, panels + n * run.segments * run.length, width, acc);
            ares_requantize_portable(&rescale, n, acc, 1, width, expected + i * out_step + n,
                                     width);
            for (int32_t k = 0; k < width; ++k) {
                note(&rescale, acc[k], n + k);
            }
        }
    }
    ares_run_panels(&run, panels, &rescale, 0, channels, out, out_step);
    compare("runs", out, expected, bytes);
}

static void check_depthwise(uint32_t number)
{
    static uint8_t expected[ROOM];
    static const int32_t round[] = {8, 16, 32, 64, 4, 128};
    const uint8_t *x[TAPS];
    const uint8_t *at[TAPS];
    const int32_t channels = between(0, 1) ? round[draw() % 6] : between(1, CHANNELS);
    const int32_t taps = between(1, TAPS);
    const int32_t stride = between(1, 3);
    const ares_depthwise_taps window = {x, taps, between(0, 1), NULL, channels};
    ares_depthwise_taps here = window;
    ares_depthwise_run run = {between(0, 2) ? between(1, 20) : 1, stride * channels, 0, 0};
    ares_rescale rescale;
    const int32_t bytes = run.positions * channels;
    printf("case %u depthwise positions %d channels %d taps %d stride %d s8 %d\n", number,
           (int)run.positions, (int)channels, (int)taps, (int)stride, (int)window.is_signed);
    const int32_t span = channels + (run.positions - 1) * run.step;
    const uint8_t *const in = place(IN, span + taps);
    uint8_t *const still = place(ZERO, channels);
    memset(still, still[0], (size_t)channels);
    run.first = between(0, taps);
    run.end = between(run.first, taps);
    for (int32_t t = 0; t < taps; ++t) {
        at[t] = t >= run.first && t < run.end ? in + between(0, taps) : still;
        reached[STILL] += at[t] == still;
    }
    here.weight = (int8_t *)place(WEIGHT, taps * channels);
    make_rescale(&rescale, channels);
    reached[run.positions == 1 ? SINGLE : MANY] += 1;
    for (int32_t i = 0; i < run.positions; ++i) {
        for (int32_t t = 0; t < taps; ++t) {
            x[t] = at[t] + (at[t] == still ? 0 : i * run.step);
        }
        for (int32_t c = 0; c < channels; c += ARES_DEPTHWISE_WIDTH) {
            const int32_t left = channels - c;
            const int32_t width = left < ARES_DEPTHWISE_WIDTH ? left : ARES_DEPTHWISE_WIDTH;
            int32_t acc[ARES_DEPTHWISE_WIDTH];
            ares_depthwise_tile_portable(&here, c, width, acc);
            ares_requantize_portable(&rescale, c, acc, 1, width, expected + i * channels + c,
                                     width);
            for (int32_t k = 0; k < width; ++k) {
                note(&rescale, acc[k], c + k);
            }
        }
    }
    uint8_t *const out = painted(bytes);
    for (int32_t c = 0; c < channels; c += ARES_DEPTHWISE_WIDTH) {
        const int32_t left = channels - c;
        ares_depthwise_block block;
        block.taps = &here;
        block.rescale = &rescale;
        block.first = c;
        block.width = left < ARES_DEPTHWISE_WIDTH ? left : ARES_DEPTHWISE_WIDTH;
        memcpy(x, at, sizeof x);
        ares_depthwise_prepare(&block);
        ares_depthwise_positions(&block, &run, x, out + c);
    }
    compare("depthwise", out, expected, bytes);
}

static ares_window window_over(int32_t in)
{
    ares_window window;
    window.in = in;
    window.kernel = between(0, 7) == 0 ? between(1, 5) : 3;
    window.stride = between(1, 2);
    window.dilation = between(0, 2) == 0 ? 2 : 1;
    window.pad = between(0, 3);
    const int32_t reach = (window.kernel - 1) * window.dilation + 1;
    const int32_t room = in + window.pad + between(0, 3) - reach;
    window.out = room < 0 ? 1 : room / window.stride + 1;
    return window;
}

/* Results of an image by the formula of depthwise.h, raw codes and zero points. */
static void check_image(uint32_t number)
{
    static uint8_t expected[ROOM];
    static const int32_t round[] = {8, 16, 32, 64, 4, 128};
    const int32_t channels = between(0, 1) ? round[draw() % 6] : between(1, CHANNELS);
    const ares_window down = window_over(between(1, 6));
    const ares_window across = window_over(between(1, 20));
    const int32_t taps = down.kernel * across.kernel;
    const uint8_t zero = (uint8_t)between(0, 255);
    ares_depthwise_taps window = {NULL, taps, between(0, 1), NULL, channels};
    ares_rescale rescale;
    const int32_t bytes = down.out * across.out * channels;
    printf("case %u image rows %d to %d columns %d to %d kernel %d %d channels %d s8 %d\n", number,
           (int)down.in, (int)down.out, (int)across.in, (int)across.out, (int)down.kernel,
           (int)across.kernel, (int)channels, (int)window.is_signed);
    const int32_t size = down.in * across.in * channels;
    const uint8_t *in = place(IN, size);
    if (between(0, 1)) {
        uint8_t *const begin = ends[IN] - ROOM;
        memmove(begin, in, (size_t)size);
        in = begin;
    }
    const ares_depthwise_image image = {in, &down, &across, zero};
    window.weight = (int8_t *)place(WEIGHT, taps * channels);
    make_rescale(&rescale, channels);
    uint8_t *const out = painted(bytes);
    memcpy(expected, out, (size_t)bytes);
    for (int32_t i = 0; i < down.out * across.out; ++i) {
        for (int32_t c = 0; c < channels; ++c) {
            int32_t acc = 0;
            for (int32_t t = 0; t < taps; ++t) {
                const int32_t y =
                    i / across.out * down.stride - down.pad + t / across.kernel * down.dilation;
                const int32_t x = i % across.out * across.stride - across.pad +
                                  t % across.kernel * across.dilation;
                const int inside = y >= 0 && y < down.in && x >= 0 && x < across.in;
                const uint8_t *const code =
                    inside ? &in[(y * across.in + x) * channels + c] : &zero;
                reached[OUTSIDE] += !inside;
                acc += ares_load_code(code, 0, window.is_signed) * window.weight[t * channels + c];
            }
            ares_requantize_portable(&rescale, c, &acc, 1, 1, expected + i * channels + c, 1);
            note(&rescale, acc, c);
        }
    }
    for (int32_t c = 0; c < channels; c += ARES_DEPTHWISE_WIDTH) {
        const int32_t left = channels - c;
        ares_depthwise_block block;
        block.taps = &window;
        block.rescale = &rescale;
        block.first = c;
        block.width = left < ARES_DEPTHWISE_WIDTH ? left : ARES_DEPTHWISE_WIDTH;
        ares_depthwise_prepare(&block);
        if (!ares_depthwise_all(&block, &image, out + c)) { /* run by run, then */
            for (int32_t i = 0; i < down.out * across.out; ++i) {
                memcpy(out + i * channels + c, expected + i * channels + c, (size_t)block.width);
            }
        }
    }
    compare("image", out, expected, bytes);
}

static void check_interleave(uint32_t number)
{
    uint8_t expected[5 * 300];
    const int32_t planes = between(0, 1) ? 3 : between(1, 5);
    const int32_t count = between(1, 300);
    const int32_t stride = count + between(0, 9);
    printf("case %u interleave planes %d count %d stride %d\n", number, (int)planes, (int)count,
           (int)stride);
    const uint8_t *const in = place(IN, (planes - 1) * stride + count);
    for (int32_t i = 0; i < planes * count; ++i) {
        expected[i] = in[i % planes * stride + i / planes];
    }
    uint8_t *const out = painted(planes * count);
    const int32_t done = ares_interleave_some(in, planes, stride, count, out);
    if (done < 0 || done > count) {
        printf("wrong interleave: %d done of %d\n", (int)done, (int)count);
        exit(1);
    }
    for (int32_t i = planes * done; i < planes * count; ++i) {
        expected[i] = canary(i);
    }
    compare("interleave", out, expected, planes * count);
}

static void check_add(uint32_t number)
{
    uint8_t expected[300];
    ares_add_params p;
    ares_rescale rescale;
    memset(&p, 0, sizeof p);
    p.count = between(1, 300);
    p.input0_signed = between(0, 1);
    p.input1_signed = between(0, 1);
    make_rescale(&rescale, 1);
    p.coefficient0 = rescale.multiplier[0];
    p.coefficient1 = between(0, 1) == 0 ? -rescale.multiplier[0] : between(-2000000000, 2000000000);
    if (between(0, 7) == 0) { /* no two words */
        p.coefficient1 = INT32_MAX - between(0, 40000);
    }
    p.rescale = rescale;
    printf("case %u add count %d shift %d\n", number, (int)p.count, (int)rescale.shift[0]);
    const uint8_t *const in0 = place(IN, p.count);
    uint8_t *const in1 = place(OTHER, p.count);
    for (int32_t i = 0, is_near = between(0, 1); i < p.count && is_near; ++i) { /* often ties */
        in1[i] = (uint8_t)(in0[i] ^ (draw() % 2 << 5));
    }
    for (int32_t i = 0; i < p.count; ++i) {
        const int64_t total = (int64_t)p.coefficient0 * ares_load_code(in0, i, p.input0_signed) +
                              (int64_t)p.coefficient1 * ares_load_code(in1, i, p.input1_signed) +
                              rescale.offset[0];
        expected[i] = ares_code_byte(ares_rescale_finish(&rescale, total, 0));
    }
    uint8_t *const out = painted(p.count);
    const int32_t done = ares_add_some(&p, in0, in1, out);
    compare("add", out, expected, done);
}

static void check_quantize(uint32_t number)
{
    static const uint32_t special[] = {0x7f800000u, 0xff800000u, 0x7fc00000u, 0x80000000u,
                                       0xffc00001u, 0x7f7fffffu, 0u,          0xff7fffffu};
    uint8_t expected[300];
    ares_quantize_f32_params p;
    memset(&p, 0, sizeof p);
    p.elements = between(1, 300);
    p.lo = between(0, 1) ? -128 : 0;
    p.hi = p.lo + 255 - between(0, 20);
    p.zero_point = between(p.lo, p.hi);
    p.scale = between(0, 1) ? 0.25f : (float)between(1, 1000000) / 777777.0f;
    printf("case %u quantize elements %d zero_point %d\n", number, (int)p.elements,
           (int)p.zero_point);
    float *const in = (float *)(void *)(ends[IN] - 4 * p.elements);
    for (int32_t i = 0; i < p.elements; ++i) {
        in[i] = between(0, 1) ? (float)between(-600, 600) * 0.125f
                              : (float)between(-1000000, 1000000) / 3333.0f;
        if (between(0, 9) == 0) {
            memcpy(&in[i], &special[draw() % 8], 4);
        }
        const float quotient = in[i] / p.scale;
        const float shifted = quotient + (float)p.zero_point;
        int32_t code = p.zero_point;
        if (shifted >= (float)p.hi) {
            code = p.hi;
        } else if (shifted <= (float)p.lo) {
            code = p.lo;
        } else if (shifted ==
                   shifted) { /* the last of -128 to 255 that is not above it, then nearest */
            for (code = p.lo; (float)code + 1.0f <= shifted; ++code) {
            }
            const float rest = shifted - (float)code;
            reached[TIES] += rest == 0.5f;
            code += rest > 0.5f || (rest == 0.5f && code % 2 != 0);
        }
        expected[i] = ares_code_byte(code);
    }
    uint8_t *const out = painted(p.elements);
    const int32_t done = ares_quantize_some(&p, in, out);
    compare("quantize", out, expected, done);
}

static void check_sum(uint32_t number)
{
    int32_t sums[CHANNELS];
    int32_t expected[CHANNELS];
    const int32_t channels = between(1, CHANNELS);
    const int32_t step = channels + between(0, 5);
    const int32_t count = between(1, 40);
    const int32_t is_signed = between(0, 1);
    printf("case %u sum channels %d count %d\n", number, (int)channels, (int)count);
    const uint8_t *const in = place(IN, (count - 1) * step + channels);
    for (int32_t c = 0; c < channels; ++c) {
        sums[c] = expected[c] = between(-100000, 100000);
        for (int32_t k = 0; k < count; ++k) {
            expected[c] += ares_load_code(in, k * step + c, is_signed);
        }
    }
    const int32_t done = ares_sum_some(in, count, step, channels, is_signed, sums);
    if (memcmp(sums, expected, (size_t)done * sizeof *sums) != 0) {
        printf("wrong sum\n");
        exit(1);
    }
}

static void check_real(uint32_t number)
{
    int32_t acc[ARES_PANEL_WIDTH];
    float scale[ARES_PANEL_WIDTH];
    float bias[ARES_PANEL_WIDTH];
    float out[ARES_PANEL_WIDTH];
    const int32_t count = between(1, ARES_PANEL_WIDTH);
    const int has_bias = between(0, 2) > 0;
    printf("case %u real count %d bias %d\n", number, (int)count, has_bias);
    for (int32_t k = 0; k < count; ++k) {
        acc[k] = between(0, 1) ? between(-2000000000, 2000000000) : between(-70000, 70000);
        scale[k] = (float)between(1, 1000000) / 3.3e9f;
        bias[k] = (float)between(-1000000, 1000000) / 77777.0f;
    }
    const int32_t done = ares_real_outputs_some(acc, count, scale, has_bias ? bias : NULL, out);
    for (int32_t k = 0; k < done; ++k) {
        volatile float product = (float)acc[k];
        product = product * scale[k];
        volatile float value = product;
        value = has_bias ? product + bias[k] : product;
        const float due = value;
        if (memcmp(&out[k], &due, sizeof due) != 0) {
            printf("wrong real %d\n", (int)k);
            exit(1);
        }
    }
}

int main(int count, char **words)
{
    if (count != 4) {
        return 2;
    }
    const uint64_t seed = strtoul(words[1], NULL, 10);
    const uint32_t first = (uint32_t)strtoul(words[2], NULL, 10);
    const uint32_t cases = (uint32_t)strtoul(words[3], NULL, 10);
    setvbuf(stdout, NULL, _IONBF, 0);
    for (int i = 0; i < AREAS; ++i) {
        uint8_t *const base =
            mmap(NULL, PAGE + ROOM + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (base == MAP_FAILED || mprotect(base + PAGE, ROOM, PROT_READ | PROT_WRITE) != 0) {
            return 3;
        }
        ends[i] = base + PAGE + ROOM;
    }
    printf("memory guarded\n");
    for (uint32_t n = first; n < first + cases; ++n) {
        state = seed << 32 | n;
        const int kind = (int)(n % KINDS);
        if (kind == RUNS && ares_has_runs()) {
            check_runs(n);
        } else if (kind == DEPTHWISE) {
            check_depthwise(n);
        } else if (kind == ADD) {
            check_add(n);
        } else if (kind == QUANTIZE) {
            check_quantize(n);
        } else if (kind == SUM) {
            check_sum(n);
        } else if (kind == REAL) {
            check_real(n);
        } else if (kind == IMAGE) {
            check_image(n);
        } else if (kind == INTERLEAVE) {
            check_interleave(n);
        }
    }
    for (int i = 0; i < FACTS; ++i) {
        printf("reached %s %u\n", fact_names[i], (unsigned)reached[i]);
    }
    printf("end %u %s\n", (unsigned)cases, ares_instruction_set());
    return 0;
}
