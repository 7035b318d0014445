/* Depthwise layers with AVX-512 VNNI: four taps of a channel in each of sixteen lanes. */
#include "../inc/micro_avx512.h"

#if defined(ARES_MICRO_X86)

#include <stddef.h>
#include <string.h>

/* Four quarters of 64 channels' bytes, four taps a channel: lane L of quarter q holds channels 16 L + 4 q and on. */
AVX512_INLINE void interleaved(__m512i t0, __m512i t1, __m512i t2, __m512i t3, __m512i *quarters)
{
    const __m512i lo01 = _mm512_unpacklo_epi8(t0, t1);
    const __m512i hi01 = _mm512_unpackhi_epi8(t0, t1);
    const __m512i lo23 = _mm512_unpacklo_epi8(t2, t3);
    const __m512i hi23 = _mm512_unpackhi_epi8(t2, t3);
    quarters[0] = _mm512_unpacklo_epi16(lo01, lo23);
    quarters[1] = _mm512_unpackhi_epi16(lo01, lo23);
    quarters[2] = _mm512_unpacklo_epi16(hi01, hi23);
    quarters[3] = _mm512_unpackhi_epi16(hi01, hi23);
}

/* Rows of sixteen values to quarters, and back. */
AVX512_INLINE void transpose_lanes(__m512i *v)
{
    const __m512i a = _mm512_shuffle_i32x4(v[0], v[1], 0x44);
    const __m512i b = _mm512_shuffle_i32x4(v[2], v[3], 0x44);
    const __m512i c = _mm512_shuffle_i32x4(v[0], v[1], 0xee);
    const __m512i d = _mm512_shuffle_i32x4(v[2], v[3], 0xee);
    v[0] = _mm512_shuffle_i32x4(a, b, 0x88);
    v[1] = _mm512_shuffle_i32x4(a, b, 0xdd);
    v[2] = _mm512_shuffle_i32x4(c, d, 0x88);
    v[3] = _mm512_shuffle_i32x4(c, d, 0xdd);
}

/* The same of one tap, the first of four: bytes whose place has its highest bit become zero. */
AVX512_INLINE void alone(__m512i tap, __m512i *quarters)
{
    const __m512i places = _mm512_broadcast_i32x4(
        _mm_add_epi32(_mm_set1_epi32((int)0x80808000u), _mm_setr_epi32(0, 1, 2, 3)));
    quarters[0] = _mm512_shuffle_epi8(tap, places);
    quarters[1] = _mm512_shuffle_epi8(tap, _mm512_add_epi32(places, _mm512_set1_epi32(4)));
    quarters[2] = _mm512_shuffle_epi8(tap, _mm512_add_epi32(places, _mm512_set1_epi32(8)));
    quarters[3] = _mm512_shuffle_epi8(tap, _mm512_add_epi32(places, _mm512_set1_epi32(12)));
}

AVX512 void ares_depthwise_tile_avx512(const ares_depthwise_taps *taps, int32_t first,
                                       int32_t width, int32_t *acc)
{
    const __mmask64 bytes = ~(__mmask64)0 >> (64 - width);
    const __m512i flip = _mm512_set1_epi8((char)(taps->is_signed ? -128 : 0));
    const __m512i zero = _mm512_setzero_si512();
    const int8_t *w = taps->weight + first;
    __m512i sums[4] = {zero, zero, zero, zero};
    for (int32_t t = 0; t < taps->taps; t += 4) {
        __m512i x4[4];
        __m512i w4[4];
        for (int32_t k = 0; k < 4; ++k) {
            x4[k] = zero;
            w4[k] = zero;
            if (t + k < taps->taps) {
                x4[k] = _mm512_maskz_loadu_epi8(bytes, taps->x[t + k] + first);
                x4[k] = _mm512_xor_si512(x4[k], flip);
                w4[k] = _mm512_maskz_loadu_epi8(bytes, w);
                w += taps->channels;
            }
        }
        interleaved(x4[0], x4[1], x4[2], x4[3], x4);
        interleaved(w4[0], w4[1], w4[2], w4[3], w4);
        for (int32_t q = 0; q < 4; ++q) {
            sums[q] = _mm512_dpbusd_epi32(sums[q], x4[q], w4[q]);
            if (taps->is_signed) { /* x + 128 were taken */
                const __m512i excess_of = _mm512_dpbusd_epi32(zero, flip, w4[q]);
                sums[q] = _mm512_sub_epi32(sums[q], excess_of);
            }
        }
    }
    transpose_lanes(sums);
    for (int32_t l = 0; 16 * l < width; ++l) {
        const int32_t left = width - 16 * l;
        const __mmask16 lanes = (__mmask16)(left < 16 ? (1u << left) - 1u : 0xffffu);
        _mm512_mask_storeu_epi32(acc + 16 * l, lanes, sums[l]);
    }
}

