#include "../inc/norm.h"

#include "../inc/micro_rows.h"

#define MANY 16        /* codes for which it pays to ask an instruction set */
#define MOST (1 << 15) /* codes whose squares fit 31 bits: 255^2 * 2^15 < 2^31 */

/*
 * floor(sqrt(value)), and the rest: value - root^2. 2^62 <= value: its upper half has a root of sixteen bits, that one's
 * upper half one of eight, which is found bit by bit. From the root r of an upper half, with the rest of it, the next bits
 * are the quotient of what is left by 2 r, or that less one (Zimmermann, Karatsuba square root).
 */
static uint64_t integer_root(uint64_t value, uint64_t *rest)
{
    const uint32_t upper = (uint32_t)(value >> 32);
    uint32_t left = upper >> 16;
    uint32_t root = 0;
    for (uint32_t bit = (uint32_t)1 << 14; bit != 0; bit >>= 2) {
        const uint32_t trial = root + bit;
        const uint32_t fits = left >= trial ? ~(uint32_t)0 : 0;
        left -= trial & fits;
        root = (root >> 1) + (bit & fits);
    }
    uint32_t halves = (left << 7) | ((upper >> 9) & 0x7fu);
    uint32_t next = halves / root;
    int32_t over = (int32_t)((((halves - next * root) << 9) | (upper & 0x1ffu)) - next * next);
    root = (root << 8) + next;
    if (over < 0) {
        over += (int32_t)(2 * root) - 1;
        --root;
    }
    const uint32_t low = (uint32_t)(value & 0xffffffffu);
    halves = ((uint32_t)over << 15) | (low >> 17);
    next = halves / root;
    uint64_t wide_root = ((uint64_t)root << 16) + next;
    int64_t wide_over = (int64_t)(((uint64_t)(halves - next * root) << 17) | (low & 0x1ffffu)) -
                        (int64_t)((uint64_t)next * next);
    if (wide_over < 0) {
        wide_over += (int64_t)(2 * wide_root) - 1;
        --wide_root;
    }
    *rest = (uint64_t)wide_over;
    return wide_root;
}

/* R with 1 / sqrt(radicand) = R * 2^(doublings - 68), in [2^36, 2^37]. 1 <= radicand. */
static int64_t inverse_root(uint64_t radicand, int32_t *doublings)
{
    *doublings = 0;
    for (int32_t bits = 32; bits >= 2; bits /= 2) {
        if (radicand >> (64 - bits) == 0) {
            radicand <<= bits;
            *doublings += bits / 2;
        }
    }
    uint64_t rest;
    const uint64_t root = integer_root(radicand, &rest);
    /* Six bits more than the integer root: the rest over twice the root. */
    const uint64_t wide = (root << 6) + (rest << 5) / root;
    /* 2^74 / wide by long division, 12 bits at last. */
    const uint64_t dividend = (uint64_t)1 << 62;
    return (int64_t)((dividend / wide << 12) + (dividend % wide << 12) / wide);
}

/* floor(floor(product * multiplier / 2^32) / 2^shift); shift may be negative. |product| < 2^62. */
static inline int64_t scaled(int64_t product, int32_t multiplier, int32_t shift)
{
    const int64_t low = (int64_t)((uint64_t)product & 0xffffffffu) * multiplier;
    const int64_t high = (int64_t)(int32_t)ares_floor_shift(product, 32) * multiplier;
    const int64_t value = high + ares_floor_shift(low, 32);
    return shift >= 0 ? ares_floor_shift(value, shift) : value * ((int64_t)1 << -shift);
}

/* What a group has: the sum of its steps (0 unless centred), the inverse root, and where its total is shifted. */
typedef struct statistics {
    int64_t inverse;
    int32_t sum;
    int32_t shift;
} statistics;

/* The sum of codes less zero, and that of their squares, of up to 2^15 that lie side by side. */
static void add_moments(const uint8_t *codes, int32_t count, int32_t zero, int32_t is_signed,
                        int32_t *sum, int64_t *squares)
{
    int32_t all = 0;
    int32_t some = 0;
    if (count >= MANY && ares_moments_some(codes, count, is_signed, &all, &some) > 0) {
        *squares += some + (int64_t)zero * (count * zero - 2 * all);
        *sum += all - count * zero;
        return;
    }
    for (int32_t i = 0; i < count; ++i) {
        const int32_t step = ares_load_code(codes, i, is_signed) - zero;
        all += step;
        some += step * step;
    }
    *sum += all;
    *squares += some;
}

