/* The micro-kernels for processors that multiply two pairs of halfwords at once: Cortex-M4, M7, M33, other Arm without NEON. */
#include "../inc/microkernels.h"

#if defined(ARES_MICRO_DSP)

#include <arm_acle.h>

/* At -Os too: a loop that calls for each word is no loop for words. */
#define ALWAYS inline __attribute__((always_inline))

/* Four codes as halfwords: those of even and of odd index. */
typedef struct pairs {
    int16x2_t even;
    int16x2_t odd;
} pairs;

static ALWAYS uint32_t word_at(const void *codes)
{
    uint32_t word;
    __builtin_memcpy(&word, codes, sizeof word); /* one load, wherever it lies; never a call */
    return word;
}

/* In assembly: compilers do not know that widening can rotate. */
static ALWAYS pairs widen(uint32_t word, int is_signed)
{
    pairs codes;
    if (is_signed) {
        __asm__("sxtb16 %0, %1, ror #8" : "=r"(codes.odd) : "r"(word));
        __asm__("sxtb16 %0, %1" : "=r"(codes.even) : "r"(word));
    } else {
        __asm__("uxtb16 %0, %1, ror #8" : "=r"(codes.odd) : "r"(word));
        __asm__("uxtb16 %0, %1" : "=r"(codes.even) : "r"(word));
    }
    return codes;
}

static ALWAYS int32_t multiply_add(int32_t sum, pairs x, pairs w)
{
    return __smlad(x.odd, w.odd, __smlad(x.even, w.even, sum));
}

/* Codes of each row that are widened at a time: WIDE_CODES * ARES_TILE_ROWS * 2 bytes of stack. */
enum { WIDE_CODES = 64, WIDE_STEP = 2 * ARES_TILE_ROWS };

/* The next codes of a row among those of all: [codes / 4][row] pairs. */
static ALWAYS void widen_row(const uint8_t *x, int32_t codes, int is_signed, int16x2_t *wide)
{
    const uint8_t *const end = x + codes;
    do {
        const pairs a = widen(word_at(x), is_signed);
        wide[0] = a.even;
        wide[1] = a.odd;
        x += 4;
        wide += WIDE_STEP;
    } while (x != end);
}

static void widen_signed(const uint8_t *x, int32_t codes, int16x2_t *wide)
{
    widen_row(x, codes, 1, wide);
}

static void widen_unsigned(const uint8_t *x, int32_t codes, int16x2_t *wide)
{
    widen_row(x, codes, 0, wide);
}

/*
 * Four rows of widened codes, one channel after the other: sixteen products of sixteen instructions, with every register
 * there is. A compiler keeps some of them in memory instead. (used: so that no parameter is dropped as unused.)
 *
 *   wide, end  the codes, from the first to behind the last
 *   w, step    weights of the first channel, bytes to its next four
 *   acc        of the first channel, acc_end of the one behind the last
 *   back       bytes from behind a channel's weights to those of the next one
 *   more       whether sums are to be added to what is in acc
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
__attribute__((naked, noinline, used)) static void
tile_columns(const int16x2_t *wide, const int8_t *w, int32_t step, const int16x2_t *end,
             int32_t *acc, const int32_t *acc_end, int32_t back, int32_t more)
{
    __asm__ volatile("push {r0, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"
                     "1:\n\t"
                     "ldr r12, [sp, #52]\n\t" /* more */
                     "mov r4, #0\n\t"
                     "mov r5, #0\n\t"
                     "mov r6, #0\n\t"
                     "mov r7, #0\n\t"
                     "cmp r12, #0\n\t"
                     "beq 2f\n\t"
                     "ldr lr, [sp, #40]\n\t" /* acc */
                     "ldr r4, [lr]\n\t"
                     "ldr r5, [lr, #64]\n\t"
                     "ldr r6, [lr, #128]\n\t"
                     "ldr r7, [lr, #192]\n"
                     "2:\n\t"
                     "ldr r12, [r1]\n\t"
                     "ldmia r0!, {r8, r9, r10, r11}\n\t"
                     "add r1, r1, r2\n\t"
                     "sxtb16 lr, r12, ror #8\n\t"
                     "sxtb16 r12, r12\n\t"
                     "smlad r4, r8, r12, r4\n\t"
                     "smlad r5, r10, r12, r5\n\t"
                     "smlad r4, r9, lr, r4\n\t"
                     "smlad r5, r11, lr, r5\n\t"
                     "ldmia r0!, {r8, r9, r10, r11}\n\t"
                     "smlad r6, r8, r12, r6\n\t"
                     "smlad r7, r10, r12, r7\n\t"
                     "smlad r6, r9, lr, r6\n\t"
                     "smlad r7, r11, lr, r7\n\t"
                     "cmp r0, r3\n\t"
                     "bne 2b\n\t"
                     "ldr r12, [sp, #48]\n\t" /* back */
                     "ldr lr, [sp, #40]\n\t"
                     "ldr r0, [sp]\n\t"
                     "sub r1, r1, r12\n\t"
                     "ldr r12, [sp, #44]\n\t" /* acc_end */
                     "str r5, [lr, #64]\n\t"
                     "str r6, [lr, #128]\n\t"
                     "str r7, [lr, #192]\n\t"
                     "str r4, [lr], #4\n\t"
                     "str lr, [sp, #40]\n\t"
                     "cmp lr, r12\n\t"
                     "bne 1b\n\t"
                     "pop {r0, r4, r5, r6, r7, r8, r9, r10, r11, pc}" ::
                         : "memory");
}
#pragma GCC diagnostic pop

