/*
 * Shared steps with AVX-512 VBMI. What is looked up is e, the distance of a value from the origin of the tables in parts of
 * 2^-16 buckets:
 *
 *     total = acc * M + B            value = total / 2^shift rounded half to even, half of the divisor being in B
 *     e     = floor((total - origin * 2^shift) / 2^(shift + bits - 16)), limited to what there are buckets for
 *
 * and in the same way a threshold's place, from (threshold - origin) * 2^shift. V = floor(total / 2^shift) is the value, or
 * one more where a tie goes down. If e is less than the place of a threshold, V is less than the threshold, and so is the
 * value. If e is more, total is more than threshold * 2^shift: V is the threshold or more, and at a tie, where total is a
 * multiple of 2^shift, more, so that the value is the threshold or more all the same. Only where e is the place itself the
 * code has to be found out, one by one. Places of other buckets' thresholds are other ones. The limits of e lie beyond the
 * places of the first and the last threshold, where the code stays.
 */
#include "../inc/micro_steps_avx512.h"

#if defined(ARES_MICRO_X86)

#include <immintrin.h>
#include <stddef.h>
#include <string.h>

#define VBMI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")))
#define VBMI_INLINE VBMI __attribute__((always_inline)) static inline

enum { PART = 16, MOST_SHIFT = 30 };

/* Parts of a bucket: distance * 2^(16 - bits), downwards. */
static int64_t parts_of(int64_t distance, int32_t bits)
{
    return bits >= PART ? distance >> (bits - PART) : distance << (PART - bits);
}

/* With buckets of 2^bits values. 0: there are too many of them, or of thresholds in one. */
static int fill(ares_step_tables *tables, const ares_steps *steps, int32_t bits)
{
    const size_t count = ares_step_place(steps, steps->last);
    const int32_t *const thresholds = steps->thresholds;
    /* The first threshold is one part or more behind it. */
    tables->origin = (int64_t)steps->below - ((int64_t)1 << (bits > PART ? bits - PART : 0));
    tables->reach = steps->last - tables->origin;
    tables->bits = bits;
    const int64_t end =
        (parts_of(tables->reach, bits) >> PART) + 1; /* behind the last threshold's */
    if (end >= ARES_STEP_BUCKETS) {
        return 0;
    }
    tables->buckets = (int32_t)end + 1;
    memset(tables->under, 0, sizeof tables->under); /* they are loaded whole */
    memset(tables->from, 0, sizeof tables->from);
    memset(tables->high, 0, sizeof tables->high);
    memset(tables->low, 0, sizeof tables->low);
    size_t i = 0;
    int64_t next = parts_of(thresholds[0] - tables->origin, bits);
    for (int32_t b = 0; b < tables->buckets; ++b) {
        int64_t place = UINT16_MAX; /* of none: the codes are the same */
        tables->under[b] = steps->codes[i];
        if (next >> PART == b) {
            const int32_t threshold = thresholds[i];
            place = next;
            next = INT64_MAX;
            while (++i < count) {
                if (thresholds[i] != threshold) {
                    next = parts_of(thresholds[i] - tables->origin, bits);
                    break;
                }
            }
            if (next >> PART == b) {
                return 0;
            }
        }
        tables->from[b] = steps->codes[i];
        tables->high[b] = (uint8_t)(((uint64_t)place >> 8) & 0xffu);
        tables->low[b] = (uint8_t)((uint64_t)place & 0xffu);
    }
    return 1;
}

int ares_step_tables_of(ares_step_tables *tables, const ares_rescale *rescale)
{
    if (!ares_x86_permutes_bytes || rescale->num_thresholds == 0 || rescale->step_stride != 0 ||
        rescale->steps->half > 1) {
        return 0;
    }
    /* The origin is not that of the index: where one bucket is too much, half as many may do. */
    return fill(tables, rescale->steps, rescale->steps->bits) ||
           (rescale->steps->bits < 31 && fill(tables, rescale->steps, rescale->steps->bits + 1));
}

