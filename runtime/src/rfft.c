#include "../inc/rfft.h"

#define SNAP ((int64_t)1 << 20)
#define PART_LIMIT ((int64_t)1 << 31)
#define ROOT_LIMIT ((int64_t)1 << 32)

/* One bin of the DFT, in units of 2^-30 input codes; scaled() makes it fit 31 bits. */
typedef struct bin {
    int64_t re;
    int64_t im;
} bin;

static int64_t magnitude_of(int64_t value)
{
    return value < 0 ? -value : value;
}

/* Sums and differences of the elements that a cosine or a sine treats alike: the DFT of half the length. */
static void fold(const ares_rfft_params *p, const uint8_t *row, int16_t *sums, int16_t *differences)
{
    const int32_t z = p->input_zero_point;
    const int32_t half = p->length / 2;

    for (int32_t n = 0; n <= half; ++n) {
        const int32_t mirror = p->length - n;
        const int32_t x = ares_load_code(row, n, p->input_signed) - z;
        int32_t y = 0;
        if (n != 0 && n != mirror) {
            y = ares_load_code(row, mirror, p->input_signed) - z;
        }
        sums[n] = (int16_t)(x + y);
        differences[n] = (int16_t)(x - y);
    }
}

/* The sine of the elements that have no mirror is zero, so their differences do not matter. */
static bin transform(const ares_rfft_params *p, const int16_t *sums, const int16_t *differences,
                     int32_t k)
{
    const int32_t half = p->length / 2;
    bin sum = {0, 0};
    int32_t index = 0; /* n k mod length */

    for (int32_t n = 0; n <= half; ++n) {
        sum.re += (int64_t)sums[n] * p->cosine[index];
        sum.im -= (int64_t)differences[n] * p->sine[index];
        index += k;
        if (index >= p->length) {
            index -= p->length;
        }
    }
    return sum;
}

/* Divides both parts by 2^down, towards zero, with the smallest down that leaves 31 bits; returns down. */
static int32_t scale_down(bin *value)
{
    int64_t re = magnitude_of(value->re);
    int64_t im = magnitude_of(value->im);
    int32_t down = 0;

    while (re >= PART_LIMIT || im >= PART_LIMIT) {
        re >>= 1;
        im >>= 1;
        ++down;
    }
    value->re = value->re < 0 ? -re : re;
    value->im = value->im < 0 ? -im : im;
    return down;
}

static int32_t count_thresholds(const ares_rfft_params *p, bin value)
{
    const int32_t down = scale_down(&value);
    const uint64_t power = (uint64_t)(value.re * value.re) + (uint64_t)(value.im * value.im);
    int32_t from = 0;
    int32_t to = p->num_steps;

    while (from < to) {
        const int32_t middle = from + (to - from) / 2;
        const int64_t root = p->thresholds[middle] >> down;
        const uint64_t square = (uint64_t)root * (uint64_t)root; /* used below 2^64 only */
        const int32_t takes_tie = ((p->first + middle) & 1) != 0;
        if (root < ROOT_LIMIT && (power > square || (power == square && takes_tie))) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

static int32_t count_directions(const ares_rfft_params *p, bin value)
{
    value.re = magnitude_of(value.re) <= SNAP ? 0 : value.re;
    value.im = magnitude_of(value.im) <= SNAP ? 0 : value.im;
    if (value.im == 0) {
        return value.re < 0 ? p->num_steps : p->below;
    }
    /* Within one half plane the sign of the cross product orders the directions. */
    int32_t from = value.im < 0 ? 0 : p->below;
    int32_t left = (value.im < 0 ? p->below : p->num_steps) - from;
    (void)scale_down(&value);
    /* Halving without branches, as either half is as likely: of left steps from the first one on so many are passed. */
    for (; left > 0; left /= 2) {
        const int32_t middle = from + (left - 1) / 2;
        const int32_t *const direction = p->directions + 2 * middle;
        /* Each product is below 2^61. */
        const int is_passed = value.im * direction[0] - value.re * direction[1] >= 0;
        from = is_passed ? middle + 1 : from;
    }
    return from;
}

ares_status ares_rfft(const void *params, const void *const *inputs, void *const *outputs,
                      void *scratch)
{
    const ares_rfft_params *const p = (const ares_rfft_params *)params;
    const uint8_t *row = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    const int32_t half = p->length / 2;
    int16_t *const sums = (int16_t *)scratch;
    int16_t *const differences = sums + half + 1;

    for (int32_t r = 0; r < p->rows; ++r) {
        fold(p, row, sums, differences);
        for (int32_t k = 0; k <= half; ++k) {
            const bin value = transform(p, sums, differences, k);
            const int32_t count =
                p->is_phase ? count_directions(p, value) : count_thresholds(p, value);
            *out++ = ares_code_byte(p->first + count);
        }
        row += p->length;
    }
    return ARES_OK;
}