/* Depthwise blocks: 64 bytes of result at a time, of one position, or of several where channels are few. */
enum { MOST_GROUPS = 7 };

typedef struct depthwise_constants {
    __m512i weight[MOST_GROUPS][4]; /* of four taps, by quarters */
    __m512i start[4];               /* of the sums */
    scaling scale[4];
    int32_t repeat; /* positions in 64 bytes */
} depthwise_constants;

_Static_assert(sizeof(depthwise_constants) + 64 <= ARES_DEPTHWISE_PREPARED, "too small");

static depthwise_constants *aligned(const uint8_t *prepared)
{
    return (depthwise_constants *)(((uintptr_t)prepared + 63u) & ~(uintptr_t)63u);
}

/* The first width of 64 elements, again and again. */
static void repeated(void *elements, size_t size, int32_t width)
{
    for (size_t done = size * (size_t)width; done < 64 * size;) {
        const size_t more = done < 64 * size - done ? done : 64 * size - done;
        memcpy((uint8_t *)elements + done, elements, more);
        done += more;
    }
}

AVX512_INLINE int prepare_scaling(const ares_rescale *rescale, int32_t first, int32_t width,
                                  scaling *quarters)
{
    int32_t multiplier[64];
    int64_t offset[64];
    uint8_t shift[64];
    const int32_t known = rescale->channel_stride == 0 ? 1 : width;
    const int32_t at = rescale->channel_stride == 0 ? 0 : first;
    memcpy(multiplier, rescale->multiplier + at, (size_t)known * sizeof *multiplier);
    memcpy(offset, rescale->offset + at, (size_t)known * sizeof *offset);
    memcpy(shift, rescale->shift + at, (size_t)known);
    repeated(multiplier, sizeof *multiplier, known);
    repeated(offset, sizeof *offset, known);
    repeated(shift, 1, known);
    ares_rescale whole = *rescale;
    whole.multiplier = multiplier;
    whole.offset = offset;
    whole.shift = shift;
    whole.channel_stride = 1;
    __m512i parts[5][4];
    int is_right = 1;
    for (int32_t l = 0; l < 4; ++l) {
        scaling s;
        is_right &= load_scaling(&whole, 16 * l, 16, &s);
        parts[0][l] = s.multiplier[0];
        parts[1][l] = s.offset[0];
        parts[2][l] = s.offset[1];
        parts[3][l] = s.shift;
    }
    for (int32_t k = 0; k < 4; ++k) {
        transpose_lanes(parts[k]);
    }
    for (int32_t q = 0; q < 4; ++q) {
        quarters[q].multiplier[0] = parts[0][q];
        quarters[q].multiplier[1] = _mm512_srli_epi64(parts[0][q], 32);
        quarters[q].offset[0] = parts[1][q];
        quarters[q].offset[1] = parts[2][q];
        quarters[q].shift = parts[3][q];
    }
    return is_right;
}