/* Four rows. */
static void tile_rows(const ares_tile_rows *rows, const int8_t *w, int32_t width, int32_t *acc)
{
    const int32_t step = 4 * width;
    int16x2_t wide[WIDE_CODES / 4 * WIDE_STEP];
    int32_t more = 0;
    int32_t at = 0;
    int32_t s = 0;
    do {
        int32_t room = WIDE_CODES;
        int16x2_t *end = wide;
        do {
            const int32_t left = rows->length - at;
            const int32_t codes = left < room ? left : room;
            for (int32_t r = 0; r < ARES_TILE_ROWS; ++r) {
                const uint8_t *const x = rows->x[s * ARES_TILE_ROWS + r] + at;
                if (rows->is_signed) {
                    widen_signed(x, codes, end + 2 * r);
                } else {
                    widen_unsigned(x, codes, end + 2 * r);
                }
            }
            end += codes / 4 * WIDE_STEP;
            room -= codes;
            at += codes;
            if (at == rows->length) {
                at = 0;
                ++s;
            }
        } while (room > 0 && s < rows->segments);
        const int32_t bytes = (WIDE_CODES - room) * width;
        tile_columns(wide, w, step, end, acc, acc + width, bytes - 4, more);
        w += bytes;
        more = 1;
    } while (s < rows->segments);
}

/* Row r, four channels. */
static ALWAYS void tile_1x4(const ares_tile_rows *rows, int32_t r, const int8_t *w, int32_t step,
                            int is_signed, int32_t *acc)
{
    int32_t sum0 = 0;
    int32_t sum1 = 0;
    int32_t sum2 = 0;
    int32_t sum3 = 0;
    for (int32_t s = 0; s < rows->segments; ++s) {
        const uint8_t *x = rows->x[s * ARES_TILE_ROWS + r];
        const uint8_t *const end = x + rows->length;
        do {
            const pairs a = widen(word_at(x), is_signed);
            sum0 = multiply_add(sum0, a, widen(word_at(w), 1));
            sum1 = multiply_add(sum1, a, widen(word_at(w + 4), 1));
            sum2 = multiply_add(sum2, a, widen(word_at(w + 8), 1));
            sum3 = multiply_add(sum3, a, widen(word_at(w + 12), 1));
            x += 4;
            w += step;
        } while (x != end);
    }
    acc += r * ARES_PANEL_WIDTH;
    acc[0] = sum0;
    acc[1] = sum1;
    acc[2] = sum2;
    acc[3] = sum3;
}

/* Row r, one channel. */
static ALWAYS void tile_1x1(const ares_tile_rows *rows, int32_t r, const int8_t *w, int32_t step,
                            int is_signed, int32_t *acc)
{
    int32_t sum = 0;
    for (int32_t s = 0; s < rows->segments; ++s) {
        const uint8_t *x = rows->x[s * ARES_TILE_ROWS + r];
        const uint8_t *const end = x + rows->length;
        do {
            sum = multiply_add(sum, widen(word_at(x), is_signed), widen(word_at(w), 1));
            x += 4;
            w += step;
        } while (x != end);
    }
    acc[r * ARES_PANEL_WIDTH] = sum;
}

static ALWAYS void tile_row(const ares_tile_rows *rows, int32_t r, const int8_t *panel,
                            int32_t width, int is_signed, int32_t *acc)
{
    const int32_t step = 4 * width;
    int32_t n = 0;
    for (; n + 4 <= width; n += 4) {
        tile_1x4(rows, r, panel + 4 * n, step, is_signed, acc + n);
    }
    for (; n < width; ++n) {
        tile_1x1(rows, r, panel + 4 * n, step, is_signed, acc + n);
    }
}

