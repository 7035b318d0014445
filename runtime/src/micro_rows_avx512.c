/* Rows of codes with AVX-512: norms (N11), tables of bytes, rotary embeddings (N14). */
#include "../inc/micro_rows_avx512.h"

#if defined(ARES_MICRO_X86)

#include <string.h>

/* In parts of 32 bits: 2^15 squares of at most 255^2 are less than 2^31 together. */
AVX512 int32_t ares_moments_avx512(const uint8_t *codes, int32_t count, int32_t is_signed,
                                   int32_t *sum, int32_t *squares)
{
    const __m512i one = _mm512_set1_epi16(1);
    __m512i sums = _mm512_setzero_si512();
    __m512i parts = sums;
    for (int32_t i = 0; i < count; i += 32) {
        const __m256i bytes = _mm256_maskz_loadu_epi8((__mmask32)lanes_of(count - i), codes + i);
        const __m512i values =
            is_signed ? _mm512_cvtepi8_epi16(bytes) : _mm512_cvtepu8_epi16(bytes);
        sums = _mm512_add_epi32(sums, _mm512_madd_epi16(values, one));
        parts = _mm512_add_epi32(parts, _mm512_madd_epi16(values, values));
    }
    *sum = _mm512_reduce_add_epi32(sums);
    *squares = _mm512_reduce_add_epi32(parts);
    return count;
}

/* Constants of N3 for eight channels. */
typedef struct channels {
    __m512i multiplier;
    __m512i offset;
    __m512i shift;
    __m512i below_point; /* a mask */
} channels;

AVX512_INLINE channels channels_of(const ares_rescale *rescale, int32_t first, __mmask8 lanes)
{
    const __m512i one = _mm512_set1_epi64(1);
    channels c;
    if (rescale->channel_stride == 0) {
        c.multiplier = _mm512_set1_epi64(rescale->multiplier[0]);
        c.offset = _mm512_set1_epi64(rescale->offset[0]);
        c.shift = _mm512_set1_epi64(rescale->shift[0]);
    } else {
        c.multiplier =
            _mm512_cvtepi32_epi64(_mm256_maskz_loadu_epi32(lanes, rescale->multiplier + first));
        c.offset = _mm512_maskz_loadu_epi64(lanes, rescale->offset + first);
        c.shift = _mm512_cvtepu8_epi64(_mm_maskz_loadu_epi8(lanes, rescale->shift + first));
    }
    c.below_point = _mm512_sub_epi64(_mm512_sllv_epi64(one, c.shift), one);
    return c;
}

/* Those of width channels, again and again. */
AVX512_INLINE channels repeated(channels c, int32_t width)
{
    const __m512i lane =
        _mm512_and_si512(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), _mm512_set1_epi64(width - 1));
    c.multiplier = _mm512_permutexvar_epi64(lane, c.multiplier);
    c.offset = _mm512_permutexvar_epi64(lane, c.offset);
    c.shift = _mm512_permutexvar_epi64(lane, c.shift);
    c.below_point = _mm512_permutexvar_epi64(lane, c.below_point);
    return c;
}

/* As ares_round_raised. */
AVX512_INLINE __m512i round_raised(__m512i raised, __m512i bits, __m512i below_point)
{
    const __m512i value = _mm512_srav_epi64(raised, bits);
    const __mmask8 tie = _mm512_testn_epi64_mask(raised, below_point);
    return _mm512_mask_and_epi64(value, tie, value, _mm512_set1_epi64(-2));
}

AVX512_INLINE __m512i limited_values(__m512i values, int32_t lo, int32_t hi)
{
    return _mm512_min_epi64(_mm512_max_epi64(values, _mm512_set1_epi64(lo)), _mm512_set1_epi64(hi));
}

AVX512_INLINE __m512i eight_codes(const uint8_t *codes, __mmask8 lanes, int32_t is_signed)
{
    const __m128i bytes = _mm_maskz_loadu_epi8(lanes, codes);
    return is_signed ? _mm512_cvtepi8_epi64(bytes) : _mm512_cvtepu8_epi64(bytes);
}

