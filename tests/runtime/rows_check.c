/*
 * What an instruction set does to rows (micro_rows.h) against what the headers of the kernels say, in 128 bits and one
 * element at a time. rows_check SEED FIRST COUNT; its lines are those of micro_check.c.
 *
 * Arrays that are read end where memory ends; around what is written lie bytes that must stay.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */

#include "micro_rows.h"
#include "micro_x86.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

__extension__ typedef __int128 wide;

enum { PAGE = 65536, ROOM = 4 * PAGE, AREAS = 9, SLACK = 64, TABLE = 256 };
enum { IN, OUT, FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH, SEVENTH };
enum { NORM, MOMENTS, LOOKUP, ROTARY, SCAN, SOFTMAX, KINDS };
enum { TIES, CUTS, LOW, IN_PLACE, DONE, MASKED, FACTS };

static const char *const fact_names[FACTS] = {"ties", "cuts", "low", "in-place", "done", "masked"};
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

static int64_t between(int64_t first, int64_t last)
{
    return first + (int64_t)(draw() % (uint64_t)(last - first + 1));
}

static int32_t small(int32_t first, int32_t last)
{
    return (int32_t)between(first, last);
}

/* Bytes that end where nothing may be read, filled with anything, often extremes. */
static uint8_t *place(int which, int32_t bytes)
{
    static const uint8_t extremes[] = {0, 127, 128, 255};
    uint8_t *const at = ends[which] - bytes;
    const int is_extreme = small(0, 3) == 0;
    for (int32_t i = 0; i < bytes; ++i) {
        at[i] = is_extreme ? extremes[draw() % 4] : (uint8_t)(draw() >> 56);
    }
    return at;
}

static uint8_t canary(int32_t i)
{
    return (uint8_t)(0xA5 ^ (i * 7));
}

/* Room for bytes of results among others that must stay; what is computed in place is there already. */
static uint8_t *painted(int32_t bytes, const uint8_t **in)
{
    uint8_t *const at = ends[OUT] - bytes - SLACK;
    for (int32_t i = -SLACK; i < bytes + SLACK; ++i) {
        at[i] = canary(i);
    }
    if (in != NULL && small(0, 2) == 0) {
        memcpy(at, *in, (size_t)bytes);
        *in = at;
        reached[IN_PLACE] += 1;
    }
    return at;
}

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

/* Either all or nothing: 0 where the instruction set leaves it. */
static int took(const char *what, int32_t done, int32_t all)
{
    if (done != 0 && done != all) {
        printf("wrong %s did %d of %d\n", what, (int)done, (int)all);
        exit(1);
    }
    reached[DONE] += done != 0;
    return done != 0;
}

static wide floor_divided(wide value, int32_t bits)
{
    const wide divisor = (wide)1 << bits;
    const wide rest = ((value % divisor) + divisor) % divisor;
    return (value - rest) / divisor;
}

/* value / 2^bits to the nearest, at a tie to the even one. */
static wide nearest(wide value, int32_t bits)
{
    const wide below = floor_divided(value, bits);
    const wide twice = 2 * (value - below * ((wide)1 << bits));
    const wide one = (wide)1 << bits;
    reached[TIES] += twice == one;
    return below + (twice > one || (twice == one && below % 2 != 0));
}

static uint8_t code_of(wide value, int32_t lo, int32_t hi)
{
    reached[CUTS] += value < lo || value > hi;
    return (uint8_t)(value < lo ? lo : value > hi ? hi : value);
}

static int32_t code_at(const uint8_t *codes, int32_t i, int32_t is_signed)
{
    return is_signed ? (int8_t)codes[i] : codes[i];
}

static void limits(int32_t is_signed, int32_t *zero_point, int32_t *lo, int32_t *hi)
{
    *lo = is_signed ? small(-128, -1) : small(0, 20);
    *hi = is_signed ? small(0, 127) : small(*lo, 255);
    *zero_point = small(0, 1) ? (*lo < 0 ? 0 : *lo) : small(*lo, *hi);
}

