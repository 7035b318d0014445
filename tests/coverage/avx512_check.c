/* What intrinsics give, shown byte by byte: `avx512_check ROUNDS`. test_avx512_in_parts.py says what it must be. */
#include <immintrin.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")))

static uint64_t state = 88172645463325252u;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Any bits, or in lanes of 8, 16, 32 or 64 what lies at an edge. */
static void fill(uint8_t *bytes)
{
    const uint64_t kind = next() % 6;
    for (int i = 0; i < 8; ++i) {
        const uint64_t edges[] = {
            0, 1, ~UINT64_C(0), UINT64_C(1) << 63, ~(UINT64_C(1) << 63), next() % 70};
        uint64_t lane = next();
        if (kind == 1) {
            lane = edges[lane % 6];
        } else if (kind == 2) {
            lane = (lane & 1 ? UINT64_C(0x7fffffff80000000) : UINT64_C(0x8000000000000001)) ^
                   (lane >> 40 & 1);
        } else if (kind == 3) {
            lane = lane & 1 ? UINT64_C(0x80ff7f0001fe8001) : UINT64_C(0x7fff80008000ffff);
        } else if (kind == 4) {
            lane &= UINT64_C(0x0000002f0000003f);
        }
        memcpy(bytes + 8 * i, &lane, sizeof lane);
    }
}

static void show(const char *name, const void *value, size_t size)
{
    printf("%s ", name);
    for (size_t i = 0; i < size; ++i) {
        printf("%02x", ((const uint8_t *)value)[i]);
    }
    printf("\n");
}

