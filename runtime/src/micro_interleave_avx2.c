/* Planes of bytes to bytes side by side with AVX2. */
#include "../inc/micro_x86.h"

#if defined(ARES_MICRO_X86)

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

enum { PLANES = 3, BYTES = 16 };

/* Which byte of a plane comes to each place of the three vectors; none where it is another plane's. */
#define NONE (char)-128
static const char from[PLANES][PLANES][BYTES] = {
    {{0, NONE, NONE, 1, NONE, NONE, 2, NONE, NONE, 3, NONE, NONE, 4, NONE, NONE, 5},
     {NONE, 0, NONE, NONE, 1, NONE, NONE, 2, NONE, NONE, 3, NONE, NONE, 4, NONE, NONE},
     {NONE, NONE, 0, NONE, NONE, 1, NONE, NONE, 2, NONE, NONE, 3, NONE, NONE, 4, NONE}},
    {{NONE, NONE, 6, NONE, NONE, 7, NONE, NONE, 8, NONE, NONE, 9, NONE, NONE, 10, NONE},
     {5, NONE, NONE, 6, NONE, NONE, 7, NONE, NONE, 8, NONE, NONE, 9, NONE, NONE, 10},
     {NONE, 5, NONE, NONE, 6, NONE, NONE, 7, NONE, NONE, 8, NONE, NONE, 9, NONE, NONE}},
    {{NONE, 11, NONE, NONE, 12, NONE, NONE, 13, NONE, NONE, 14, NONE, NONE, 15, NONE, NONE},
     {NONE, NONE, 11, NONE, NONE, 12, NONE, NONE, 13, NONE, NONE, 14, NONE, NONE, 15, NONE},
     {10, NONE, NONE, 11, NONE, NONE, 12, NONE, NONE, 13, NONE, NONE, 14, NONE, NONE, 15}},
};

AVX2_INLINE __m128i load(const void *bytes)
{
    return _mm_loadu_si128((const __m128i *)bytes);
}

AVX2_INLINE void store(void *to, __m128i bytes)
{
    _mm_storeu_si128((__m128i *)to, bytes);
}

AVX2_INLINE __m128i mixed(__m128i a, __m128i b, __m128i c, const char (*places)[BYTES])
{
    return _mm_or_si128(
        _mm_or_si128(_mm_shuffle_epi8(a, load(places[0])), _mm_shuffle_epi8(b, load(places[1]))),
        _mm_shuffle_epi8(c, load(places[2])));
}

AVX2 int32_t ares_interleave_avx2(const uint8_t *in, int32_t planes, int32_t stride, int32_t count,
                                  uint8_t *out)
{
    const int32_t end = planes == PLANES ? count - count % BYTES : 0;
    for (int32_t i = 0; i < end; i += BYTES) {
        const __m128i a = load(in + i);
        const __m128i b = load(in + stride + i);
        const __m128i c = load(in + 2 * stride + i);
        uint8_t *const to = out + PLANES * i;
        store(to, mixed(a, b, c, from[0]));
        store(to + BYTES, mixed(a, b, c, from[1]));
        store(to + 2 * BYTES, mixed(a, b, c, from[2]));
    }
    return end;
}

#endif
