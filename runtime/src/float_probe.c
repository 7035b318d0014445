#include "../inc/float_probe.h"

#include <float.h>
#include <string.h>

/*
 * Inputs pass through volatile objects, so that nothing is computed by the compiler; sums and products are plain, so
 * that it does to them what it does in kernels. Arrays and not single values: gcc contracts
 * independent element-wise loops and leaves other forms alone.
 */
enum { COUNT = 16 };

static float opaque(float value)
{
    volatile float hidden = value;
    return hidden;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static int32_t has_format(void)
{
    if (sizeof(float) != 4 || FLT_RADIX != 2 || FLT_MANT_DIG != 24 || FLT_MAX_EXP != 128) {
        return 0;
    }
    return bits_of(opaque(-0x1.8p+1f)) == 0xc0400000u;
}

/* (1 + 2^-24) - 1 is 0 when the sum is rounded to 24 bits, 2^-24 when it is kept wide. No product: not contraction. */
static int32_t has_no_excess(void)
{
    const float one = opaque(0x1p+0f);
    const float small = opaque(0x1p-24f);
    const float sum = one + small;
    const float difference = sum - one;
    return opaque(difference) == 0.0f;
}

/* Both ties beside an even neighbour, of both signs, tell every other rounding from half to even. */
static int32_t rounds_half_even(void)
{
    const float one = opaque(0x1p+0f);
    const float half_ulp = opaque(0x1p-24f);
    const float three_halves_ulp = opaque(0x1.8p-23f);
    const float down = one + half_ulp;
    const float up = one + three_halves_ulp;
    const float negative_down = -one - half_ulp;
    const float negative_up = -one - three_halves_ulp;
    volatile int32_t tie_down = 0x1000001;
    volatile int32_t tie_up = -0x1000003;
    const float converted_down = (float)tie_down;
    const float converted_up = (float)tie_up;
    return bits_of(down) == 0x3f800000u && bits_of(up) == 0x3f800002u &&
           bits_of(negative_down) == 0xbf800000u && bits_of(negative_up) == 0xbf800002u &&
           bits_of(converted_down) == 0x4b800000u && bits_of(converted_up) == 0xcb800002u;
}

/* The safe style of kernels: gcc fuses across these statements under -std=gnu11. */
static void multiply_add(const float *a, const float *b, const float *c, float *d)
{
    for (int32_t i = 0; i < COUNT; ++i) {
        const float product = a[i] * b[i];
        const float sum = product + c[i];
        d[i] = sum;
    }
}

/* One expression: clang fuses this at every level. Says nothing where expressions are wide by definition. */
#if !defined(FLT_EVAL_METHOD) || FLT_EVAL_METHOD == 0 || FLT_EVAL_METHOD == 16
#define ARES_PROBE_NESTED 1
static void nested_multiply_add(const float *a, const float *b, const float *c, float *d)
{
    for (int32_t i = 0; i < COUNT; ++i) {
        d[i] = a[i] * b[i] + c[i];
    }
}
#endif

/*
 * With odd k, a = 1 + k 2^-12: a*a = 1 + k 2^-11 + k^2 2^-24 lies half-way between two neighbours and rounds down to
 * the even one, so a*a - (1 + k 2^-11) is (k^2 - 1) 2^-24 with two roundings and k^2 2^-24 when fused.
 */
static int32_t does_not_contract(void)
{
    volatile float hidden[2][COUNT];
    float a[COUNT];
    float b[COUNT];
    float c[COUNT];
    float expected[COUNT];
    float found[COUNT];
    for (int32_t i = 0; i < COUNT; ++i) {
        const int32_t k = 2 * i + 1;
        hidden[0][i] = (float)(4096 + k) * 0x1p-12f;
        hidden[1][i] = (float)(-2048 - k) * 0x1p-11f;
        expected[i] = (float)(k * k - 1) * 0x1p-24f;
    }
    for (int32_t i = 0; i < COUNT; ++i) {
        a[i] = hidden[0][i];
        b[i] = hidden[0][i];
        c[i] = hidden[1][i];
    }
    multiply_add(a, b, c, found);
    if (memcmp(found, expected, sizeof found) != 0) {
        return 0;
    }
#ifdef ARES_PROBE_NESTED
    nested_multiply_add(a, b, c, found);
    if (memcmp(found, expected, sizeof found) != 0) {
        return 0;
    }
#endif
    return 1;
}

/* A subnormal as product, as difference and as operand. */
static int32_t keeps_subnormals(void)
{
    const float product = opaque(0x1p-100f) * opaque(0x1p-30f);
    const float difference = opaque(0x1.8p-126f) - opaque(0x1p-126f);
    const float back = opaque(product) * opaque(0x1p+30f);
    return bits_of(product) == 0x00080000u && bits_of(difference) == 0x00400000u &&
           bits_of(back) == 0x0d800000u;
}

/* Normal quotients that need all bits: 1/3, 2/7, 16777215/16777213, -10/9. */
static int32_t divides_exactly(void)
{
    const float third = opaque(0x1p+0f) / opaque(0x1.8p+1f);
    const float sevenths = opaque(0x1p+1f) / opaque(0x1.cp+2f);
    const float close = opaque(0x1.fffffep+23f) / opaque(0x1.fffffap+23f);
    const float negative = opaque(-0x1.4p+3f) / opaque(0x1.2p+3f);
    return bits_of(third) == 0x3eaaaaabu && bits_of(sevenths) == 0x3e924925u &&
           bits_of(close) == 0x3f800001u && bits_of(negative) == 0xbf8e38e4u;
}

int32_t ares_float_probe(void)
{
    if (!has_format()) {
        return ARES_FLOAT_FORMAT;
    }
    if (!has_no_excess()) {
        return ARES_FLOAT_EXCESS;
    }
    if (!rounds_half_even()) {
        return ARES_FLOAT_ROUNDING;
    }
    if (!does_not_contract()) {
        return ARES_FLOAT_CONTRACTION;
    }
    if (!keeps_subnormals()) {
        return ARES_FLOAT_SUBNORMAL;
    }
    return divides_exactly() ? ARES_FLOAT_OK : ARES_FLOAT_DIVISION;
}

const char *ares_float_fault_name(int32_t fault)
{
    static const char *const names[] = {
        "none", "format", "excess-precision", "rounding", "contraction", "subnormals", "division",
    };
    const int32_t count = (int32_t)(sizeof names / sizeof names[0]);
    return fault >= 0 && fault < count ? names[fault] : "unknown";
}