/* Channels last or positions last, in one of some groups; returns the bytes from its first element to its last. */
static int32_t norm_shape(ares_norm_params *p)
{
    const int32_t groups = small(1, 3);
    const int channels_last = small(0, 3) > 0;
    p->width = small(0, 2) ? small(1, 100) : small(1, 10) * 8;
    p->width = small(0, 2) ? p->width : 1 << small(0, 3);
    p->positions = small(0, 1) ? 1 : small(1, 30);
    p->channel_stride = channels_last ? 1 : p->positions;
    p->position_stride = channels_last ? groups * p->width : 1;
    return (p->width - 1) * p->channel_stride + (p->positions - 1) * p->position_stride + 1;
}

/* Constants for channels up to all, within the contract: totals of less than 2^62. */
static void norm_constants(ares_norm_params *p, const ares_norm_group *group, int32_t all,
                           int is_power)
{
    const int32_t count = small(0, 3) == 0 ? 1 : all;
    int32_t *const multiplier = (int32_t *)(void *)(ends[FIRST] - 4 * count);
    int64_t *const offset = (int64_t *)(void *)(ends[SECOND] - 8 * count);
    uint8_t *const shift = ends[THIRD] - count;
    /* |unit * step - lead| * multiplier / 2^32, shifted */
    const wide most =
        ((wide)group->unit * 256 + (group->lead < 0 ? -group->lead : group->lead)) >> 1;
    for (int32_t c = 0; c < count; ++c) {
        const int32_t bits = small(1, 60);
        int32_t lost = 0;
        while ((group->shift < 0 ? most << -group->shift : most >> group->shift) >> lost >
               (wide)1 << 60) {
            ++lost;
        }
        multiplier[c] =
            (int32_t)(is_power ? (int64_t)1 << small(0, 30 - lost)
                               : between(-2147483647, 2147483647) >> (lost + small(0, 8)));
        offset[c] =
            is_power ? (int64_t)1 << (bits - 1) : between(-((int64_t)1 << 60), (int64_t)1 << 60);
        shift[c] = (uint8_t)bits;
        reached[LOW] += bits < 32;
    }
    p->rescale.multiplier = multiplier;
    p->rescale.offset = offset;
    p->rescale.shift = shift;
    p->rescale.channel_stride = count > 1;
}

static void check_norm(void)
{
    static uint8_t expected[ROOM];
    ares_norm_params p;
    int32_t unused;
    memset(&p, 0, sizeof p);
    const int is_power = small(0, 1);
    const int32_t bytes = norm_shape(&p);
    const ares_norm_group group = {is_power ? (int64_t)1 << small(20, 52)
                                            : between(1, (int64_t)1 << 52),
                                   is_power ? 0 : between(-((int64_t)1 << 60), (int64_t)1 << 60),
                                   small(-4, 30), small(0, 1) * small(0, 30)};
    norm_constants(&p, &group, group.first + p.width, is_power);
    p.input_signed = small(0, 1);
    p.input_zero_point = p.input_signed ? small(-128, 127) : small(0, 255);
    limits(small(0, 1), &unused, &p.rescale.lo, &p.rescale.hi);
    printf(" width %d positions %d strides %d %d first %d shift %d\n", (int)p.width,
           (int)p.positions, (int)p.channel_stride, (int)p.position_stride, (int)group.first,
           (int)group.shift);
    const uint8_t *in = place(IN, bytes);
    uint8_t *const out = painted(bytes, &in);
    memcpy(expected, out, (size_t)bytes);
    for (int32_t i = 0; i < p.width * p.positions; ++i) {
        const int32_t at = i / p.positions * p.channel_stride + i % p.positions * p.position_stride;
        const int32_t c = (group.first + i / p.positions) * p.rescale.channel_stride;
        const int32_t bits = p.rescale.shift[c];
        const wide step = code_at(in, at, p.input_signed) - p.input_zero_point;
        wide total = floor_divided((step * group.unit - group.lead) * p.rescale.multiplier[c], 32);
        total =
            group.shift > 0 ? floor_divided(total, group.shift) : total * ((wide)1 << -group.shift);
        total += p.rescale.offset[c] - ((wide)1 << (bits - 1));
        expected[at] = code_of(nearest(total, bits), p.rescale.lo, p.rescale.hi);
    }
    if (took("norm", ares_norm_some(&p, &group, in, out), p.width)) {
        compare("norm", out, expected, bytes);
    }
}

