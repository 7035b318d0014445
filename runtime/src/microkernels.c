/* Which instruction set's micro-kernels run: decided here and nowhere else. -DARES_PORTABLE takes the portable ones. */
#include "../inc/microkernels.h"

#include "../inc/micro_x86.h"

/* One branch an instruction set; the macro that leads to it is defined in microkernels.h. */
#if defined(ARES_MICRO_X86)
#define CHOSEN(name) ares_x86_chosen->name
#define INSTRUCTION_SET ares_x86_chosen->instruction_set
#elif defined(ARES_MICRO_NEON)
#define CHOSEN(name) name##_neon
#if defined(__ARM_FEATURE_DOTPROD)
#define INSTRUCTION_SET "neon-dot"
#else
#define INSTRUCTION_SET "neon"
#endif
#elif defined(ARES_MICRO_WASM)
#define CHOSEN(name) name##_wasm
#define INSTRUCTION_SET "wasm-simd"
#elif defined(ARES_MICRO_RVV)
#define CHOSEN(name) name##_rvv
#define INSTRUCTION_SET "rvv"
#elif defined(ARES_MICRO_MVE)
#define CHOSEN(name) name##_mve
#define INSTRUCTION_SET "mve"
#elif defined(ARES_MICRO_DSP)
#define CHOSEN(name) name##_dsp
#define INSTRUCTION_SET "dsp"
#else
#define CHOSEN(name) name##_portable
#define CHOSEN_TILE ARES_TILE_IN_C
#define INSTRUCTION_SET "portable"
#endif
#if !defined(CHOSEN_TILE)
#define CHOSEN_TILE CHOSEN(ares_tile)
#endif

void ares_tile(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc)
{
    CHOSEN_TILE(rows, panel, width, acc);
}

void ares_depthwise_tile(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                         int32_t *acc)
{
    CHOSEN(ares_depthwise_tile)(taps, first, width, acc);
}

void ares_requantize(const ares_rescale *rescale, int32_t first, const int32_t *acc, int32_t rows,
                     int32_t width, uint8_t *out, int32_t out_step)
{
    CHOSEN(ares_requantize)(rescale, first, acc, rows, width, out, out_step);
}

const char *ares_instruction_set(void)
{
    return INSTRUCTION_SET;
}

void ares_depthwise_prepare(ares_depthwise_block *block)
{
    block->is_prepared = 0;
#if defined(ARES_MICRO_X86)
    if (ares_x86_chosen->depthwise_prepare != NULL) {
        block->is_prepared = ares_x86_chosen->depthwise_prepare(block);
    }
#endif
}

void ares_depthwise_positions(const ares_depthwise_block *block, const ares_depthwise_run *run,
                              const uint8_t **x, uint8_t *out)
{
    int32_t acc[ARES_DEPTHWISE_WIDTH];
#if defined(ARES_MICRO_X86)
    if (block->is_prepared) {
        ares_x86_chosen->depthwise_positions(block, run, out);
        return;
    }
#endif
    for (int32_t i = 0; i < run->positions; ++i) {
        for (int32_t t = run->first; t < run->end && i > 0; ++t) {
            x[t] += run->step;
        }
        ares_depthwise_tile(block->taps, block->first, block->width, acc);
        ares_requantize(block->rescale, block->first, acc, 1, block->width, out, block->width);
        out += block->taps->channels;
    }
}

#if defined(ARES_MICRO_X86)
int32_t ares_depthwise_all(const ares_depthwise_block *block, const ares_depthwise_image *image,
                           uint8_t *out)
{
    return block->is_prepared && ares_x86_chosen->depthwise_image != NULL &&
           ares_x86_chosen->depthwise_image(block, image, out);
}

int ares_has_runs(void)
{
    return ares_x86_chosen->run_panels != NULL;
}
#endif

void ares_run_panels(const ares_tile_run *run, const int8_t *panels, const ares_rescale *rescale,
                     int32_t first, int32_t channels, uint8_t *out, int32_t out_step)
{
#if defined(ARES_MICRO_X86)
    ares_x86_chosen->run_panels(run, panels, rescale, first, channels, out, out_step);
#else
    (void)run;
    (void)panels;
    (void)rescale;
    (void)first;
    (void)channels;
    (void)out;
    (void)out_step;
#endif
}