/* Stores with a mask of bytes are slow where they cannot be forwarded: none for whole vectors. */
AVX512_INLINE void store_eight(uint8_t *out, __mmask8 lanes, __m128i codes)
{
    if (lanes == 0xff) {
        _mm_storel_epi64((__m128i *)(void *)out, codes);
    } else if (lanes == 0x0f) {
        const int32_t bytes = _mm_cvtsi128_si32(codes);
        memcpy(out, &bytes, sizeof bytes);
    } else {
        _mm_mask_storeu_epi8(out, lanes, codes);
    }
}

/* floor(product * multiplier / 2^32), |product| < 2^62: the low half as a signed number, its sign carried into the high. */
AVX512_INLINE __m512i scaled_high(__m512i product, __m512i multiplier)
{
    const __m512i carried = _mm512_add_epi64(product, _mm512_set1_epi64(INT64_C(1) << 31));
    const __m512i high = _mm512_mul_epi32(_mm512_srli_epi64(carried, 32), multiplier);
    const __m512i low = _mm512_srai_epi64(_mm512_mul_epi32(product, multiplier), 32);
    return _mm512_add_epi64(high, low);
}

/* Constants of a group, in all lanes. */
typedef struct norm_group {
    __m512i zero;
    __m512i unit;
    __m512i lead;
    __m128i right;
    __m128i left;
    int32_t is_signed;
    int32_t lo;
    int32_t hi;
} norm_group;

AVX512_INLINE __m128i normalised(const norm_group *g, const channels *c, __m128i codes)
{
    const __m512i wide = g->is_signed ? _mm512_cvtepi8_epi64(codes) : _mm512_cvtepu8_epi64(codes);
    const __m512i steps = _mm512_sub_epi64(wide, g->zero);
    const __m512i product = _mm512_sub_epi64(_mm512_mullo_epi64(steps, g->unit), g->lead);
    const __m512i scaled = scaled_high(product, c->multiplier);
    const __m512i moved = _mm512_sll_epi64(_mm512_sra_epi64(scaled, g->right), g->left);
    const __m512i raised = _mm512_add_epi64(moved, c->offset);
    return _mm512_cvtepi64_epi8(
        limited_values(round_raised(raised, c->shift, c->below_point), g->lo, g->hi));
}

/* Eight or fewer that lie side by side. */
AVX512_INLINE void normalise_eight(const norm_group *g, const channels *c, const uint8_t *in,
                                   __mmask8 lanes, uint8_t *out)
{
    store_eight(out, lanes, normalised(g, c, _mm_maskz_loadu_epi8(lanes, in)));
}

/* Eight codes of positions apart from each other, width of each; width divides 8. */
AVX512_INLINE void normalise_narrow(const norm_group *g, const channels *c, const uint8_t *in,
                                    uint8_t *out, int32_t apart, const int32_t width)
{
    uint8_t codes[8];
    for (int32_t k = 0; k < 8 / width; ++k) {
        memcpy(codes + k * width, in + k * apart, (size_t)width);
    }
    store_eight(codes, 0xff, normalised(g, c, _mm_loadl_epi64((const __m128i *)(void *)codes)));
    for (int32_t k = 0; k < 8 / width; ++k) {
        memcpy(out + k * apart, codes + k * width, (size_t)width);
    }
}

/* Channels side by side, fewer than eight: as many positions at once as there is room for. */
AVX512_INLINE void narrow_group(const ares_norm_params *p, const norm_group *g, int32_t first,
                                const uint8_t *in, uint8_t *out, const int32_t width)
{
    const __mmask8 lanes = (__mmask8)lanes_of(width);
    const channels own = channels_of(&p->rescale, first, lanes);
    const channels all = repeated(own, width);
    const int32_t apart = p->position_stride;
    int32_t i = 0;
    for (; i + 8 / width <= p->positions; i += 8 / width) {
        normalise_narrow(g, &all, in + i * apart, out + i * apart, apart, width);
    }
    for (; i < p->positions; ++i) {
        normalise_eight(g, &own, in + i * apart, lanes, out + i * apart);
    }
}