static statistics statistics_of(const ares_norm_params *p, const uint8_t *in)
{
    const int32_t count = p->width * p->positions;
    const int32_t channels_last = p->channel_stride == 1;
    const int32_t run = channels_last ? p->width : p->positions;
    const int32_t runs = channels_last ? p->positions : p->width;
    const int32_t apart = channels_last ? p->position_stride : p->channel_stride;
    statistics found;
    int32_t sum = 0;
    int64_t squares = 0;
    for (int32_t k = 0; k < runs; ++k) {
        for (int32_t i = 0; i < run; i += MOST) {
            add_moments(in + k * apart + i, run - i < MOST ? run - i : MOST, p->input_zero_point,
                        p->input_signed, &sum, &squares);
        }
    }
    found.sum = p->is_centred ? sum : 0;
    const int64_t variance = count * squares - (int64_t)found.sum * found.sum;
    int32_t doublings;
    found.inverse = inverse_root(
        ((uint64_t)variance << p->variance_shift) + (uint64_t)p->variance_offset, &doublings);
    found.shift = p->root_shift - doublings;
    return found;
}

/* As ares_clamp of ares_round_raised, in halves: bits more than 32 are cut off. */
static inline int32_t limited_high(int64_t total, int32_t bits, int32_t lo, int32_t hi)
{
    const int32_t high = (int32_t)ares_floor_shift(total, 32);
    const uint32_t low = (uint32_t)((uint64_t)total & 0xffffffffu);
    const uint32_t below_point = (uint32_t)high & (((uint32_t)1 << bits) - 1u);
    const int32_t rounded = ares_floor_shift_32(high, bits);
    const int32_t value = (low | below_point) == 0 ? rounded & ~(int32_t)1 : rounded;
    return value < lo ? lo : value > hi ? hi : value;
}

static void normalise_group(const ares_norm_params *p, const statistics *group,
                            int32_t first_channel, const uint8_t *in, uint8_t *out)
{
    /* Not read again for each code: a byte that is written may be any. */
    const int32_t zero = p->input_zero_point;
    const int32_t is_signed = p->input_signed;
    const int32_t positions = p->positions;
    const int32_t apart = p->position_stride;
    const int32_t next_channel = p->channel_stride;
    const int32_t stride = p->rescale.channel_stride;
    const int32_t *multiplier = p->rescale.multiplier + first_channel * stride;
    const int64_t *offset = p->rescale.offset + first_channel * stride;
    const uint8_t *shift = p->rescale.shift + first_channel * stride;
    const ares_steps *steps = p->rescale.num_thresholds > 0 ? p->rescale.steps : NULL;
    const int32_t step_stride = p->rescale.step_stride;
    const int64_t unit = p->width * positions * group->inverse;
    const int64_t lead = group->sum * group->inverse;
    const int32_t down = group->shift;
    int32_t lo = p->rescale.lo;
    int32_t hi = p->rescale.hi;
    const ares_norm_group own = {unit, lead, down, first_channel};
    if (ares_norm_some(p, &own, in, out) > 0) {
        return;
    }
    steps = steps != NULL ? steps + first_channel * step_stride : NULL;

    for (int32_t c = p->width; c > 0; --c) {
        const int32_t m = *multiplier;
        const int64_t b = *offset;
        const int32_t s = *shift;
        int32_t at = 0;
        if (steps != NULL) {
            lo = steps->below;
            hi = steps->last;
        }
        for (int32_t i = positions; i > 0; --i) {
            const int32_t step = ares_load_code(in, at, is_signed) - zero;
            const int64_t total = scaled(unit * step - lead, m, down) + b;
            const int32_t value = s >= 32 ? limited_high(total, s - 32, lo, hi)
                                          : ares_clamp(ares_round_raised(total, s), lo, hi);
            out[at] = steps != NULL ? ares_step_of(steps, value) : ares_code_byte(value);
            at += apart;
        }
        in += next_channel;
        out += next_channel;
        multiplier += stride;
        offset += stride;
        shift += stride;
        steps = steps != NULL ? steps + step_stride : NULL;
    }
}

ares_status ares_norm(const void *params, const void *const *inputs, void *const *outputs,
                      void *scratch)
{
    const ares_norm_params *const p = (const ares_norm_params *)params;
    const uint8_t *in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    const int32_t row_size = p->groups * p->width * p->positions;
    (void)scratch;

    for (int32_t r = 0; r < p->rows; ++r) {
        for (int32_t g = 0; g < p->groups; ++g) {
            const int32_t channel = g * p->width;
            const int32_t start = channel * p->channel_stride;
            const statistics group = statistics_of(p, in + start);
            normalise_group(p, &group, channel, in + start, out + start);
        }
        in += row_size;
        out += row_size;
    }
    return ARES_OK;
}
