/* What rows of bytes share with AVX-512, inline: lanes, and tables of bytes. */
#ifndef ARES_MICRO_ROWS_AVX512_H
#define ARES_MICRO_ROWS_AVX512_H

#include "symbols.h"

#include "micro_avx512.h"

#if defined(ARES_MICRO_X86)

/* The first so many of 64 lanes. */
AVX512_INLINE __mmask64 lanes_of(int32_t count)
{
    return count < 64 ? ((__mmask64)1 << count) - 1u : ~(__mmask64)0;
}

/*
 * The bytes at place of a table in parts of sixteen, each of which is asked for the places that lie in it; rest of what lies
 * behind the last part.
 */
AVX512_INLINE __m512i looked_up(const __m512i *parts, int32_t count, __m512i place, __m512i rest)
{
    const __m512i sixteen = _mm512_set1_epi8(16);
    __m512i found = rest;
    for (int32_t k = 0; k < count; ++k) {
        const __mmask64 here = _mm512_cmplt_epu8_mask(place, sixteen);
        found = _mm512_mask_shuffle_epi8(found, here, parts[k], place);
        place = _mm512_sub_epi8(place, sixteen);
    }
    return found;
}

#endif

#endif
