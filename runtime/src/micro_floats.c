/* Who does many elements of binary32 at once: an instruction set, or nobody. */
#include "../inc/micro_floats.h"

#include "../inc/micro_x86.h"

#if defined(ARES_MICRO_X86)
#define ASK(name, arguments) (ares_x86_chosen->name == NULL ? 0 : ares_x86_chosen->name arguments)
#else
#define ASK(name, arguments) 0
#endif

int32_t ares_quantize_some(const ares_quantize_f32_params *p, const float *in, uint8_t *out)
{
    (void)p;
    (void)in;
    (void)out;
    return ASK(quantize, (p, in, out));
}

int32_t ares_real_outputs_some(const int32_t *acc, int32_t count, const float *scale,
                               const float *bias, float *out)
{
    (void)acc;
    (void)count;
    (void)scale;
    (void)bias;
    (void)out;
    return ASK(real_outputs, (acc, count, scale, bias, out));
}
