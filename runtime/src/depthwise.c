#include "../inc/depthwise.h"

/* Where the taps of a result lie: in the input, or at the zero points in scratch. */
static void point(const ares_depthwise_params *p, const uint8_t *in, const uint8_t *zeros,
                  int32_t y, int32_t x, const uint8_t **taps)
{
    const int32_t top = y * p->down.stride - p->down.pad;
    const int32_t left = x * p->across.stride - p->across.pad;
    for (int32_t i = 0; i < p->down.kernel; ++i) {
        const int32_t row = top + i * p->down.dilation;
        const int inside = row >= 0 && row < p->down.in;
        const uint8_t *const line = in + (inside ? row : 0) * p->across.in * p->channels;
        int32_t column = left;
        for (int32_t j = 0; j < p->across.kernel; ++j) {
            *taps++ = inside && column >= 0 && column < p->across.in ? line + column * p->channels
                                                                     : zeros;
            column += p->across.dilation;
        }
    }
}

ares_status ares_depthwise(const void *params, const void *const *inputs, void *const *outputs,
                           void *scratch)
{
    const ares_depthwise_params *const p = (const ares_depthwise_params *)params;
    const uint8_t *const in = (const uint8_t *)inputs[0];
    const int32_t count = p->down.kernel * p->across.kernel;
    const uint8_t **const x = (const uint8_t **)scratch;
    uint8_t *const zeros = (uint8_t *)scratch + count * ARES_DEPTHWISE_POINTER;
    const ares_depthwise_taps taps = {x, count, p->input_signed, p->weight, p->channels};
    ares_depthwise_run run = {1, p->across.stride * p->channels, 0, 0};
    const ares_depthwise_image image = {in, &p->down, &p->across,
                                        ares_code_byte(p->input_zero_point)};
    int32_t left;
    int32_t right;

    if (p->is_padded) {
        for (int32_t c = 0; c < p->channels; ++c) {
            zeros[c] = ares_code_byte(p->input_zero_point);
        }
    }
    ares_whole_windows(&p->across, &left, &right);
    for (int32_t c = 0; c < p->channels; c += ARES_DEPTHWISE_WIDTH) {
        const int32_t rest = p->channels - c;
        uint8_t *out = (uint8_t *)outputs[0] + c;
        ares_depthwise_block block;
        block.taps = &taps;
        block.rescale = &p->rescale;
        block.first = c;
        block.width = rest < ARES_DEPTHWISE_WIDTH ? rest : ARES_DEPTHWISE_WIDTH;
        ares_depthwise_prepare(&block);
        if (ares_depthwise_all(&block, &image, out)) {
            continue;
        }
        for (int32_t i = 0; i < p->down.out; ++i) {
            const ares_taps inside = ares_taps_inside(&p->down, i);
            run.first = inside.first * p->across.kernel;
            run.end = inside.end * p->across.kernel;
            for (int32_t j = 0; j < p->across.out; j += run.positions) {
                run.positions = j >= left && j < right ? right - j : 1;
                point(p, in, zeros, i, j, x);
                ares_depthwise_positions(&block, &run, x, out);
                out += run.positions * p->channels;
            }
        }
    }
    return ARES_OK;
}