static void check_moments(void)
{
    int64_t sum = 0;
    int64_t squares = 0;
    int32_t found_sum = 0;
    int32_t found_squares = 0;
    const int32_t count = small(0, 5) ? small(1, 300) : small(32000, 32768);
    const int32_t is_signed = small(0, 1);
    printf(" count %d s8 %d\n", (int)count, (int)is_signed);
    uint8_t *const in = place(IN, count);
    if (small(0, 7) == 0) {
        memset(in, is_signed ? 0x80 : 0xff, (size_t)count);
    }
    for (int32_t i = 0; i < count; ++i) {
        const int64_t code = code_at(in, i, is_signed);
        sum += code;
        squares += code * code;
    }
    if (took("moments", ares_moments_some(in, count, is_signed, &found_sum, &found_squares),
             count) &&
        (found_sum != sum || found_squares != squares)) {
        printf("wrong moments %d %d\n", (int)found_sum, (int)found_squares);
        exit(1);
    }
}

static void check_lookup(void)
{
    uint8_t expected[600];
    const int32_t count = small(0, 3) ? small(1, 300) : small(1, 8) * 64;
    printf(" count %d\n", (int)count);
    const uint8_t *const table = place(FIRST, TABLE);
    const uint8_t *in = place(IN, count);
    for (int32_t i = 0; i < count; ++i) {
        expected[i] = table[in[i]];
    }
    uint8_t *const out = painted(count, &in);
    if (took("lookup", ares_lookup_some(table, in, count, out), count)) {
        compare("lookup", out, expected, count);
    }
}

static void check_rotary(void)
{
    uint8_t expected[200];
    ares_rotary_params p;
    memset(&p, 0, sizeof p);
    p.pairs = small(1, 80);
    p.halves = small(0, 1);
    p.input_signed = small(0, 1);
    p.input_zero_point = p.input_signed ? small(-128, 127) : small(0, 255);
    p.shift = small(0, 1) ? small(26, 31) : small(1, 50);
    const int is_power = small(0, 1);
    p.multiplier = (int32_t)(is_power ? (int64_t)1 << small(0, 30) : between(0, 2147483647));
    limits(small(0, 1), &p.zero_point, &p.lo, &p.hi);
    int32_t *const cos = (int32_t *)(void *)(ends[FIRST] - 4 * p.pairs);
    int32_t *const sin = (int32_t *)(void *)(ends[SECOND] - 4 * p.pairs);
    printf(" pairs %d halves %d shift %d\n", (int)p.pairs, (int)p.halves, (int)p.shift);
    const uint8_t *in = place(IN, 2 * p.pairs);
    for (int32_t i = 0; i < p.pairs; ++i) {
        cos[i] = is_power ? (1 << small(20, 30)) : small(-(1 << 30), 1 << 30);
        sin[i] = is_power ? -(small(0, 1) << 30) : small(-(1 << 30), 1 << 30);
        const int32_t j = p.halves ? i : 2 * i;
        const int32_t k = p.halves ? p.pairs + i : 2 * i + 1;
        const wide a = code_at(in, j, p.input_signed) - p.input_zero_point;
        const wide b = code_at(in, k, p.input_signed) - p.input_zero_point;
        const wide zero = (wide)p.zero_point * ((wide)1 << (p.shift + 32));
        const wide along = (a * cos[i] - b * sin[i]) * p.multiplier + zero;
        const wide across = (a * sin[i] + b * cos[i]) * p.multiplier + zero;
        expected[j] = code_of(nearest(along, p.shift + 32), p.lo, p.hi);
        expected[k] = code_of(nearest(across, p.shift + 32), p.lo, p.hi);
    }
    uint8_t *const out = painted(2 * p.pairs, &in);
    if (took("rotary", ares_rotary_some(&p, cos, sin, in, out), p.pairs)) {
        compare("rotary", out, expected, 2 * p.pairs);
    }
}

static wide times_q62(wide value, wide factor)
{
    return floor_divided(value * factor + ((wide)1 << 61), 62);
}

