#include "../inc/linear.h"

#include "../inc/token_rows.h"

/*
 * The tokens that lie in place with what fills them up, which weights of 0 meet: codes of the next token, so that the last of
 * all is none of them unless nothing is missing. How many these were.
 */
static int32_t by_run(const ares_linear_params *p, const uint8_t *in, uint8_t *out)
{
    const int32_t length = ares_padded_length(p->in_features);
    const int32_t spare = p->tokens * p->in_features - length;
    ares_tile_run run;
    if (spare < 0) {
        return 0;
    }
    run.x[0] = in;
    run.positions = spare / p->in_features + 1;
    run.step = p->in_features;
    run.first = 0;
    run.end = 1;
    run.segments = 1;
    run.length = length;
    run.is_signed = p->input_signed;
    ares_run_panels(&run, p->weight, &p->rescale, 0, p->out_features, out, p->out_features);
    return run.positions;
}

ares_status ares_linear(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch)
{
    const ares_linear_params *const p = (const ares_linear_params *)params;
    const uint8_t *in = (const uint8_t *)inputs[0];
    uint8_t *out = (uint8_t *)outputs[0];

    const int32_t done = ares_has_runs() ? by_run(p, in, out) : 0;
    in += done * p->in_features;
    out += done * p->out_features;
    for (int32_t t = done; t < p->tokens; t += ARES_TILE_ROWS) {
        const int32_t rows = p->tokens - t < ARES_TILE_ROWS ? p->tokens - t : ARES_TILE_ROWS;
        ares_tile_rows tokens;
        ares_token_rows(&tokens, in, p->in_features, p->in_features, rows, (uint8_t *)scratch);
        tokens.is_signed = p->input_signed;
        for (int32_t n = 0; n < p->out_features; n += ARES_PANEL_WIDTH) {
            const int32_t left = p->out_features - n;
            const int32_t width = left < ARES_PANEL_WIDTH ? left : ARES_PANEL_WIDTH;
            int32_t acc[ARES_TILE_ROWS * ARES_PANEL_WIDTH];
            ares_tile(&tokens, p->weight + n * tokens.length, width, acc);
            ares_requantize(&p->rescale, n, acc, rows, width, out + n, p->out_features);
        }
        in += rows * p->in_features;
        out += rows * p->out_features;
    }
    return ARES_OK;
}
