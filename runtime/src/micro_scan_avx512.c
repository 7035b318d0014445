/* The selective scan (N15) with AVX-512: four states in a vector, four vectors side by side, as a step waits for the last. */
#include "../inc/micro_avx512.h"

#if defined(ARES_MICRO_X86)

#include "../inc/wide.h"

#define VECTORS 4
#define LANES 4
#define POWERS 16

/* Powers k = POWERS * i + j of the decays are high[i] * low[j], all times 2^62. */
typedef struct tables {
    __m256i low[POWERS][VECTORS];
    __m256i high[POWERS][VECTORS];
} tables;

/* As ares_multiply_q62, from halves. */
AVX512_INLINE __m256i multiply_q62(__m256i value, __m256i factor)
{
    const __m256i value_high = _mm256_srli_epi64(value, 32);
    const __m256i factor_high = _mm256_srli_epi64(factor, 32);
    const __m256i top = _mm256_mul_epu32(value_high, factor_high);
    const __m256i below = _mm256_srli_epi64(_mm256_mul_epu32(value, factor), 32);
    const __m256i middle = _mm256_add_epi64(_mm256_mul_epu32(value_high, factor),
                                            _mm256_mul_epu32(value, factor_high));
    const __m256i half = _mm256_set1_epi64x(INT64_C(1) << 29);
    const __m256i rounded =
        _mm256_srli_epi64(_mm256_add_epi64(middle, _mm256_add_epi64(below, half)), 30);
    return _mm256_add_epi64(_mm256_slli_epi64(top, 2), rounded);
}

/* As ares_scale_q62. */
AVX512_INLINE __m256i scale_q62(__m256i value, __m256i factor)
{
    const __m256i size = multiply_q62(_mm256_abs_epi64(value), factor);
    const __mmask8 is_negative = _mm256_movepi64_mask(value);
    return _mm256_mask_sub_epi64(size, is_negative, _mm256_setzero_si256(), size);
}

/* As ares_round_shift. */
AVX512_INLINE __m256i round_shift(__m256i value, int32_t bits)
{
    const __m256i half = _mm256_set1_epi64x(INT64_C(1) << (bits - 1));
    const __m256i below = _mm256_set1_epi64x((INT64_C(1) << bits) - 1);
    const __m256i raised = _mm256_add_epi64(value, half);
    const __m256i rounded = _mm256_sra_epi64(raised, _mm_cvtsi32_si128(bits));
    const __mmask8 tie = _mm256_testn_epi64_mask(raised, below);
    return _mm256_mask_and_epi64(rounded, tie, rounded, _mm256_set1_epi64x(-2));
}

/* The steps of four codes, or of as many as there are. */
AVX512_INLINE __m256i four_steps(const uint8_t *codes, __mmask16 lanes, int32_t is_signed,
                                 int32_t zero_point)
{
    const __m128i bytes = _mm_maskz_loadu_epi8(lanes, codes);
    const __m256i values = is_signed ? _mm256_cvtepi8_epi64(bytes) : _mm256_cvtepu8_epi64(bytes);
    return _mm256_sub_epi64(values, _mm256_set1_epi64x(zero_point));
}

/* The sums of each of four vectors. */
AVX512_INLINE __m256i sums_of(__m256i v0, __m256i v1, __m256i v2, __m256i v3)
{
    const __m256i pairs01 =
        _mm256_add_epi64(_mm256_unpacklo_epi64(v0, v1), _mm256_unpackhi_epi64(v0, v1));
    const __m256i pairs23 =
        _mm256_add_epi64(_mm256_unpacklo_epi64(v2, v3), _mm256_unpackhi_epi64(v2, v3));
    return _mm256_add_epi64(_mm256_permute2x128_si256(pairs01, pairs23, 0x20),
                            _mm256_permute2x128_si256(pairs01, pairs23, 0x31));
}

/* Row j of a table from the one before: base is row 1. Vector by vector, which -O2 would not unroll. */
AVX512_INLINE void next_power(__m256i (*rows)[VECTORS], int32_t j)
{
    rows[j][0] = multiply_q62(rows[j - 1][0], rows[1][0]);
    rows[j][1] = multiply_q62(rows[j - 1][1], rows[1][1]);
    rows[j][2] = multiply_q62(rows[j - 1][2], rows[1][2]);
    rows[j][3] = multiply_q62(rows[j - 1][3], rows[1][3]);
}

/* Powers up to largest; row 1 of low is there. */
AVX512 static void make_powers(tables *powers, int32_t largest)
{
    const int32_t columns = largest < POWERS ? largest : POWERS - 1;
    for (int v = 0; v < VECTORS; ++v) {
        powers->low[0][v] = powers->high[0][v] = _mm256_set1_epi64x(INT64_C(1) << 62);
    }
    for (int32_t j = 2; j <= columns; ++j) {
        next_power(powers->low, j);
    }
    for (int v = 0; v < VECTORS && largest >= POWERS; ++v) {
        powers->high[1][v] = multiply_q62(powers->low[POWERS - 1][v], powers->low[1][v]);
    }
    for (int32_t i = 2; i <= largest / POWERS; ++i) {
        next_power(powers->high, i);
    }
}

