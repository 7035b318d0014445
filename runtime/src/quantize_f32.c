#include "../inc/quantize_f32.h"

#include "../inc/micro_floats.h"

/*
 * The integer nearest to value, ties to even; |value| < 2^23.
 *
 * Every step is exact, so neither the rounding mode nor excess precision can touch it: the conversion drops the
 * fraction, and what it dropped has the sign of value and no bit below value's last one.
 */
static int32_t nearest_even(float value)
{
    const int32_t whole = (int32_t)value;
    const float floor_or_ceil = (float)whole;
    const float rest = value - floor_or_ceil;
    const int32_t is_odd = (whole & 1) != 0;
    if (rest > 0.5f || (is_odd && rest == 0.5f)) {
        return whole + 1;
    }
    if (rest < -0.5f || (is_odd && rest == -0.5f)) {
        return whole - 1;
    }
    return whole;
}

/* One step on element i: a single operation, correctly rounded (N9). */
static float stepped(const ares_float_step *step, float x, int32_t i)
{
    const float c = step->values[i / step->inner % step->count];
    float result;
    switch (step->kind) {
    case ARES_STEP_ADD:
        result = x + c;
        break;
    case ARES_STEP_SUB:
        result = x - c;
        break;
    case ARES_STEP_RSUB:
        result = c - x;
        break;
    case ARES_STEP_MUL:
        result = x * c;
        break;
    case ARES_STEP_DIV:
        result = x / c;
        break;
    default:
        result = x >= 0.0f ? c : -c;
        break;
    }
    return result;
}

static int32_t code_of(const ares_quantize_f32_params *p, float x)
{
    /* One operation a statement: a correctly rounded quotient, a correctly rounded sum (N9). */
    const float zero_point = (float)p->zero_point;
    const float lo = (float)p->lo;
    const float hi = (float)p->hi;
    const float quotient = x / p->scale;
    const float shifted = quotient + zero_point;
    if (shifted >= hi) {
        return p->hi;
    }
    if (shifted > lo) {
        return nearest_even(shifted);
    }
    return shifted <= lo ? p->lo : p->zero_point; /* neither below, between nor above: NaN */
}

ares_status ares_quantize_f32(const void *params, const void *const *inputs, void *const *outputs,
                              void *scratch)
{
    const ares_quantize_f32_params *const p = (const ares_quantize_f32_params *)params;
    const float *const in = (const float *)inputs[0];
    uint8_t *const out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t i = ares_quantize_some(p, in, out); i < p->elements; ++i) {
        float x = in[i];
        for (int32_t step = 0; step < p->num_steps; ++step) {
            x = stepped(&p->steps[step], x, i);
        }
        out[i] = ares_code_byte(code_of(p, x));
    }
    return ARES_OK;
}