void ares_tile_dsp(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc)
{
    if (rows->rows == ARES_TILE_ROWS) {
        tile_rows(rows, panel, width, acc);
        return;
    }
    for (int32_t r = 0; r < rows->rows; ++r) {
        if (rows->is_signed) {
            tile_row(rows, r, panel, width, 1, acc);
        } else {
            tile_row(rows, r, panel, width, 0, acc);
        }
    }
}

static ALWAYS void depthwise_tile(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                                  int is_signed, int32_t *acc)
{
    const uint8_t *const *const end = taps->x + taps->taps;
    const int32_t step = taps->channels;
    int32_t c = 0;
    for (; c + 4 <= width; c += 4) {
        const int8_t *w = taps->weight + first + c;
        const uint8_t *const *x = taps->x;
        int32_t sum0 = 0;
        int32_t sum1 = 0;
        int32_t sum2 = 0;
        int32_t sum3 = 0;
        do {
            const pairs a = widen(word_at(*x + first + c), is_signed);
            const pairs b = widen(word_at(w), 1);
            sum0 = __smlabb(a.even, b.even, sum0);
            sum1 = __smlabb(a.odd, b.odd, sum1);
            sum2 = __smlatt(a.even, b.even, sum2);
            sum3 = __smlatt(a.odd, b.odd, sum3);
            w += step;
            ++x;
        } while (x != end);
        acc[c] = sum0;
        acc[c + 1] = sum1;
        acc[c + 2] = sum2;
        acc[c + 3] = sum3;
    }
    for (; c < width; ++c) {
        const int8_t *w = taps->weight + first + c;
        int32_t sum = 0;
        for (const uint8_t *const *x = taps->x; x != end; ++x) {
            sum += ares_load_code(*x, first + c, is_signed) * *w;
            w += step;
        }
        acc[c] = sum;
    }
}

void ares_depthwise_tile_dsp(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                             int32_t *acc)
{
    if (taps->is_signed) {
        depthwise_tile(taps, first, width, 1, acc);
    } else {
        depthwise_tile(taps, first, width, 0, acc);
    }
}

/*
 * Whether it could: with shifts of 32 or more the low word decides nothing but ties, and those only where it is 0. The
 * planner makes no others for sums of more than a few products.
 * is_plain: every channel has constants, and codes fill their byte.
 */
static ALWAYS int requantize(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                             int32_t rows, int32_t width, uint8_t *out, int32_t out_step,
                             int is_plain)
{
    const int32_t stride = is_plain ? 1 : rescale->channel_stride;
    const int32_t lo = rescale->lo;
    const int32_t range = rescale->hi - lo;
    for (int32_t r = 0; r < rows; ++r) {
        const int32_t *const multiplier = rescale->multiplier;
        const int64_t *const offset = rescale->offset;
        const uint8_t *const shift = rescale->shift;
        int32_t c = first * stride;
        const int32_t *from = acc + r * ARES_PANEL_WIDTH;
        const int32_t *const end = from + width;
        uint8_t *to = out + r * out_step;
        do {
            const int32_t bits = shift[c] - 32;
            if (bits < 0) {
                return 0;
            }
            const int64_t raised = (int64_t)*from++ * multiplier[c] + offset[c];
            const int32_t high = (int32_t)(raised >> 32);
            const int is_rest_zero = (uint32_t)raised == 0;
            int32_t value = high >> bits;
            if (__builtin_expect(is_rest_zero, 0) && (int32_t)((uint32_t)value << bits) == high) {
                value &= ~1;
            }
            int32_t above;
            __asm__("usat %0, #8, %1" : "=r"(above) : "r"(value - lo));
            *to++ = (uint8_t)(lo + (is_plain || above < range ? above : range));
            c += stride;
        } while (from != end);
    }
    return 1;
}

/*
 * Functions (N5) that all channels share, in two loops, the constants of either of which registers hold: as compilers would
 * not. Shifts are below 32, as those of functions are planned, and a value is put together of both words.
 */
typedef char rescales_are_laid_out[offsetof(ares_rescale, shift) == 8 &&
                                           offsetof(ares_rescale, channel_stride) == 16 &&
                                           offsetof(ares_steps, half) == 24
                                       ? 1
                                       : -1];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
/*
 * The values of a row (N3) from channel c on; 0 where a shift is 32 or more. What does not fit a word becomes the last one
 * that does, which is beyond every limit that the value is beyond.
 */
