/* Loops of the float clause with AVX-512. */
#include "../inc/micro_x86.h"

#if defined(ARES_MICRO_X86)

#include <immintrin.h>
#include <string.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))

/* Each operation rounded on its own (N9): no product stands in front of a sum that it could be contracted with. */
AVX512 int32_t ares_quantize_avx512(const ares_quantize_f32_params *p, const float *in,
                                    uint8_t *out)
{
    const int32_t end = p->elements - p->elements % 16;
    const __m512 scale = _mm512_set1_ps(p->scale);
    const __m512 zero_point = _mm512_set1_ps((float)p->zero_point);
    const __m512 lo = _mm512_set1_ps((float)p->lo);
    const __m512 hi = _mm512_set1_ps((float)p->hi);
    if (p->num_steps > 0) {
        return 0;
    }
    for (int32_t i = 0; i < end; i += 16) {
        const __m512 quotient = _mm512_div_ps(_mm512_loadu_ps(in + i), scale);
        const __m512 shifted = _mm512_add_ps(quotient, zero_point);
        const __mmask16 is_number = _mm512_cmp_ps_mask(shifted, shifted, _CMP_ORD_Q);
        const __m512 real = _mm512_mask_blend_ps(is_number, zero_point, shifted);
        const __m512 limited_real = _mm512_min_ps(_mm512_max_ps(real, lo), hi);
        const __m512i codes =
            _mm512_cvt_roundps_epi32(limited_real, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        const __m128i bytes = _mm512_cvtepi32_epi8(codes);
        memcpy(out + i, &bytes, sizeof bytes);
    }
    return end;
}

/*
 * The products have a rounding of their own written out: a plain product may be contracted with the sum behind it where the
 * compiler may do so, as this instruction set can.
 */
AVX512 int32_t ares_real_outputs_avx512(const int32_t *acc, int32_t count, const float *scale,
                                        const float *bias, float *out)
{
    if (count != ARES_PANEL_WIDTH) {
        return 0;
    }
    const __m512 sums = _mm512_cvtepi32_ps(_mm512_loadu_si512(acc));
    const __m512 product = _mm512_mul_round_ps(sums, _mm512_loadu_ps(scale),
                                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm512_storeu_ps(out, bias == NULL ? product : _mm512_add_ps(product, _mm512_loadu_ps(bias)));
    return count;
}

#endif
