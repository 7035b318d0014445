/* Who does many elements of a row at once: an instruction set, or nobody. */
#include "../inc/micro_rows.h"

#include "../inc/micro_x86.h"

#if defined(ARES_MICRO_X86)

#define ASK(name, arguments) (ares_x86_chosen->name == NULL ? 0 : ares_x86_chosen->name arguments)

int32_t ares_norm_some(const ares_norm_params *p, const ares_norm_group *group, const uint8_t *in,
                       uint8_t *out)
{
    return ASK(norm, (p, group, in, out));
}

int32_t ares_moments_some(const uint8_t *codes, int32_t count, int32_t is_signed, int32_t *sum,
                          int32_t *squares)
{
    return ASK(moments, (codes, count, is_signed, sum, squares));
}

int32_t ares_lookup_some(const uint8_t *table, const uint8_t *in, int32_t count, uint8_t *out)
{
    return ASK(lookup, (table, in, count, out));
}

int32_t ares_rotary_some(const ares_rotary_params *p, const int32_t *cos, const int32_t *sin,
                         const uint8_t *in, uint8_t *out)
{
    return ASK(rotary, (p, cos, sin, in, out));
}

int32_t ares_softmax_some(const ares_softmax_params *p, const uint8_t *in, uint8_t *out)
{
    return ASK(softmax, (p, in, out));
}

int32_t ares_scan_some(const ares_selective_scan_params *p, const void *const *inputs, uint8_t *out)
{
    return ASK(scan, (p, inputs, out));
}

#endif
