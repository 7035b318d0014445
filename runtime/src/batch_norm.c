#include "../inc/batch_norm.h"

#include "../inc/microkernels.h"

/* A rescale with the constants of one channel, for any number of its codes. */
static ares_rescale of_channel(const ares_rescale *rescale, int32_t channel)
{
    const int32_t c = channel * rescale->channel_stride;
    ares_rescale one = *rescale;
    one.multiplier += c;
    one.offset += c;
    one.shift += c;
    one.channel_stride = 0;
    if (rescale->num_thresholds > 0) {
        one.steps += channel * rescale->step_stride;
        one.step_stride = 0;
        one.lo = one.steps->below;
        one.hi = one.steps->last;
    }
    return one;
}

/* count codes: of as many channels, or of the one that rescale has. */
static void some_codes(const ares_batch_norm_params *p, const ares_rescale *rescale, int32_t count,
                       const uint8_t *in, uint8_t *out)
{
    const int32_t zero = p->input_zero_point;
    const int32_t is_signed = p->input_signed;
    int32_t width;
    for (int32_t i = 0; i < count; i += width) {
        int32_t acc[ARES_DEPTHWISE_WIDTH];
        width = count - i < ARES_DEPTHWISE_WIDTH ? count - i : ARES_DEPTHWISE_WIDTH;
        for (int32_t k = 0; k < width; ++k) {
            acc[k] = ares_load_code(in, i + k, is_signed) - zero;
        }
        ares_requantize(rescale, i, acc, 1, width, out + i, width);
    }
}

ares_status ares_batch_norm(const void *params, const void *const *inputs, void *const *outputs,
                            void *scratch)
{
    const ares_batch_norm_params *const p = (const ares_batch_norm_params *)params;
    const uint8_t *in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];
    (void)scratch;

    for (int32_t o = 0; o < p->outer; ++o) {
        if (p->inner == 1) {
            some_codes(p, &p->rescale, p->channels, in, out);
        } else {
            for (int32_t c = 0; c < p->channels; ++c) {
                const ares_rescale one = of_channel(&p->rescale, c);
                some_codes(p, &one, p->inner, in + c * p->inner, out + c * p->inner);
            }
        }
        in += p->channels * p->inner;
        out += p->channels * p->inner;
    }
    return ARES_OK;
}
