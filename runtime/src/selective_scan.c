#include "../inc/selective_scan.h"

#include "../inc/micro_rows.h"
#include "../inc/wide.h"

#define POWERS 16

/* States side by side: where products are single instructions their latency is what counts, else the stack is. */
#if defined(__SIZEOF_INT128__)
#define LANES 4
#else
#define LANES 1
#endif

/* One time step of one channel: what all states share. */
typedef struct step {
    int64_t sum;
    int32_t kx;
    int32_t k;
} step;

/*
 * States of a channel side by side, since each step of one waits for the step before, as each power does: those of the
 * decay are k = POWERS * i + j as high[i] * low[j], all times 2^62.
 */
typedef struct states {
    uint64_t low[POWERS][LANES];
    uint64_t high[POWERS][LANES];
    int64_t h[LANES];
} states;

/* powers[j] = base^j for 1 < j <= largest; powers[1] is base. */
static void make_powers(uint64_t (*powers)[LANES], int32_t largest, int32_t count)
{
    for (int32_t j = 2; j <= largest; ++j) {
        for (int32_t i = 0; i < count; ++i) {
            powers[j][i] = ares_multiply_q62(powers[j - 1][i], powers[1][i]);
        }
    }
}

/* h at its start, with powers up to largest. */
static void start(states *s, const int64_t *decay, int32_t count, int32_t largest)
{
    const int32_t columns = largest < POWERS ? largest : POWERS - 1;
    for (int32_t i = 0; i < count; ++i) {
        s->low[0][i] = s->high[0][i] = UINT64_C(1) << 62;
        s->low[1][i] = (uint64_t)decay[i];
        s->h[i] = 0;
    }
    make_powers(s->low, columns, count);
    if (largest >= POWERS) {
        for (int32_t i = 0; i < count; ++i) {
            s->high[1][i] = ares_multiply_q62(s->low[POWERS - 1][i], s->low[1][i]);
        }
        make_powers(s->high, largest / POWERS, count);
    }
}

/* Add what count states of a channel from n on contribute to the sum of every step. */
static void run_states(const ares_selective_scan_params *p, const void *const *inputs, int32_t n,
                       int32_t count, const int64_t *decay, int32_t largest, step *steps)
{
    const ares_selective_scan_params my = *p;
    states s;

    start(&s, decay, count, largest);
    for (int32_t t = 0; t < my.steps; ++t) {
        const uint64_t *const high = s.high[steps[t].k / POWERS];
        const uint64_t *const low = s.low[steps[t].k % POWERS];
        const int32_t kx = steps[t].kx;
        int64_t sum = steps[t].sum;
        for (int32_t i = 0; i < count; ++i) {
            const int32_t at = t * my.states + n + i;
            const int32_t b = ares_load_code(inputs[2], at, my.b_signed) - my.b_zero_point;
            const int32_t c = ares_load_code(inputs[3], at, my.c_signed) - my.c_zero_point;
            const uint64_t factor = ares_multiply_q62(high[i], low[i]);
            const int64_t drive = kx * b * ((int64_t)1 << my.fraction);
            const int64_t h = ares_scale_q62(s.h[i], factor) + drive;
            s.h[i] = h;
            sum += c * ares_round_shift(h, my.drop);
        }
        steps[t].sum = sum;
    }
}

ares_status ares_selective_scan(const void *params, const void *const *inputs, void *const *outputs,
                                void *scratch)
{
    const ares_selective_scan_params *const p = (const ares_selective_scan_params *)params;
    uint8_t *const out = (uint8_t *)outputs[0];
    step *const steps = (step *)scratch;

    for (int32_t d = ares_scan_some(p, inputs, out); d < p->channels; ++d) {
        int32_t largest = 0;
        for (int32_t t = 0; t < p->steps; ++t) {
            const int32_t i = t * p->channels + d;
            const int32_t x = ares_load_code(inputs[0], i, p->x_signed) - p->x_zero_point;
            const int32_t k = ares_load_code(inputs[1], i, p->dt_signed) - p->dt_zero_point;
            steps[t].k = k;
            steps[t].kx = k * x;
            steps[t].sum = p->skip[d] * x;
            largest = k > largest ? k : largest;
        }
        for (int32_t n = 0; n < p->states; n += LANES) {
            const int32_t left = p->states - n;
            const int32_t count = left < LANES ? left : LANES;
            run_states(p, inputs, n, count, p->decay + d * p->states + n, largest, steps);
        }
        for (int32_t t = 0; t < p->steps; ++t) {
            const int64_t value =
                ares_wide_round(steps[t].sum, p->multiplier, p->shift, p->output_zero_point);
            out[t * p->channels + d] = ares_code_byte(ares_clamp(value, p->lo, p->hi));
        }
    }
    return ARES_OK;
}
