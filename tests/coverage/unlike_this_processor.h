/*
 * For processors with AVX-512 F, BW, DQ and VL, whether they have VNNI and VBMI or not: the few instructions of these that
 * the micro-kernels use, written in the others after Intel's own description of them, and a CPUID that has as many of the
 * two as a build asks for, so that a build runs the same kernels on all such processors. Included before every file of a
 * build that measures coverage (variants.py); products never see it.
 *
 * Compilers make such instructions by themselves where a function's target has them, so that targets lose them here.
 */
#ifndef UNLIKE_THIS_PROCESSOR_H
#define UNLIKE_THIS_PROCESSOR_H

#include <cpuid.h>
#include <immintrin.h>
#include <stdint.h>

#define SHOWN_BY_LESS                                                                              \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"), unused)) static inline

/* VPDPBUSD: four products of u8 and s8 a lane, exact, added without saturation. */
SHOWN_BY_LESS __m512i shown_dpbusd(__m512i sum, __m512i x, __m512i w)
{
    const __m512i even_x = _mm512_and_si512(x, _mm512_set1_epi16(0xff));
    const __m512i odd_x = _mm512_srli_epi16(x, 8);
    const __m512i even_w = _mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8);
    const __m512i odd_w = _mm512_srai_epi16(w, 8);
    const __m512i even = _mm512_madd_epi16(even_x, even_w);
    return _mm512_add_epi32(sum, _mm512_add_epi32(even, _mm512_madd_epi16(odd_x, odd_w)));
}

/* VPDPWSSD: two products of s16 a lane. */
SHOWN_BY_LESS __m512i shown_dpwssd(__m512i sum, __m512i x, __m512i w)
{
    return _mm512_add_epi32(sum, _mm512_madd_epi16(x, w));
}

/* VPERMI2B: byte i is that of the 128 of low and high whose number are the 7 low bits of byte i of index. */
SHOWN_BY_LESS __m512i shown_permutex2var(__m512i low, __m512i index, __m512i high)
{
    uint8_t table[128];
    uint8_t numbers[64];
    _mm512_storeu_si512(table, low);
    _mm512_storeu_si512(table + 64, high);
    _mm512_storeu_si512(numbers, index);
    for (int i = 0; i < 64; ++i) {
        numbers[i] = table[numbers[i] & 127];
    }
    return _mm512_loadu_si512(numbers);
}

/* VPERMB: the same with 6 bits, of 64. */
SHOWN_BY_LESS __m512i shown_permutexvar(__m512i index, __m512i table)
{
    return shown_permutex2var(table, _mm512_and_si512(index, _mm512_set1_epi8(63)), table);
}

/* Bits of leaf 7, ecx, that are SHOWN_FEATURES's to say: VBMI and VNNI. */
#define SHOWN_OR_NOT (1u << 1 | 1u << 11)

__attribute__((unused)) static inline int shown_cpuid(unsigned leaf, unsigned sub, unsigned *a,
                                                      unsigned *b, unsigned *c, unsigned *d)
{
    const int is_known = __get_cpuid_count(leaf, sub, a, b, c, d);
    if (leaf == 7) {
        *c = (*c & ~SHOWN_OR_NOT) | SHOWN_FEATURES;
    }
    return is_known;
}

#undef _mm512_dpbusd_epi32
#undef _mm512_dpwssd_epi32
#undef _mm512_permutexvar_epi8
#undef _mm512_permutex2var_epi8
#define _mm512_dpbusd_epi32 shown_dpbusd
#define _mm512_dpwssd_epi32 shown_dpwssd
#define _mm512_permutexvar_epi8 shown_permutexvar
#define _mm512_permutex2var_epi8 shown_permutex2var
#define __get_cpuid_count shown_cpuid
#define target(features) target(features ",no-avx512vnni,no-avx512vbmi")

#endif
