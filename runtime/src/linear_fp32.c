#include "../inc/linear_fp32.h"

#include "../inc/micro_floats.h"
#include "../inc/real_output.h"
#include "../inc/token_rows.h"

/* Results n to n + width - 1 of a token, from its sums of raw codes. */
static void results(const ares_linear_fp32_params *p, int32_t n, int32_t width, int32_t *acc,
                    float *out)
{
    const float *const bias = p->bias == NULL ? NULL : p->bias + n;
    for (int32_t k = 0; k < width && p->bias_codes != NULL; ++k) {
        acc[k] += p->bias_codes[n + k];
    }
    for (int32_t k = ares_real_outputs_some(acc, width, p->scale + n, bias, out); k < width; ++k) {
        out[k] = ares_real_output(acc[k], p->scale, p->bias, n + k);
    }
}

ares_status ares_linear_fp32(const void *params, const void *const *inputs, void *const *outputs,
                             void *scratch)
{
    const ares_linear_fp32_params *const p = (const ares_linear_fp32_params *)params;
    const uint8_t *in = (const uint8_t *)inputs[0];
    float *out = (float *)outputs[0];

    for (int32_t t = 0; t < p->tokens; t += ARES_TILE_ROWS) {
        const int32_t rows = p->tokens - t < ARES_TILE_ROWS ? p->tokens - t : ARES_TILE_ROWS;
        ares_tile_rows tokens;
        ares_token_rows(&tokens, in, p->in_features, p->in_features, rows, (uint8_t *)scratch);
        tokens.is_signed = p->input_signed;
        for (int32_t n = 0; n < p->out_features; n += ARES_PANEL_WIDTH) {
            const int32_t left = p->out_features - n;
            const int32_t width = left < ARES_PANEL_WIDTH ? left : ARES_PANEL_WIDTH;
            int32_t acc[ARES_TILE_ROWS * ARES_PANEL_WIDTH];
            ares_tile(&tokens, p->weight + n * tokens.length, width, acc);
            for (int32_t r = 0; r < rows; ++r) {
                results(p, n, width, acc + r * ARES_PANEL_WIDTH, out + r * p->out_features + n);
            }
        }
        in += rows * p->in_features;
        out += rows * p->out_features;
    }
    return ARES_OK;
}