/*
 * |total| < 2^62 + 2^60 and |origin| < 2^31 + 2^16, so that with shifts up to 30 their difference stays below 2^63. e has 25
 * bits: turned right by shift + bits - 16, or left where that is negative, it stands at bit 0, and at bit 32 in odd lanes.
 */
VBMI int ares_step_scaling_of(ares_step_scaling *s, const ares_step_tables *tables,
                              const ares_rescale *rescale, int32_t first, int32_t width)
{
    scaling plain;
    load_scaling(rescale, first, width, &plain);
    const __m512i shift = _mm512_add_epi32(plain.shift, _mm512_set1_epi32(32));
    const __m512i most = _mm512_set1_epi32(MOST_SHIFT);
    const __m512i origin = _mm512_set1_epi64(tables->origin);
    const __m512i reach = _mm512_set1_epi64(tables->reach);
    const __m512i one = _mm512_set1_epi64(1);
    const __m512i zero = _mm512_setzero_si512();
    for (int32_t odd = 0; odd < 2; ++odd) {
        const __m512i up = _mm512_srli_epi64(_mm512_slli_epi64(shift, odd ? 0 : 32), 32);
        const __m512i down = _mm512_add_epi64(up, _mm512_set1_epi64(tables->bits - PART));
        const __m512i part = _mm512_sllv_epi64(one, _mm512_max_epi64(down, zero));
        s->multiplier[odd] = plain.multiplier[odd];
        s->offset[odd] = _mm512_sub_epi64(plain.offset[odd], _mm512_sllv_epi64(origin, up));
        s->top[odd] = _mm512_add_epi64(_mm512_sllv_epi64(reach, up), part);
        s->turn[odd] = _mm512_sub_epi64(down, _mm512_set1_epi64(odd ? 32 : 0));
    }
    return _mm512_cmpgt_epi32_mask(shift, most) == 0;
}

/* e of sixteen sums. */
VBMI_INLINE __m512i turned(const ares_step_scaling *c, int odd, __m512i sums)
{
    const __m512i total =
        _mm512_add_epi64(_mm512_mul_epi32(sums, c->multiplier[odd]), c->offset[odd]);
    const __m512i zero = _mm512_setzero_si512();
    return _mm512_rorv_epi64(_mm512_min_epi64(_mm512_max_epi64(total, zero), c->top[odd]),
                             c->turn[odd]);
}

VBMI_INLINE __m512i parts(const ares_step_scaling *c, const int32_t *acc)
{
    const __m512i sums = _mm512_loadu_si512(acc);
    return _mm512_mask_mov_epi32(turned(c, 0, sums), 0xaaaa,
                                 turned(c, 1, _mm512_srli_epi64(sums, 32)));
}

/* Bytes of 256 by an index of 8 bits, the eighth of which is given. */
VBMI_INLINE __m512i of_256(__m512i a, __m512i b, __m512i c, __m512i d, __m512i index,
                           __mmask64 eighth)
{
    return _mm512_mask_mov_epi8(_mm512_permutex2var_epi8(a, index, b), eighth,
                                _mm512_permutex2var_epi8(c, index, d));
}

/* Bytes of even places of the first with those of even ones of the second behind each; and of odd ones. */
VBMI_INLINE __m512i even_bytes(__m512i first, __m512i second)
{
    return _mm512_mask_mov_epi8(first, 0xaaaaaaaaaaaaaaaau, _mm512_slli_epi16(second, 8));
}

VBMI_INLINE __m512i odd_bytes(__m512i first, __m512i second)
{
    return _mm512_mask_mov_epi8(_mm512_srli_epi16(first, 8), 0xaaaaaaaaaaaaaaaau, second);
}

VBMI_INLINE __m512i even_words(__m512i first, __m512i second)
{
    return _mm512_mask_mov_epi16(first, 0xaaaaaaaau, _mm512_slli_epi32(second, 16));
}

