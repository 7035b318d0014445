/* Softmax with AVX-512 (N13): what softmax.c does, key by key, for many at once. */
#include "../inc/micro_rows_avx512.h"

#if defined(ARES_MICRO_X86)

#include "../inc/softmax_row.h"

#include <string.h>

#define STEPS 256 /* below the largest score */
#define PART 16   /* codes of a part of the table by steps */

/* From so many scores on it pays to make the table of terms, and from so many keys on that of codes. */
#define FEW_SCORES 1024
#define FEW_KEYS 16

/* A row of kept scores: bytes that ascend with them are in ^ flip. */
typedef struct scores {
    const uint8_t *in;
    const uint8_t *mask;
    int32_t kept;
    uint8_t flip;
    uint8_t top; /* the largest of those that the mask keeps */
} scores;

/* The codes of a row by steps below the largest score, in parts as a shuffle takes them; zero behind the last one. */
typedef struct code_table {
    __m512i parts[STEPS / PART];
    int32_t count;
} code_table;

/* Which of up to 64 keys from j on there are, and count. */
AVX512_INLINE __mmask64 kept_lanes(const scores *row, int32_t j)
{
    const __mmask64 lanes = lanes_of(row->kept - j);
    if (row->mask == NULL) {
        return lanes;
    }
    const __m512i mask = _mm512_maskz_loadu_epi8(lanes, row->mask + j);
    return _mm512_test_epi8_mask(mask, mask);
}

