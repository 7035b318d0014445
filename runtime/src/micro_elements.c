/* Who does many elements at once: an instruction set, or nobody. */
#include "../inc/micro_elements.h"

#include "../inc/micro_x86.h"
#include "../inc/microkernels.h"

#if defined(ARES_MICRO_X86)
#define ASK(name, arguments) (ares_x86_chosen->name == NULL ? 0 : ares_x86_chosen->name arguments)
#else
#define ASK(name, arguments) 0
#endif

#if defined(ARES_MICRO_MVE)
#define ADD(arguments) ares_add_mve arguments
#elif defined(ARES_MICRO_NEON)
#define ADD(arguments) ares_add_neon arguments
#else
#define ADD(arguments) ASK(add, arguments)
#endif

int32_t ares_add_some(const ares_add_params *p, const uint8_t *in0, const uint8_t *in1,
                      uint8_t *out)
{
    (void)p;
    (void)in0;
    (void)in1;
    (void)out;
    return ADD((p, in0, in1, out));
}

int32_t ares_sum_some(const uint8_t *in, int32_t count, int32_t step, int32_t channels,
                      int32_t is_signed, int32_t *sums)
{
    (void)in;
    (void)count;
    (void)step;
    (void)channels;
    (void)is_signed;
    (void)sums;
    return ASK(sum, (in, count, step, channels, is_signed, sums));
}

int32_t ares_interleave_some(const uint8_t *in, int32_t planes, int32_t stride, int32_t count,
                             uint8_t *out)
{
    (void)in;
    (void)planes;
    (void)stride;
    (void)count;
    (void)out;
    return ASK(interleave, (in, planes, stride, count, out));
}