/* Channels side by side. */
AVX512_INLINE void wide_group(const ares_norm_params *p, const norm_group *g, int32_t first,
                              const uint8_t *in, uint8_t *out)
{
    for (int32_t c = 0; c < p->width; c += 8) {
        const __mmask8 lanes = (__mmask8)lanes_of(p->width - c);
        const channels own = channels_of(&p->rescale, first + c, lanes);
        for (int32_t i = 0; i < p->positions; ++i) {
            const int32_t at = c + i * p->position_stride;
            normalise_eight(g, &own, in + at, lanes, out + at);
        }
    }
}

/* Positions side by side. */
AVX512_INLINE void rows_of_group(const ares_norm_params *p, const norm_group *g, int32_t first,
                                 const uint8_t *in, uint8_t *out)
{
    for (int32_t c = 0; c < p->width; ++c) {
        const channels own = repeated(channels_of(&p->rescale, first + c, 1), 1);
        for (int32_t i = 0; i < p->positions; i += 8) {
            const int32_t at = c * p->channel_stride + i;
            normalise_eight(g, &own, in + at, (__mmask8)lanes_of(p->positions - i), out + at);
        }
    }
}

AVX512 int32_t ares_norm_avx512(const ares_norm_params *params, const ares_norm_group *group,
                                const uint8_t *in, uint8_t *out)
{
    const ares_norm_params p = *params; /* not read again for each code */
    const int32_t first = group->first;
    const norm_group g = {_mm512_set1_epi64(p.input_zero_point),
                          _mm512_set1_epi64(group->unit),
                          _mm512_set1_epi64(group->lead),
                          _mm_cvtsi32_si128(group->shift > 0 ? group->shift : 0),
                          _mm_cvtsi32_si128(group->shift < 0 ? -group->shift : 0),
                          p.input_signed,
                          p.rescale.lo,
                          p.rescale.hi};
    if (p.rescale.num_thresholds > 0) {
        return 0;
    }
    if (p.channel_stride == 1 && p.width >= 8) {
        wide_group(&p, &g, first, in, out);
    } else if (p.channel_stride == 1 && p.width == 4 && p.positions > 1) {
        narrow_group(&p, &g, first, in, out, 4);
    } else if (p.channel_stride == 1 && p.width == 2 && p.positions > 3) {
        narrow_group(&p, &g, first, in, out, 2);
    } else if (p.position_stride == 1 && p.positions >= 8) {
        rows_of_group(&p, &g, first, in, out);
    } else {
        return 0;
    }
    return p.width;
}

/* The last 64 may overlap those before them, and are read before these may be written. */
AVX512 int32_t ares_lookup_avx512(const uint8_t *table, const uint8_t *in, int32_t count,
                                  uint8_t *out)
{
    const __m512i zero = _mm512_setzero_si512();
    __m512i parts[16];
    if (count < 64) {
        return 0;
    }
    for (int k = 0; k < 16; ++k) {
        parts[k] =
            _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)table + k));
    }
    const __m512i last = _mm512_loadu_si512(in + count - 64);
    for (int32_t i = 0; i + 64 < count; i += 64) {
        _mm512_storeu_si512(out + i, looked_up(parts, 16, _mm512_loadu_si512(in + i), zero));
    }
    _mm512_storeu_si512(out + count - 64, looked_up(parts, 16, last, zero));
    return count;
}

/* Constants of a rotation's rounding, in all lanes. */
typedef struct turning {
    __m512i multiplier;
    __m512i addend; /* the zero point and half of the divisor */
    __m512i bits;
    __m512i below_point;
} turning;