/* decay^k as numerics.md, N15, says: one product at most of what two tables hold. */
static wide power_of(wide decay, int32_t k)
{
    wide low = (wide)1 << 62;
    wide high = low;
    wide sixteenth = (wide)1 << 62;
    for (int32_t j = 0; j < 16; ++j) {
        sixteenth = j == 0 ? decay : times_q62(sixteenth, decay);
        low = j + 1 == k % 16 ? sixteenth : low;
    }
    for (int32_t j = 1; j <= k / 16; ++j) {
        high = j == 1 ? sixteenth : times_q62(high, sixteenth);
    }
    return times_q62(high, low);
}

static void scan_channel(const ares_selective_scan_params *p, const uint8_t *const in[4],
                         int32_t channel, uint8_t *expected)
{
    wide h[40] = {0};
    for (int32_t t = 0; t < p->steps; ++t) {
        const int32_t at = t * p->channels + channel;
        const int32_t x = code_at(in[0], at, p->x_signed) - p->x_zero_point;
        const int32_t k = code_at(in[1], at, p->dt_signed) - p->dt_zero_point;
        wide sum = (wide)p->skip[channel] * x;
        for (int32_t n = 0; n < p->states; ++n) {
            const wide factor = power_of(p->decay[channel * p->states + n], k);
            const int32_t b = code_at(in[2], t * p->states + n, p->b_signed) - p->b_zero_point;
            const int32_t c = code_at(in[3], t * p->states + n, p->c_signed) - p->c_zero_point;
            const wide kept = times_q62(h[n] < 0 ? -h[n] : h[n], factor);
            h[n] = (h[n] < 0 ? -kept : kept) + (wide)k * x * b * ((wide)1 << p->fraction);
            sum += c * nearest(h[n], p->drop);
        }
        const wide total = sum * p->multiplier + (wide)p->output_zero_point * ((wide)1 << p->shift);
        expected[at] = code_of(nearest(total, p->shift), p->lo, p->hi);
    }
}

/* Codes of up to two steps from the zero point. */
static void make_small(uint8_t *codes, int32_t count, int32_t zero_point)
{
    for (int32_t i = 0; i < count; ++i) {
        codes[i] = (uint8_t)(zero_point + small(zero_point < 2 ? 0 : -2, 2));
    }
}