VBMI_INLINE __m512i odd_words(__m512i first, __m512i second)
{
    return _mm512_mask_mov_epi16(_mm512_srli_epi32(first, 16), 0xaaaaaaaau, second);
}

/* e of four rows, byte by byte: byte 4 i + r is of channel i in row r. */
typedef struct four_rows {
    __m512i low;
    __m512i high;
    __m512i bucket;
    __m512i codes;
    __mmask64 ninth; /* of bucket */
    __mmask64 unknown;
} four_rows;

VBMI_INLINE void split(four_rows *rows, const ares_step_scaling *c, const int32_t *acc)
{
    const __m512i e0 = parts(c, acc);
    const __m512i e1 = parts(c, acc + ARES_PANEL_WIDTH);
    const __m512i e2 = parts(c, acc + 2 * ARES_PANEL_WIDTH);
    const __m512i e3 = parts(c, acc + 3 * ARES_PANEL_WIDTH);
    const __m512i even01 = even_bytes(e0, e1);
    const __m512i even23 = even_bytes(e2, e3);
    const __m512i odd01 = odd_bytes(e0, e1);
    const __m512i odd23 = odd_bytes(e2, e3);
    rows->low = even_words(even01, even23);
    rows->high = even_words(odd01, odd23);
    rows->bucket = odd_words(even01, even23);
    rows->ninth = _mm512_test_epi8_mask(odd_words(odd01, odd23), _mm512_set1_epi8(1));
}

/* The bytes of four_rows that are of rows and channels that there are. */
VBMI_INLINE __mmask64 there(int32_t rows, int32_t width)
{
    return UINT64_C(0x1111111111111111) * ((1u << rows) - 1u) & ~UINT64_C(0) >> (64 - 4 * width);
}

/* Codes that were not known from e. */
static void find_out(__mmask64 unknown, const ares_rescale *rescale, int32_t first,
                     const int32_t *acc, uint8_t *out, int32_t out_step)
{
    for (; unknown != 0; unknown &= unknown - 1) {
        const int32_t at = __builtin_ctzll(unknown);
        const int32_t r = at % 4;
        const int32_t n = at / 4;
        const int32_t sum = acc[r * ARES_PANEL_WIDTH + n];
        out[r * out_step + n] = ares_code_byte(ares_rescale_apply(rescale, sum, first + n));
    }
}

/* Codes of four rows, as they lie in fours, to where they belong. */
VBMI_INLINE void store(__m512i codes, int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    if (width == ARES_PANEL_WIDTH) { /* several times faster than where masks are used */
        void *const to0 = out;
        void *const to1 = out + (rows > 1 ? out_step : 0);
        void *const to2 = out + (rows > 2 ? 2 * (ptrdiff_t)out_step : 0);
        void *const to3 = out + (rows > 3 ? 3 * (ptrdiff_t)out_step : 0);
        _mm_storeu_si128((__m128i *)to3, _mm512_extracti32x4_epi32(codes, 3));
        _mm_storeu_si128((__m128i *)to2, _mm512_extracti32x4_epi32(codes, 2));
        _mm_storeu_si128((__m128i *)to1, _mm512_extracti32x4_epi32(codes, 1));
        _mm_storeu_si128((__m128i *)to0, _mm512_castsi512_si128(codes));
        return;
    }
    uint8_t few[64];
    _mm512_storeu_si512(few, codes);
    for (int32_t r = 0; r < rows; ++r) {
        const void *const from = few + ARES_PANEL_WIDTH * r;
        _mm_mask_storeu_epi8(out + r * out_step, (__mmask16)((1u << width) - 1u),
                             _mm_loadu_si128((const __m128i *)from));
    }
}

