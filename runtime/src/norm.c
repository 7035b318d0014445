#include "../inc/norm.h"

/* floor(sqrt(value)), and the rest: value - root^2. */
static uint64_t integer_root(uint64_t value, uint64_t *rest)
{
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 62; bit != 0; bit >>= 2) {
        const uint64_t trial = root + bit;
        root >>= 1;
        if (value >= trial) {
            value -= trial;
            root += bit;
        }
    }
    *rest = value;
    return root;
}

/* R with 1 / sqrt(radicand) = R * 2^(doublings - 68), in [2^36, 2^37]. 1 <= radicand. */
static int64_t inverse_root(uint64_t radicand, int32_t *doublings)
{
    *doublings = 0;
    while (radicand >> 62 == 0) {
        radicand <<= 2;
        ++*doublings;
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
static int64_t scaled(int64_t product, int32_t multiplier, int32_t shift)
{
    const int64_t low = (int64_t)((uint64_t)product & 0xffffffffu) * multiplier;
    const int64_t high = ares_floor_shift(product, 32) * multiplier;
    const int64_t value = high + ares_floor_shift(low, 32);
    return shift >= 0 ? ares_floor_shift(value, shift) : value * ((int64_t)1 << -shift);
}

static void normalise_group(const ares_norm_params *p, const uint8_t *in, uint8_t *out,
                            int32_t first_channel)
{
    const int32_t count = p->width * p->positions;
    int32_t sum = 0;
    int64_t squares = 0;
    for (int32_t c = 0; c < p->width; ++c) {
        for (int32_t i = 0; i < p->positions; ++i) {
            const int32_t at = c * p->channel_stride + i * p->position_stride;
            const int32_t step = ares_load_code(in, at, p->input_signed) - p->input_zero_point;
            sum += step;
            squares += step * step;
        }
    }
    if (!p->is_centred) {
        sum = 0;
    }
    const int64_t variance = count * squares - (int64_t)sum * sum;
    int32_t doublings;
    const int64_t inverse = inverse_root(
        ((uint64_t)variance << p->variance_shift) + (uint64_t)p->variance_offset, &doublings);
    const int32_t shift = p->root_shift - doublings;

    for (int32_t c = 0; c < p->width; ++c) {
        const int32_t constants = (first_channel + c) * p->rescale.channel_stride;
        const int32_t multiplier = p->rescale.multiplier[constants];
        const int64_t offset = p->rescale.offset[constants];
        for (int32_t i = 0; i < p->positions; ++i) {
            const int32_t at = c * p->channel_stride + i * p->position_stride;
            const int32_t step = ares_load_code(in, at, p->input_signed) - p->input_zero_point;
            const int64_t deviation = count * step - sum;
            const int64_t total = scaled(deviation * inverse, multiplier, shift) + offset;
            out[at] = ares_code_byte(ares_rescale_finish(&p->rescale, total, first_channel + c));
        }
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
            normalise_group(p, in + start, out + start, channel);
        }
        in += row_size;
        out += row_size;
    }
    return ARES_OK;
}
