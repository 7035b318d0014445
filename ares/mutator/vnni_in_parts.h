/*
 * The two instructions of AVX-512 VNNI in those of AVX-512 BW, and a processor that claims to have them: included before
 * every file of the runtime where the host has the one and not the other, so that micro_*_avx512.c run there too. Says
 * nothing of speed, and of the compiler's own use of VNNI; which sums are made of which codes is the same.
 */
#ifndef ARES_VNNI_IN_PARTS_H
#define ARES_VNNI_IN_PARTS_H

#include <cpuid.h>
#include <immintrin.h>

#define IN_PARTS static inline __attribute__((always_inline, target("avx512f,avx512bw")))

IN_PARTS __m512i ares_parts_dpwssd(__m512i sum, __m512i a, __m512i b)
{
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
}

IN_PARTS __m512i ares_parts_dpbusd(__m512i sum, __m512i u, __m512i s)
{
    const __m512i even_u = _mm512_and_si512(u, _mm512_set1_epi16(0x00ff));
    const __m512i even_s = _mm512_srai_epi16(_mm512_slli_epi16(s, 8), 8);
    const __m512i odd_u = _mm512_srli_epi16(u, 8);
    const __m512i odd_s = _mm512_srai_epi16(s, 8);
    return ares_parts_dpwssd(ares_parts_dpwssd(sum, even_u, even_s), odd_u, odd_s);
}

static inline int ares_parts_cpuid(unsigned leaf, unsigned sub, unsigned *a, unsigned *b,
                                   unsigned *c, unsigned *d)
{
    const int found = __get_cpuid_count(leaf, sub, a, b, c, d);
    *c |= leaf == 7 ? 1u << 11 : 0;
    return found;
}

#define _mm512_dpwssd_epi32 ares_parts_dpwssd
#define _mm512_dpbusd_epi32 ares_parts_dpbusd
#define __get_cpuid_count ares_parts_cpuid

#endif