/* N14: the values of eight accumulators below 2^39. What the low half of the product loses lifts a value off a tie. */
AVX512_INLINE __m512i turned(__m512i acc, const turning *t)
{
    const __m512i low = _mm512_mul_epu32(acc, t->multiplier);
    const __m512i high = _mm512_mul_epi32(_mm512_srli_epi64(acc, 32), t->multiplier);
    const __m512i product = _mm512_add_epi64(high, _mm512_srli_epi64(low, 32));
    const __m512i raised = _mm512_add_epi64(product, t->addend);
    const __m512i value = _mm512_srav_epi64(raised, t->bits);
    const __m512i lost = _mm512_slli_epi64(low, 32);
    const __m512i rest = _mm512_or_si512(_mm512_and_si512(raised, t->below_point), lost);
    const __mmask8 tie = _mm512_testn_epi64_mask(rest, rest);
    return _mm512_mask_and_epi64(value, tie, value, _mm512_set1_epi64(-2));
}

AVX512 int32_t ares_rotary_avx512(const ares_rotary_params *params, const int32_t *cos,
                                  const int32_t *sin, const uint8_t *in, uint8_t *out)
{
    const ares_rotary_params p = *params; /* not read again for each code */
    const __m512i zero = _mm512_set1_epi64(p.input_zero_point);
    const int64_t one = INT64_C(1) << p.shift;
    const turning t = {_mm512_set1_epi64(p.multiplier),
                       _mm512_set1_epi64(p.zero_point * one + one / 2), _mm512_set1_epi64(p.shift),
                       _mm512_set1_epi64(one - 1)};
    for (int32_t i = 0; i < p.pairs; i += 8) {
        const __mmask8 lanes = (__mmask8)lanes_of(p.pairs - i);
        const __m512i c = _mm512_cvtepi32_epi64(_mm256_maskz_loadu_epi32(lanes, cos + i));
        const __m512i s = _mm512_cvtepi32_epi64(_mm256_maskz_loadu_epi32(lanes, sin + i));
        __m512i a;
        __m512i b;
        if (p.halves) {
            a = eight_codes(in + i, lanes, p.input_signed);
            b = eight_codes(in + p.pairs + i, lanes, p.input_signed);
        } else {
            const __mmask16 both = (__mmask16)lanes_of(2 * (p.pairs - i));
            const __m128i bytes = _mm_maskz_loadu_epi8(both, in + 2 * i);
            const __m512i words = p.input_signed ? _mm512_cvtepi16_epi64(_mm_srai_epi16(bytes, 8))
                                                 : _mm512_cvtepu16_epi64(_mm_srli_epi16(bytes, 8));
            const __m128i low = _mm_slli_epi16(bytes, 8);
            b = words;
            a = p.input_signed ? _mm512_cvtepi16_epi64(_mm_srai_epi16(low, 8))
                               : _mm512_cvtepu16_epi64(_mm_srli_epi16(low, 8));
        }
        a = _mm512_sub_epi64(a, zero);
        b = _mm512_sub_epi64(b, zero);
        const __m512i along = _mm512_sub_epi64(_mm512_mul_epi32(a, c), _mm512_mul_epi32(b, s));
        const __m512i across = _mm512_add_epi64(_mm512_mul_epi32(a, s), _mm512_mul_epi32(b, c));
        const __m128i first = _mm512_cvtepi64_epi8(limited_values(turned(along, &t), p.lo, p.hi));
        const __m128i second = _mm512_cvtepi64_epi8(limited_values(turned(across, &t), p.lo, p.hi));
        if (p.halves) {
            store_eight(out + i, lanes, first);
            store_eight(out + p.pairs + i, lanes, second);
        } else if (lanes == 0xff) {
            _mm_storeu_si128((__m128i *)(void *)(out + 2 * i), _mm_unpacklo_epi8(first, second));
        } else {
            const __mmask16 both = (__mmask16)lanes_of(2 * (p.pairs - i));
            _mm_mask_storeu_epi8(out + 2 * i, both, _mm_unpacklo_epi8(first, second));
        }
    }
    return p.pairs;
}

#endif