AVX512 int32_t ares_depthwise_prepare_avx512(ares_depthwise_block *block)
{
    const ares_depthwise_taps *const taps = block->taps;
    const int32_t width = block->width;
    depthwise_constants *const constants = aligned(block->prepared);
    const __m512i zero = _mm512_setzero_si512();
    if (block->rescale->num_thresholds > 0 || taps->taps > 4 * MOST_GROUPS ||
        !prepare_scaling(block->rescale, block->first, width, constants->scale)) {
        return 0;
    }
    constants->repeat = width == taps->channels && 64 % width == 0 ? 64 / width : 1;
    for (int32_t q = 0; q < 4; ++q) {
        constants->start[q] = zero;
    }
    for (int32_t t = 0; t < taps->taps; t += 4) {
        __m512i *const w = constants->weight[t / 4];
        uint8_t rows[4][64] = {{0}};
        for (int32_t k = 0; k < 4 && t + k < taps->taps; ++k) {
            memcpy(rows[k], taps->weight + (t + k) * taps->channels + block->first, (size_t)width);
            repeated(rows[k], 1, width);
        }
        interleaved(_mm512_loadu_si512(rows[0]), _mm512_loadu_si512(rows[1]),
                    _mm512_loadu_si512(rows[2]), _mm512_loadu_si512(rows[3]), w);
        for (int32_t q = 0; q < 4 && taps->is_signed; ++q) { /* x + 128 will be taken */
            const __m512i more = _mm512_dpbusd_epi32(zero, _mm512_set1_epi8((char)-128), w[q]);
            constants->start[q] = _mm512_sub_epi32(constants->start[q], more);
        }
    }
    return 1;
}

/* Where the positions of one step are, and which of their 64 bytes there are. */
typedef struct places {
    __mmask64 bytes;
    ptrdiff_t second;
    ptrdiff_t third;
    ptrdiff_t fourth;
} places;

/*
 * One tap: 64 bytes in a row, or, where positions are apart, 2 of 32 channels or 4 of 16 together. A tap that is at the zero
 * points has one code everywhere.
 */
AVX512_INLINE __m512i load_tap(const uint8_t *x, ptrdiff_t at, const places *where, const int apart)
{
    const uint8_t *const code = x + at;
    if (apart == 2) {
        const __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)code);
        const void *const second = code + where->second;
        return _mm512_inserti64x4(_mm512_castsi256_si512(first),
                                  _mm256_loadu_si256((const __m256i *)second), 1);
    }
    if (apart == 4) {
        const void *const first = code;
        const void *const second = code + where->second;
        const void *const third = code + where->third;
        const void *const fourth = code + where->fourth;
        __m512i all = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)first));
        all = _mm512_inserti32x4(all, _mm_loadu_si128((const __m128i *)second), 1);
        all = _mm512_inserti32x4(all, _mm_loadu_si128((const __m128i *)third), 2);
        return _mm512_inserti32x4(all, _mm_loadu_si128((const __m128i *)fourth), 3);
    }
    return _mm512_maskz_loadu_epi8(where->bytes, code);
}

AVX512_INLINE void depthwise_positions(const ares_depthwise_block *block,
                                       const ares_depthwise_run *run, uint8_t *out, int32_t repeat,
                                       const int is_signed, const int apart)
{
    const depthwise_constants *const constants = aligned(block->prepared);
    const uint8_t *const *const x = block->taps->x;
    const int32_t taps = block->taps->taps;
    const int32_t width = block->width;
    const __m512i flip = _mm512_set1_epi8((char)(is_signed ? -128 : 0));
    const __m512i zero = _mm512_setzero_si512();
    const ptrdiff_t step = run->step;
    const scaling *const scales[4] = {&constants->scale[0], &constants->scale[1],
                                      &constants->scale[2], &constants->scale[3]};
    for (int32_t i = 0; i < run->positions; i += repeat) {
        const int32_t left = run->positions - i;
        const int32_t count = left < repeat ? left : repeat;
        const ptrdiff_t last = (count - 1) * step;
        const ptrdiff_t at = block->first + i * step;
        const places where = {~(__mmask64)0 >> (64 - width * count), step < last ? step : last,
                              2 * step < last ? 2 * step : last, last};
        __m512i sum0 = constants->start[0];
        __m512i sum1 = constants->start[1];
        __m512i sum2 = constants->start[2];
        __m512i sum3 = constants->start[3];
        const __m512i(*w)[4] = constants->weight;
#define TAP(t)                                                                                     \
    _mm512_xor_si512((t) >= run->first && (t) < run->end ? load_tap(x[t], at, &where, apart)       \
                                                         : _mm512_set1_epi8((char)*x[t]),          \
                     flip)
        for (int32_t t = 0; t < taps; t += 4) {
            const __m512i tap0 = TAP(t);
            const __m512i tap1 = t + 1 < taps ? TAP(t + 1) : zero;
            const __m512i tap2 = t + 2 < taps ? TAP(t + 2) : zero;
            const __m512i tap3 = t + 3 < taps ? TAP(t + 3) : zero;
            __m512i x4[4];
            interleaved(tap0, tap1, tap2, tap3, x4);
            sum0 = _mm512_dpbusd_epi32(sum0, x4[0], (*w)[0]);
            sum1 = _mm512_dpbusd_epi32(sum1, x4[1], (*w)[1]);
            sum2 = _mm512_dpbusd_epi32(sum2, x4[2], (*w)[2]);
            sum3 = _mm512_dpbusd_epi32(sum3, x4[3], (*w)[3]);
            ++w;
        }
#undef TAP
        const __m512i codes = finished(scales, sum0, sum1, sum2, sum3, block->rescale, 0xffff);
        if (width * count == 64) { /* several times faster than with a mask */
            _mm512_storeu_si512(out, codes);
        } else {
            _mm512_mask_storeu_epi8(out, where.bytes, codes);
        }
        out += (ptrdiff_t)block->taps->channels * repeat;
    }
}