AVX512_INLINE uint8_t largest_of(const scores *row)
{
    const __m512i flip = _mm512_set1_epi8((char)row->flip);
    __m512i top = _mm512_setzero_si512();
    for (int32_t j = 0; j < row->kept; j += 64) {
        const __mmask64 lanes = kept_lanes(row, j);
        const __m512i codes = _mm512_maskz_loadu_epi8(lanes, row->in + j);
        top = _mm512_mask_max_epu8(top, lanes, top, _mm512_xor_si512(codes, flip));
    }
    const __m256i half =
        _mm256_max_epu8(_mm512_castsi512_si256(top), _mm512_extracti64x4_epi64(top, 1));
    __m128i most = _mm_max_epu8(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    most = _mm_max_epu8(most, _mm_srli_si128(most, 8));
    most = _mm_max_epu8(most, _mm_srli_si128(most, 4));
    most = _mm_max_epu8(most, _mm_srli_si128(most, 2));
    most = _mm_max_epu8(most, _mm_srli_si128(most, 1));
    return (uint8_t)_mm_cvtsi128_si32(most);
}

/* Four sums: an addition waits for the one before it. */
static uint64_t sum_of(const uint64_t *terms, const scores *row)
{
    const uint8_t *const in = row->in;
    const uint8_t *const mask = row->mask;
    const int32_t flip = row->flip ^ 0xff; /* so that bytes are the steps below 255, */
    const int32_t above = 255 - row->top;  /* of which so many are above the largest */
    uint64_t sums[4] = {0, 0, 0, 0};
    int32_t j = 0;
    for (; j + 4 <= row->kept && mask == NULL; j += 4) {
        for (int i = 0; i < 4; ++i) {
            sums[i] += terms[(in[j + i] ^ flip) - above];
        }
    }
    for (; j < row->kept; ++j) {
        if (mask == NULL || mask[j] != 0) {
            sums[0] += terms[(in[j] ^ flip) - above];
        }
    }
    return sums[0] + sums[1] + sums[2] + sums[3];
}

/* Codes of eight steps, in the low bytes. As ares_softmax_code: a shift of 65 and more leaves nothing. */
AVX512_INLINE __m128i eight_codes(const ares_softmax_params *p, const ares_softmax_row *close,
                                  int32_t k)
{
    const __m512i one = _mm512_set1_epi64(1);
    const __m256i mantissas = _mm256_loadu_si256((const __m256i *)(const void *)(p->mantissas + k));
    const __m128i exponents = _mm_loadl_epi64((const __m128i *)(const void *)(p->exponents + k));
    const __m512i bits =
        _mm512_add_epi64(_mm512_cvtepu8_epi64(exponents), _mm512_set1_epi64(close->shift - 1));
    const __m512i product = _mm512_mullo_epi64(_mm512_cvtepu32_epi64(mantissas),
                                               _mm512_set1_epi64((int64_t)close->factor));
    const __m512i halves = _mm512_srlv_epi64(product, bits);
    const __m512i below =
        _mm512_andnot_si512(_mm512_sllv_epi64(_mm512_set1_epi64(-1), bits), product);
    const __m512i code =
        _mm512_add_epi64(_mm512_srli_epi64(halves, 1), _mm512_set1_epi64(p->zero_point));
    const __mmask8 half = _mm512_test_epi64_mask(halves, one);
    const __mmask8 up = _mm512_test_epi64_mask(below, below) | _mm512_test_epi64_mask(code, one);
    const __m512i rounded = _mm512_mask_add_epi64(code, half & up, code, one);
    return _mm512_cvtepi64_epi8(_mm512_min_epi64(
        _mm512_max_epi64(rounded, _mm512_set1_epi64(p->lo)), _mm512_set1_epi64(p->hi)));
}

/* Codes fall with the score, so that behind the first that is zero's all are. */
AVX512_INLINE void make_table(const ares_softmax_params *p, const ares_softmax_row *close,
                              int32_t top, code_table *table)
{
    const uint32_t zero = ares_code_byte(p->zero_point);
    uint32_t last = ~zero;
    table->count = 0;
    for (int32_t k = 0; k <= top && last != zero; k += PART) {
        const __m128i codes =
            _mm_unpacklo_epi64(eight_codes(p, close, k), eight_codes(p, close, k + 8));
        table->parts[table->count++] = _mm512_broadcast_i32x4(codes);
        last = (uint32_t)_mm_extract_epi8(codes, PART - 1);
    }
}

/* The codes of up to 64 scores, those of the kept ones that count by the table, the others zero's. */
AVX512_INLINE __m512i codes_of(const scores *row, const code_table *table, __m512i in,
                               __mmask64 lanes, __m512i zero)
{
    const __m512i place = _mm512_sub_epi8(_mm512_set1_epi8((char)row->top),
                                          _mm512_xor_si512(in, _mm512_set1_epi8((char)row->flip)));
    return _mm512_mask_mov_epi8(zero, lanes, looked_up(table->parts, table->count, place, zero));
}

/* The first count of 64 bytes: stores with a mask of bytes are slow. */
AVX512_INLINE void store_first(uint8_t *out, __m512i bytes, int32_t count)
{
    uint8_t all[64];
    if (count == 32) {
        _mm256_storeu_si256((__m256i *)(void *)out, _mm512_castsi512_si256(bytes));
        return;
    }
    _mm512_storeu_si512(all, bytes);
    memcpy(out, all, (size_t)count);
}

/* The last 64 may overlap those before them, and are read before these may be written. */
AVX512_INLINE void write_codes(const scores *row, const code_table *table, uint8_t zero_code,
                               uint8_t *out)
{
    const __m512i zero = _mm512_set1_epi8((char)zero_code);
    const int32_t at = row->kept - 64;
    if (at < 0) {
        const __m512i in = _mm512_maskz_loadu_epi8(lanes_of(row->kept), row->in);
        store_first(out, codes_of(row, table, in, kept_lanes(row, 0), zero), row->kept);
        return;
    }
    const __m512i last = _mm512_loadu_si512(row->in + at);
    for (int32_t j = 0; j < at; j += 64) {
        const __m512i in = _mm512_loadu_si512(row->in + j);
        _mm512_storeu_si512(out + j, codes_of(row, table, in, kept_lanes(row, j), zero));
    }
    _mm512_storeu_si512(out + at, codes_of(row, table, last, kept_lanes(row, at), zero));
}

AVX512 int32_t ares_softmax_avx512(const ares_softmax_params *p, const uint8_t *in, uint8_t *out)
{
    const uint8_t zero = ares_code_byte(p->zero_point);
    uint64_t terms[STEPS];
    code_table table;
    scores row;
    if (p->keys < FEW_KEYS || (int64_t)p->rows * p->keys < FEW_SCORES) {
        return 0;
    }
    for (int32_t k = 0; k < STEPS; ++k) {
        terms[k] = ares_softmax_term(p->mantissas[k], p->exponents[k]);
    }
    row.flip = p->input_signed ? 0x80 : 0;
    for (int32_t r = 0; r < p->rows; ++r) {
        row.in = in;
        row.mask = p->mask_rows != 0 ? p->mask + r % p->mask_rows * p->keys : NULL;
        row.kept = p->causal ? r % p->keys + 1 : p->keys;
        row.top = largest_of(&row);
        const ares_softmax_row close =
            ares_softmax_close(sum_of(terms, &row), p->numerator, p->exponent);
        make_table(p, &close, row.top, &table);
        write_codes(&row, &table, zero, out);
        memset(out + row.kept, zero, (size_t)(p->keys - row.kept));
        in += p->keys;
        out += p->keys;
    }
    return p->rows;
}

#endif