AVX512 static int32_t largest_of(const ares_selective_scan_params *p, const uint8_t *dt,
                                 int32_t channels)
{
    int32_t largest = p->dt_zero_point;
    for (int32_t t = 0; t < p->steps; ++t) {
        for (int32_t i = 0; i < channels; ++i) {
            const int32_t code = ares_load_code(dt, t * p->channels + i, p->dt_signed);
            largest = code > largest ? code : largest;
        }
    }
    return largest - p->dt_zero_point;
}

/* Where a scan of VECTORS / blocks channels from x and dt on is, the states of each in so many vectors. */
typedef struct scan {
    const uint8_t *x;
    const uint8_t *dt;
    const uint8_t *b;
    const uint8_t *c;
    __m256i h[VECTORS];
    int32_t n[VECTORS]; /* first state of a vector */
    __mmask8 lanes[VECTORS];
} scan;

/* One time step of a vector of states: what it adds to the sum of its channel. */
AVX512_INLINE __m256i advance(const ares_selective_scan_params *p, scan *s, const tables *powers,
                              const int v, const int32_t blocks)
{
    const int32_t channel = v / blocks;
    const int32_t k = ares_load_code(s->dt, channel, p->dt_signed) - p->dt_zero_point;
    const int32_t x = ares_load_code(s->x, channel, p->x_signed) - p->x_zero_point;
    const __m256i b = four_steps(s->b + s->n[v], s->lanes[v], p->b_signed, p->b_zero_point);
    const __m256i c = four_steps(s->c + s->n[v], s->lanes[v], p->c_signed, p->c_zero_point);
    const __m256i factor = multiply_q62(powers->high[k / POWERS][v], powers->low[k % POWERS][v]);
    const __m256i drive = _mm256_sll_epi64(_mm256_mul_epi32(_mm256_set1_epi64x(k * x), b),
                                           _mm_cvtsi32_si128(p->fraction));
    s->h[v] = _mm256_add_epi64(scale_q62(s->h[v], factor), drive);
    return _mm256_maskz_mov_epi64(s->lanes[v],
                                  _mm256_mullo_epi64(c, round_shift(s->h[v], p->drop)));
}

AVX512_INLINE void scan_channels(const ares_selective_scan_params *params,
                                 const void *const *inputs, uint8_t *out, int32_t d,
                                 const int32_t blocks)
{
    const ares_selective_scan_params p = *params; /* not read again for each code */
    const int32_t channels = VECTORS / blocks;
    tables powers;
    scan s;
    s.x = (const uint8_t *)inputs[0] + d;
    s.dt = (const uint8_t *)inputs[1] + d;
    s.b = (const uint8_t *)inputs[2];
    s.c = (const uint8_t *)inputs[3];
    for (int v = 0; v < VECTORS; ++v) {
        const int32_t left = p.states - v % blocks * LANES;
        s.n[v] = left > 0 ? v % blocks * LANES : 0;
        s.lanes[v] = (__mmask8)(left >= LANES ? 0xf : left > 0 ? (1u << left) - 1u : 0);
        s.h[v] = _mm256_setzero_si256();
        powers.low[1][v] =
            _mm256_maskz_loadu_epi64(s.lanes[v], p.decay + (d + v / blocks) * p.states + s.n[v]);
    }
    make_powers(&powers, largest_of(params, s.dt, channels));
    for (int32_t t = 0; t < p.steps; ++t) {
        const __m256i part0 = advance(&p, &s, &powers, 0, blocks);
        const __m256i part1 = advance(&p, &s, &powers, 1, blocks);
        const __m256i part2 = advance(&p, &s, &powers, 2, blocks);
        const __m256i part3 = advance(&p, &s, &powers, 3, blocks);
        __m256i sums = sums_of(part0, part1, part2, part3);
        if (blocks > 1) {
            sums = _mm256_add_epi64(sums, _mm256_permute4x64_epi64(sums, 0xb1));
        }
        if (blocks > 2) {
            sums = _mm256_add_epi64(sums, _mm256_permute4x64_epi64(sums, 0x4e));
        }
        int64_t sum[VECTORS];
        _mm256_storeu_si256((__m256i *)(void *)sum, sums);
        for (int32_t i = 0; i < channels; ++i) {
            const int32_t step = ares_load_code(s.x, i, p.x_signed) - p.x_zero_point;
            const int64_t value = ares_wide_round(sum[i * blocks] + p.skip[d + i] * step,
                                                  p.multiplier, p.shift, p.output_zero_point);
            out[t * p.channels + d + i] = ares_code_byte(ares_clamp(value, p.lo, p.hi));
        }
        s.x += p.channels;
        s.dt += p.channels;
        s.b += p.states;
        s.c += p.states;
    }
}

AVX512 int32_t ares_scan_avx512(const ares_selective_scan_params *p, const void *const *inputs,
                                uint8_t *out)
{
    const int32_t blocks = p->states <= LANES ? 1 : p->states <= 2 * LANES ? 2 : 4;
    const int32_t at_once = VECTORS / blocks;
    const int32_t end = p->channels - p->channels % at_once;
    if (p->states > 4 * LANES) {
        return 0;
    }
    for (int32_t d = 0; d < end; d += at_once) {
        if (blocks == 1) {
            scan_channels(p, inputs, out, d, 1);
        } else if (blocks == 2) {
            scan_channels(p, inputs, out, d, 2);
        } else {
            scan_channels(p, inputs, out, d, 4);
        }
    }
    return end;
}

#endif