/* Bytes of a table at the buckets of so many fours of rows. It is loaded once: into what registers there are. */
VBMI_INLINE void look_up(const uint8_t *table, const four_rows *fours, int32_t count,
                         const int has_ninth, __m512i *found)
{
    const __m512i t0 = _mm512_loadu_si512(table);
    const __m512i t1 = _mm512_loadu_si512(table + 64);
    const __m512i t2 = _mm512_loadu_si512(table + 128);
    const __m512i t3 = _mm512_loadu_si512(table + 192);
    const __m512i t4 = _mm512_loadu_si512(table + 256);
    const __m512i t5 = _mm512_loadu_si512(table + 320);
    const __m512i t6 = _mm512_loadu_si512(table + 384);
    const __m512i t7 = _mm512_loadu_si512(table + 448);
    for (int32_t i = 0; i < count; ++i) {
        const __m512i index = fours[i].bucket;
        const __mmask64 eighth = _mm512_movepi8_mask(index);
        found[i] = of_256(t0, t1, t2, t3, index, eighth);
        if (has_ninth) {
            found[i] = _mm512_mask_mov_epi8(found[i], fours[i].ninth,
                                            of_256(t4, t5, t6, t7, index, eighth));
        }
    }
}

/* The codes, but those that are unknown. */
VBMI_INLINE void find(const ares_step_tables *tables, four_rows *fours, int32_t count,
                      const int has_ninth)
{
    __m512i high[ARES_STEP_ROWS / 4];
    __m512i low[ARES_STEP_ROWS / 4];
    __m512i under[ARES_STEP_ROWS / 4];
    __m512i from[ARES_STEP_ROWS / 4];
    look_up(tables->high, fours, count, has_ninth, high);
    look_up(tables->low, fours, count, has_ninth, low);
    look_up(tables->under, fours, count, has_ninth, under);
    look_up(tables->from, fours, count, has_ninth, from);
    for (int32_t i = 0; i < count; ++i) {
        four_rows *const four = fours + i;
        const __mmask64 same = _mm512_cmpeq_epu8_mask(four->high, high[i]);
        const __mmask64 above = _mm512_cmpgt_epu8_mask(four->high, high[i]) |
                                _mm512_mask_cmpgt_epu8_mask(same, four->low, low[i]);
        four->unknown = _mm512_mask_cmpeq_epu8_mask(same, four->low, low[i]);
        four->codes = _mm512_mask_mov_epi8(under[i], above, from[i]);
    }
}

VBMI void ares_step_rows_avx512(const ares_step_tables *tables, const ares_step_scaling *s,
                                const ares_rescale *rescale, int32_t first, const int32_t *acc,
                                int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    const ares_step_scaling c = *s; /* not read again */
    const __m512i in_rows =
        _mm512_set_epi32(0x3f3b3733, 0x2f2b2723, 0x1f1b1713, 0x0f0b0703, 0x3e3a3632, 0x2e2a2622,
                         0x1e1a1612, 0x0e0a0602, 0x3d393531, 0x2d292521, 0x1d191511, 0x0d090501,
                         0x3c383430, 0x2c282420, 0x1c181410, 0x0c080400);
    four_rows fours[ARES_STEP_ROWS / 4];
    const int32_t count = (rows + 3) / 4;
    for (int32_t i = 0; i < count; ++i) {
        split(&fours[i], &c, acc + 4 * i * ARES_PANEL_WIDTH);
    }
    if (tables->buckets > 256) {
        find(tables, fours, count, 1);
    } else {
        find(tables, fours, count, 0);
    }
    for (int32_t i = 0; i < count; ++i) {
        const int32_t left = rows - 4 * i;
        const int32_t some = left < 4 ? left : 4;
        uint8_t *const to = out + 4 * i * out_step;
        store(_mm512_permutexvar_epi8(in_rows, fours[i].codes), some, width, to, out_step);
        find_out(fours[i].unknown & there(some, width), rescale, first,
                 acc + 4 * i * ARES_PANEL_WIDTH, to, out_step);
    }
}

#endif