static void check_scan(void)
{
    static uint8_t expected[2000];
    ares_selective_scan_params p;
    memset(&p, 0, sizeof p);
    p.steps = small(1, 20);
    p.channels = small(1, 13);
    p.states = small(0, 3) ? small(1, 18) : 4 * small(1, 4);
    p.x_signed = small(0, 1);
    p.x_zero_point = small(0, 1) ? 0 : small(0, 100);
    p.dt_signed = small(0, 1);
    p.dt_zero_point = p.dt_signed ? -128 : 0;
    p.b_signed = small(0, 1);
    p.b_zero_point = small(0, 20);
    p.c_signed = small(0, 1);
    p.c_zero_point = small(0, 20);
    /* |h| < 20 steps * 2^24 * 2^fraction, |sum| < 18 * 2^8 * |h| / 2^drop + |skip| * 2^8 */
    p.fraction = small(1, 30);
    p.drop = small(1, 40);
    p.drop = p.drop < p.fraction - 14 ? p.fraction - 14 : p.drop;
    p.multiplier = small(0, 1) ? 1 << small(0, 30) : small(0, 2147483647);
    const int32_t reach = 29 + 13 + p.fraction - p.drop + 31 - 8 - small(0, 12);
    p.shift = reach < 33 ? 33 : reach > 84 ? 84 : reach;
    const int is_fine = small(0, 1); /* single units of h and of the sum show in the codes */
    if (is_fine) {
        p.fraction = small(1, 4);
        p.drop = small(1, 4);
        p.multiplier = 1 << small(29, 30);
        p.shift = 33;
    }
    limits(small(0, 1), &p.output_zero_point, &p.lo, &p.hi);
    int64_t *const decay = (int64_t *)(void *)(ends[FIRST] - 8 * p.channels * p.states);
    int64_t *const skip = (int64_t *)(void *)(ends[SECOND] - 8 * p.channels);
    for (int32_t i = 0; i < p.channels * p.states; ++i) {
        decay[i] = small(0, 9) ? ((int64_t)1 << 62) - (between(0, (int64_t)1 << 62) >> small(0, 12))
                               : (int64_t)small(0, 1) << 62;
    }
    for (int32_t i = 0; i < p.channels; ++i) {
        skip[i] = is_fine ? between(-9, 9) : between(-((int64_t)1 << 40), (int64_t)1 << 40);
    }
    p.decay = decay;
    p.skip = skip;
    const int32_t bytes = p.steps * p.channels;
    printf(" steps %d channels %d states %d fraction %d drop %d\n", (int)p.steps, (int)p.channels,
           (int)p.states, (int)p.fraction, (int)p.drop);
    uint8_t *const dt = place(THIRD, bytes);
    for (int32_t i = 0, most = 1 << small(0, is_fine ? 3 : 8); i < bytes; ++i) {
        dt[i] = (uint8_t)((uint32_t)p.dt_zero_point + draw() % (uint64_t)most);
    }
    uint8_t *const x = place(IN, bytes);
    uint8_t *const b = place(FOURTH, p.steps * p.states);
    uint8_t *const c = place(FIFTH, p.steps * p.states);
    if (is_fine) {
        make_small(x, bytes, p.x_zero_point);
        make_small(b, p.steps * p.states, p.b_zero_point);
        make_small(c, p.steps * p.states, p.c_zero_point);
    }
    const uint8_t *const in[4] = {x, dt, b, c};
    uint8_t *const out = painted(bytes, NULL);
    memcpy(expected, out, (size_t)bytes);
    const void *const inputs[4] = {in[0], in[1], in[2], in[3]};
    const int32_t done = ares_scan_some(&p, inputs, out);
    for (int32_t d = 0; d < done; ++d) {
        scan_channel(&p, in, d, expected);
    }
    reached[DONE] += done > 0;
    compare("scan", out, expected, bytes);
}

/* Tables of exp(-k * scale): mantissas[k] / 2^(31 + exponents[k]), zeros where it is too small. */
static void make_exponentials(uint32_t *mantissas, uint8_t *exponents)
{
    const double ratio = 1.0 - 1.0 / (double)(small(0, 1) ? small(2, 300) : small(2, 8));
    double value = 1.0;
    int32_t exponent = 0;
    for (int32_t k = 0; k < TABLE; ++k) {
        mantissas[k] = exponent > 63 ? 0 : (uint32_t)(value * 2147483648.0);
        exponents[k] = (uint8_t)(exponent > 63 ? 0 : exponent);
        for (value *= ratio; value < 1.0; value *= 2.0) {
            ++exponent;
        }
    }
}

static void softmax_row(const ares_softmax_params *p, const uint8_t *in, int32_t r,
                        uint8_t *expected)
{
    const uint8_t *const mask = p->mask_rows > 0 ? p->mask + r % p->mask_rows * p->keys : NULL;
    const int32_t end = p->causal ? r % p->keys + 1 : p->keys;
    int32_t top = -1000;
    wide sum = 0;
    int32_t drop = 19;
    for (int32_t j = 0; j < end; ++j) {
        const int32_t code = code_at(in, j, p->input_signed);
        top = (mask == NULL || mask[j] != 0) && code > top ? code : top;
    }
    for (int32_t j = 0; j < end; ++j) {
        if (mask == NULL || mask[j] != 0) {
            const int32_t k = top - code_at(in, j, p->input_signed);
            sum += floor_divided((wide)p->mantissas[k] << 19, p->exponents[k]);
        }
    }
    while (sum >> drop >= (wide)1 << 32) {
        ++drop;
    }
    const wide kept = sum >> drop;
    const wide factor = (((wide)p->numerator << 31) + (kept >> 1)) / kept;
    for (int32_t j = 0; j < p->keys; ++j) {
        wide value = p->zero_point;
        if (j < end && (mask == NULL || mask[j] != 0)) {
            const int32_t k = top - code_at(in, j, p->input_signed);
            const int32_t bits = drop + 12 - p->exponent + p->exponents[k];
            /* More bits leave less than half a code: the product is below 2^65. */
            value = bits > 100
                        ? value
                        : nearest((wide)p->mantissas[k] * factor + value * ((wide)1 << bits), bits);
        }
        expected[j] = code_of(value, p->lo, p->hi);
    }
}