#define GIVES(type, name, ...)                                                                     \
    do {                                                                                           \
        const type r = _mm512_##name(__VA_ARGS__);                                                 \
        show(#name, &r, sizeof r);                                                                 \
    } while (0)
#define VECTOR(name, ...) GIVES(__m512i, name, __VA_ARGS__)
#define TWO(name) VECTOR(name, a, b)
#define MASK8(name) GIVES(__mmask8, name, a, b)
#define MASK16(name) GIVES(__mmask16, name, a, b)
#define MASK64(name) GIVES(__mmask64, name, a, b)

AVX512 static void lanes(__m512i a, __m512i b)
{
    TWO(add_epi32);
    TWO(add_epi64);
    TWO(sub_epi8);
    TWO(sub_epi32);
    TWO(sub_epi64);
    TWO(and_si512);
    TWO(andnot_si512);
    TWO(or_si512);
    TWO(xor_si512);
    TWO(max_epi8);
    TWO(max_epu8);
    TWO(max_epi32);
    TWO(max_epi64);
    TWO(min_epi8);
    TWO(min_epu8);
    TWO(min_epi32);
    TWO(min_epu32);
    TWO(min_epi64);
    TWO(mul_epi32);
    TWO(mul_epu32);
    TWO(mullo_epi64);
    TWO(rorv_epi64);
    TWO(sllv_epi32);
    TWO(sllv_epi64);
    TWO(srlv_epi32);
    TWO(srlv_epi64);
    TWO(srav_epi32);
    TWO(srav_epi64);
    MASK64(cmpeq_epu8_mask);
    MASK64(cmpgt_epu8_mask);
    MASK64(cmplt_epu8_mask);
    MASK16(cmpgt_epi32_mask);
    MASK16(test_epi32_mask);
    MASK16(testn_epi32_mask);
    MASK64(test_epi8_mask);
    MASK8(test_epi64_mask);
    MASK8(testn_epi64_mask);
    GIVES(__mmask64, movepi8_mask, a);
    GIVES(__mmask16, movepi32_mask, a);
}

AVX512 static void places(__m512i a, __m512i b, __m512i c)
{
    TWO(unpacklo_epi8);
    TWO(unpackhi_epi8);
    TWO(unpacklo_epi32);
    TWO(unpackhi_epi64);
    TWO(packs_epi32);
    TWO(packs_epi16);
    TWO(packus_epi16);
    TWO(madd_epi16);
    TWO(shuffle_epi8);
    TWO(permutexvar_epi8);
    TWO(permutexvar_epi32);
    TWO(permutexvar_epi64);
    VECTOR(permutex2var_epi8, a, b, c);
    VECTOR(permutex2var_epi64, a, b, c);
    VECTOR(dpbusd_epi32, a, b, c);
    VECTOR(dpwssd_epi32, a, b, c);
    VECTOR(shuffle_epi32, a, (_MM_PERM_ENUM)0xb1);
    VECTOR(shuffle_i32x4, a, b, 0x4e);
    VECTOR(inserti32x4, a, _mm512_castsi512_si128(b), 2);
    VECTOR(inserti64x4, a, _mm512_castsi512_si256(b), 1);
    GIVES(__m128i, extracti32x4_epi32, a, 3);
    GIVES(__m256i, extracti64x4_epi64, a, 1);
    VECTOR(broadcast_i32x4, _mm512_castsi512_si128(a));
    GIVES(int, reduce_add_epi32, a);
}

AVX512 static void widths(__m512i a, __m512i b)
{
    const __m128i quarter = _mm512_castsi512_si128(a);
    const __m256i half = _mm512_castsi512_si256(a);
    const __m128i count = _mm512_castsi512_si128(b);
    VECTOR(cvtepi8_epi16, half);
    VECTOR(cvtepi8_epi32, quarter);
    VECTOR(cvtepi8_epi64, quarter);
    VECTOR(cvtepi16_epi64, quarter);
    VECTOR(cvtepi32_epi64, half);
    VECTOR(cvtepu8_epi16, half);
    VECTOR(cvtepu8_epi32, quarter);
    VECTOR(cvtepu8_epi64, quarter);
    VECTOR(cvtepu16_epi64, quarter);
    VECTOR(cvtepu32_epi64, half);
    GIVES(__m128i, cvtepi32_epi8, a);
    GIVES(__m128i, cvtepi64_epi8, a);
    VECTOR(sll_epi32, a, count);
    VECTOR(sll_epi64, a, count);
    VECTOR(sra_epi32, a, count);
    VECTOR(sra_epi64, a, count);
    VECTOR(srai_epi64, a, 65);
    VECTOR(srai_epi32, a, 31);
    VECTOR(slli_epi16, a, 8);
    VECTOR(slli_epi32, a, 5);
    VECTOR(srli_epi64, a, 33);
}

AVX512 static void masked(__m512i a, __m512i b, uint64_t k)
{
    uint8_t memory[64];
    memcpy(memory, &a, sizeof memory);
    VECTOR(mask_mov_epi8, a, k, b);
    VECTOR(mask_mov_epi16, a, (__mmask32)k, b);
    VECTOR(mask_mov_epi32, a, (__mmask16)k, b);
    VECTOR(mask_add_epi64, a, (__mmask8)k, a, b);
    VECTOR(mask_and_epi32, a, (__mmask16)k, a, b);
    VECTOR(mask_max_epu8, a, k, a, b);
    VECTOR(maskz_loadu_epi8, k, memory);
    VECTOR(maskz_loadu_epi32, (__mmask16)k, memory);
    VECTOR(maskz_loadu_epi64, (__mmask8)k, memory);
    VECTOR(mask_loadu_epi8, b, k, memory);
    GIVES(__mmask64, mask_cmpeq_epu8_mask, k, a, b);
    GIVES(__mmask16, mask_cmplt_epu32_mask, (__mmask16)k, a, b);
    _mm512_mask_storeu_epi8(memory, k, b);
    show("mask_storeu_epi8", memory, sizeof memory);
}

AVX512 static void floats(__m512i c, __m512i d)
{
    const __m512 a = _mm512_castsi512_ps(c);
    const __m512 b = _mm512_castsi512_ps(d);
    GIVES(__m512, max_ps, a, b);
    GIVES(__m512, min_ps, a, b);
    GIVES(__m512, cvtepi32_ps, c);
    GIVES(__mmask16, cmp_ps_mask, a, b, _CMP_ORD_Q);
    VECTOR(cvt_roundps_epi32, a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

AVX512 static void all(const uint8_t *bytes, uint64_t k)
{
    const __m512i a = _mm512_loadu_si512(bytes);
    const __m512i b = _mm512_loadu_si512(bytes + 64);
    const __m512i c = _mm512_loadu_si512(bytes + 128);
    lanes(a, b);
    places(a, b, c);
    widths(a, b);
    masked(a, b, k);
    floats(a, b);
}

int main(int count, char **words)
{
    const long rounds = count > 1 ? strtol(words[1], NULL, 10) : 1;
    for (long i = 0; i < rounds; ++i) {
        uint8_t bytes[192];
        fill(bytes);
        fill(bytes + 64);
        fill(bytes + 128);
        const uint64_t k = next();
        show("a", bytes, 64);
        show("b", bytes + 64, 64);
        show("c", bytes + 128, 64);
        show("k", &k, sizeof k);
        all(bytes, k);
    }
    return 0;
}
