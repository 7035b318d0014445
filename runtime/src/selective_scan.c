#include "../inc/selective_scan.h"

#include "../inc/wide.h"

#define POWERS 16

/* One time step of one channel: what all states share. */
typedef struct step {
    int64_t sum;
    int32_t kx;
    int32_t k;
} step;

/* powers[j] = base^j, all times 2^62. */
static void make_powers(uint64_t *powers, uint64_t base)
{
    powers[0] = UINT64_C(1) << 62;
    powers[1] = base;
    for (int32_t j = 2; j < POWERS; ++j) {
        powers[j] = ares_multiply_q62(powers[j - 1], base);
    }
}

/* Add what state n of a channel contributes to the sum of every step. */
static void run_state(const ares_selective_scan_params *p, const void *const *inputs, int32_t n,
                      uint64_t decay, step *steps)
{
    const int64_t one = (int64_t)1 << p->fraction;
    uint64_t low[POWERS];
    uint64_t high[POWERS];
    int64_t h = 0;

    make_powers(low, decay);
    make_powers(high, ares_multiply_q62(low[POWERS - 1], decay));
    for (int32_t t = 0; t < p->steps; ++t) {
        const int32_t k = steps[t].k;
        const int32_t i = t * p->states + n;
        const int32_t b = ares_load_code(inputs[2], i, p->b_signed) - p->b_zero_point;
        const int32_t c = ares_load_code(inputs[3], i, p->c_signed) - p->c_zero_point;
        const uint64_t factor = ares_multiply_q62(high[k / POWERS], low[k % POWERS]);
        h = ares_scale_q62(h, factor) + (int64_t)steps[t].kx * b * one;
        steps[t].sum += c * ares_round_shift(h, p->drop);
    }
}

ares_status ares_selective_scan(const void *params, const void *const *inputs, void *const *outputs,
                                void *scratch)
{
    const ares_selective_scan_params *const p = (const ares_selective_scan_params *)params;
    uint8_t *const out = (uint8_t *)outputs[0];
    step *const steps = (step *)scratch;

    for (int32_t d = 0; d < p->channels; ++d) {
        for (int32_t t = 0; t < p->steps; ++t) {
            const int32_t i = t * p->channels + d;
            const int32_t x = ares_load_code(inputs[0], i, p->x_signed) - p->x_zero_point;
            steps[t].k = ares_load_code(inputs[1], i, p->dt_signed) - p->dt_zero_point;
            steps[t].kx = steps[t].k * x;
            steps[t].sum = p->skip[d] * x;
        }
        for (int32_t n = 0; n < p->states; ++n) {
            run_state(p, inputs, n, (uint64_t)p->decay[d * p->states + n], steps);
        }
        for (int32_t t = 0; t < p->steps; ++t) {
            const int64_t value =
                ares_wide_round(steps[t].sum, p->multiplier, p->shift, p->output_zero_point);
            out[t * p->channels + d] = ares_code_byte(ares_clamp(value, p->lo, p->hi));
        }
    }
    return ARES_OK;
}