__attribute__((naked, noinline, used)) static int round_row(const ares_rescale *rescale, int32_t c,
                                                            const int32_t *acc, const int32_t *end,
                                                            int32_t *values)
{
    __asm__ volatile("push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t"
                     "ldr r12, [sp, #36]\n\t" /* values */
                     "ldm r0, {r4, r5, r6}\n\t"
                     "ldr r7, [r0, #16]\n" /* channel_stride */
                     "1:\n\t"
                     "add r0, r5, r1, lsl #3\n\t"
                     "ldr r8, [r4, r1, lsl #2]\n\t"
                     "ldr r9, [r2], #4\n\t"
                     "ldrd r10, r11, [r0]\n\t"
                     "smlal r10, r11, r9, r8\n\t"
                     "ldrb r8, [r6, r1]\n\t"
                     "add r1, r1, r7\n\t"
                     "rsbs r0, r8, #32\n\t"
                     "ble 5f\n\t"
                     "lsl r9, r11, r0\n\t"
                     "lsls r0, r10, r0\n\t"
                     "lsr r10, r10, r8\n\t"
                     "orr r9, r9, r10\n\t"
                     "beq 3f\n" /* a tie */
                     "2:\n\t"
                     "sub r8, r8, #1\n\t"
                     "asr r8, r11, r8\n\t"
                     "cmp r8, r11, asr #31\n\t"
                     "bne 4f\n" /* does not fit */
                     "6:\n\t"
                     "str r9, [r12], #4\n\t"
                     "cmp r2, r3\n\t"
                     "bne 1b\n\t"
                     "mov r0, #1\n\t"
                     "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n"
                     "3:\n\t"
                     "bic r9, r9, #1\n\t"
                     "b 2b\n"
                     "4:\n\t"
                     "asr r9, r11, #31\n\t"
                     "eor r9, r9, #0x80000000\n\t"
                     "mvn r9, r9\n\t"
                     "b 6b\n"
                     "5:\n\t"
                     "mov r0, #0\n\t"
                     "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}" ::
                         : "memory");
}

/* The codes of values, which are not limited yet; half of the steps is not 0. */
__attribute__((naked, noinline, used)) static void
step_row(const ares_steps *steps, const int32_t *values, const int32_t *end, uint8_t *out)
{
    __asm__ volatile("push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t"
                     "ldm r0, {r4, r5, r6, r7, r8, r9, r10}\n\t" /* all of it */
                     "sub r4, r4, #4\n\t"                        /* before the thresholds */
                     "sub r8, r8, r7\n\t"                        /* last - below */
                     "push {r10}\n"
                     "1:\n\t"
                     "ldr r0, [r1], #4\n\t"
                     "sub r11, r0, r7\n\t"
                     "cmp r11, r8\n\t"
                     "bhi 4f\n"
                     "2:\n\t"
                     "lsr r11, r11, r9\n\t"
                     "ldrb r11, [r6, r11]\n\t"
                     "ldr r12, [sp]\n" /* half */
                     "3:\n\t"
                     "add lr, r11, r12\n\t"
                     "ldr r10, [r4, lr, lsl #2]\n\t"
                     "cmp r10, r0\n\t"
                     "it le\n\t"
                     "movle r11, lr\n\t"
                     "lsrs r12, r12, #1\n\t"
                     "bne 3b\n\t"
                     "ldrb r11, [r5, r11]\n\t"
                     "strb r11, [r3], #1\n\t"
                     "cmp r1, r2\n\t"
                     "bne 1b\n\t"
                     "add sp, sp, #4\n\t"
                     "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n"
                     "4:\n\t" /* limited: unsigned, what is below is beyond as well */
                     "cmp r0, r7\n\t"
                     "ite lt\n\t"
                     "movlt r11, #0\n\t"
                     "movge r11, r8\n\t"
                     "add r0, r7, r11\n\t"
                     "b 2b" ::
                         : "memory");
}
#pragma GCC diagnostic pop

static int requantize_steps(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                            int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    int32_t values[ARES_DEPTHWISE_WIDTH];
    const int32_t c = first * rescale->channel_stride;
    for (int32_t r = 0; r < rows; ++r) {
        if (!round_row(rescale, c, acc, acc + width, values)) {
            return 0;
        }
        step_row(rescale->steps, values, values + width, out);
        acc += ARES_PANEL_WIDTH;
        out += out_step;
    }
    return 1;
}

void ares_requantize_dsp(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                         int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    int is_done = 0;
    if (rescale->num_thresholds == 0) {
        if (rescale->channel_stride == 1 && rescale->hi - rescale->lo == UINT8_MAX) {
            is_done = requantize(rescale, first, acc, rows, width, out, out_step, 1);
        } else {
            is_done = requantize(rescale, first, acc, rows, width, out, out_step, 0);
        }
    } else if (rescale->step_stride == 0 && rescale->steps->half > 0) {
        is_done = requantize_steps(rescale, first, acc, rows, width, out, out_step);
    }
    if (!is_done) {
        ares_requantize_portable(rescale, first, acc, rows, width, out, out_step);
    }
}

#endif