AVX512 void ares_depthwise_positions_avx512(const ares_depthwise_block *block,
                                            const ares_depthwise_run *run, uint8_t *out)
{
    const int32_t repeat = aligned(block->prepared)->repeat;
    const int is_signed = block->taps->is_signed;
    const int is_apart = run->step != block->taps->channels;
    if (is_apart && repeat == 2) {
        depthwise_positions(block, run, out, 2, is_signed, 2);
    } else if (is_apart && repeat == 4) {
        depthwise_positions(block, run, out, 4, is_signed, 4);
    } else {
        depthwise_positions(block, run, out, is_apart ? 1 : repeat, is_signed, 1);
    }
}

/* Bytes where a mask has bits, others elsewhere; what is not there is not read. */
AVX512_INLINE __m512i masked(__m512i others, uint64_t there, uintptr_t at)
{
    return _mm512_mask_loadu_epi8(others, there, (const void *)at);
}

/* The lowest bits. */
AVX512_INLINE uint64_t low_bits(int32_t count)
{
    return count <= 0 ? 0 : ~(uint64_t)0 >> (64 - count);
}

/* Where the nine taps of 64 bytes of results are: row r and column k of them at row[r] + column[k], as far as there is input. */
typedef struct nine_places {
    uintptr_t row[3];
    uintptr_t column[3];
    uint64_t inside[3]; /* bytes of a row, all or none */
    uint64_t there[3];  /* bytes of a column */
} nine_places;

/* The codes of these 64 bytes; is_whole: all of the taps are there. */
AVX512_INLINE __m512i codes_of_nine(const ares_depthwise_block *block, const nine_places *at,
                                    __m512i zeros, const int is_signed, const int is_whole)
{
    const depthwise_constants *const constants = aligned(block->prepared);
    const __m512i flip = _mm512_set1_epi8((char)(is_signed ? -128 : 0));
    const scaling *const scales[4] = {&constants->scale[0], &constants->scale[1],
                                      &constants->scale[2], &constants->scale[3]};
    __m512i x4[4];
#define PLACE(r, k) (at->row[r] + at->column[k])
#define TAP(r, k)                                                                                  \
    _mm512_xor_si512(flip, is_whole ? _mm512_loadu_si512((const void *)PLACE(r, k))                \
                                    : masked(zeros, at->inside[r] & at->there[k], PLACE(r, k)))
    interleaved(TAP(0, 0), TAP(0, 1), TAP(0, 2), TAP(1, 0), x4);
    __m512i sum0 = _mm512_dpbusd_epi32(constants->start[0], x4[0], constants->weight[0][0]);
    __m512i sum1 = _mm512_dpbusd_epi32(constants->start[1], x4[1], constants->weight[0][1]);
    __m512i sum2 = _mm512_dpbusd_epi32(constants->start[2], x4[2], constants->weight[0][2]);
    __m512i sum3 = _mm512_dpbusd_epi32(constants->start[3], x4[3], constants->weight[0][3]);
    interleaved(TAP(1, 1), TAP(1, 2), TAP(2, 0), TAP(2, 1), x4);
    sum0 = _mm512_dpbusd_epi32(sum0, x4[0], constants->weight[1][0]);
    sum1 = _mm512_dpbusd_epi32(sum1, x4[1], constants->weight[1][1]);
    sum2 = _mm512_dpbusd_epi32(sum2, x4[2], constants->weight[1][2]);
    sum3 = _mm512_dpbusd_epi32(sum3, x4[3], constants->weight[1][3]);
    alone(TAP(2, 2), x4);
    sum0 = _mm512_dpbusd_epi32(sum0, x4[0], constants->weight[2][0]);
    sum1 = _mm512_dpbusd_epi32(sum1, x4[1], constants->weight[2][1]);
    sum2 = _mm512_dpbusd_epi32(sum2, x4[2], constants->weight[2][2]);
    sum3 = _mm512_dpbusd_epi32(sum3, x4[3], constants->weight[2][3]);
#undef TAP
#undef PLACE
    return finished(scales, sum0, sum1, sum2, sum3, block->rescale, 0xffff);
}