static void check_softmax(void)
{
    static uint8_t expected[ROOM];
    ares_softmax_params p;
    memset(&p, 0, sizeof p);
    p.keys = small(0, 3) ? small(1, 200) : 16 * small(1, 20);
    p.rows = small(1, 1 + 6000 / p.keys);
    p.causal = small(0, 3) == 0;
    p.mask_rows = p.causal || small(0, 2) ? 0 : small(1, 5);
    p.input_signed = small(0, 1);
    p.numerator = (uint32_t)(small(0, 1) ? UINT64_C(0x80000000)
                                         : UINT64_C(0x80000000) + draw() % UINT64_C(0x80000000));
    p.exponent = small(0, 3) ? small(-26, -22) : small(-64, -1);
    limits(small(0, 1), &p.zero_point, &p.lo, &p.hi);
    const int32_t bytes = p.rows * p.keys;
    uint32_t *const mantissas = (uint32_t *)(void *)(ends[FIRST] - 4 * TABLE);
    uint8_t *const exponents = ends[SECOND] - TABLE;
    make_exponentials(mantissas, exponents);
    p.mantissas = mantissas;
    p.exponents = exponents;
    printf(" rows %d keys %d causal %d masks %d exponent %d\n", (int)p.rows, (int)p.keys,
           (int)p.causal, (int)p.mask_rows, (int)p.exponent);
    uint8_t *const mask = place(THIRD, p.mask_rows * p.keys);
    for (int32_t i = 0; i < p.mask_rows; ++i) {
        for (int32_t j = 0; j < p.keys; ++j) {
            mask[i * p.keys + j] = draw() % 3 ? (uint8_t)(1 + draw() % 255) : 0;
        }
        mask[i * p.keys + small(0, p.keys - 1)] = 1;
    }
    p.mask = p.mask_rows > 0 ? mask : NULL;
    reached[MASKED] += p.mask_rows > 0;
    const uint8_t *in = place(IN, bytes);
    if (small(0, 1)) {
        for (int32_t i = 0, most = small(1, 60); i < bytes; ++i) {
            ends[IN][i - bytes] = (uint8_t)(draw() % (uint64_t)most);
        }
    }
    for (int32_t r = 0; r < p.rows; ++r) {
        softmax_row(&p, in + r * p.keys, r, expected + r * p.keys);
    }
    uint8_t *const out = painted(bytes, &in);
    if (took("softmax", ares_softmax_some(&p, in, out), p.rows)) {
        compare("softmax", out, expected, bytes);
    }
}

int main(int count, char **words)
{
    static const char *const names[KINDS] = {"norm",   "moments", "lookup",
                                             "rotary", "scan",    "softmax"};
    static void (*const checks[KINDS])(void) = {check_norm,   check_moments, check_lookup,
                                                check_rotary, check_scan,    check_softmax};
    if (count != 4) {
        return 2;
    }
    const uint64_t seed = strtoul(words[1], NULL, 10);
    const uint32_t first = (uint32_t)strtoul(words[2], NULL, 10);
    const uint32_t cases = (uint32_t)strtoul(words[3], NULL, 10);
    setvbuf(stdout, NULL, _IONBF, 0);
    for (int i = 0; i < AREAS; ++i) {
        uint8_t *const base =
            mmap(NULL, ROOM + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (base == MAP_FAILED || mprotect(base + ROOM, PAGE, PROT_NONE) != 0) {
            return 3;
        }
        ends[i] = base + ROOM;
    }
    printf("memory guarded\n");
    for (uint32_t n = first; n < first + cases; ++n) {
        state = seed << 32 | n;
        printf("case %u %s", (unsigned)n, names[n % KINDS]);
        checks[n % KINDS]();
    }
    for (int i = 0; i < FACTS; ++i) {
        printf("reached %s %u\n", fact_names[i], (unsigned)reached[i]);
    }
    printf("end %u %s\n", (unsigned)cases, ares_instruction_set());
    return 0;
}