/* The bytes of so many positions, the first of them at one of the input, that are in the input. */
AVX512_INLINE uint64_t bytes_inside(int32_t position, int32_t count, int32_t in, int32_t width)
{
    const int32_t before = -position < count ? -position : count;
    const int32_t end = in - position < count ? in - position : count;
    return low_bits(end * width) & ~low_bits(before * width);
}

/*
 * All results of a kernel of 3 x 3, whatever is outside: bytes of taps that are not in the input are masked, and zero points come in
 * their place. Where there are several positions in 64 bytes, they are neighbours in the input too.
 */
AVX512_INLINE void image_of_nine(const ares_depthwise_block *block,
                                 const ares_depthwise_image *image, uint8_t *out, int32_t repeat,
                                 const int is_signed)
{
    const ares_window *const down = image->down;
    const ares_window *const across = image->across;
    const int32_t width = block->width;
    const int32_t channels = block->taps->channels;
    const int32_t reach = 2 * across->dilation + repeat;
    const __m512i zeros = _mm512_set1_epi8((char)image->zero);
    for (int32_t y = 0; y < down->out; ++y) {
        nine_places at;
        int rows = 0;
        for (int32_t r = 0; r < 3; ++r) {
            const int32_t row = y * down->stride - down->pad + r * down->dilation;
            const int is_inside = row >= 0 && row < down->in;
            rows += is_inside;
            at.inside[r] = is_inside ? ~(uint64_t)0 : 0;
            at.row[r] = (uintptr_t)image->in + (uintptr_t)block->first;
            at.row[r] += is_inside ? (uintptr_t)row * (uintptr_t)(across->in * channels) : 0;
        }
        for (int32_t i = 0; i < across->out; i += repeat) {
            const int32_t left = across->out - i;
            const int32_t count = left < repeat ? left : repeat;
            const int32_t first = i * across->stride - across->pad;
            const int is_whole = rows == 3 && first >= 0 && first + reach <= across->in;
            for (int32_t k = 0; k < 3; ++k) {
                const int32_t column = first + k * across->dilation;
                at.column[k] = (uintptr_t)(ptrdiff_t)(column * channels);
            }
            if (is_whole && width * count == 64) {
                /* Several times faster than with masks. */
                _mm512_storeu_si512(out, codes_of_nine(block, &at, zeros, is_signed, 1));
            } else {
                for (int32_t k = 0; k < 3; ++k) {
                    at.there[k] =
                        bytes_inside(first + k * across->dilation, count, across->in, width);
                }
                const __m512i codes = codes_of_nine(block, &at, zeros, is_signed, 0);
                if (width * count == 64) {
                    _mm512_storeu_si512(out, codes);
                } else {
                    _mm512_mask_storeu_epi8(out, low_bits(width * count), codes);
                }
            }
            out += (ptrdiff_t)channels * count;
        }
    }
}

AVX512 int32_t ares_depthwise_image_avx512(const ares_depthwise_block *block,
                                           const ares_depthwise_image *image, uint8_t *out)
{
    const int32_t repeat = aligned(block->prepared)->repeat;
    if (image->down->kernel != 3 || image->across->kernel != 3 ||
        (repeat > 1 && image->across->stride > 1)) {
        return 0;
    }
    if (block->taps->is_signed) {
        image_of_nine(block, image, out, repeat, 1);
    } else {
        image_of_nine(block, image, out, repeat, 0);
    }
    return 1;
}

#endif
