/* The micro-kernels for Arm's M-profile vector extension (Helium): Cortex-M55, M85. */
#include "../inc/micro_add.h"
#include "../inc/micro_elements.h"
#include "../inc/microkernels.h"

#if defined(ARES_MICRO_MVE)

#include <arm_mve.h>

/*
 * What tile_* work on: rows of codes times one channel after the other. VMLADAVA multiplies sixteen codes with as many and
 * adds up all products, but never unsigned codes with signed ones. Beside unsigned codes a weight is therefore taken as
 * w + 128, with the highest bit turned, and 128 times the sum of the row's codes is taken off at the start.
 */
typedef struct columns {
    int32_t start[ARES_TILE_ROWS];
    const uint8_t *const *x; /* the rows of the first segment */
    int32_t segments;
    int32_t groups; /* of four codes, in a segment */
    int32_t step;   /* bytes to the weights of the next sixteen codes */
    int32_t over;   /* bytes that the last step of a segment goes too far */
    int32_t back;   /* bytes from behind a channel's weights to those of the next one */
    int32_t *acc;   /* of the first channel; and behind the last */
    const int32_t *end;
    uint32_t offset[4]; /* of sixteen codes' weights: of each four, or a byte for each */
} columns;

/* The numbers in the assembly below. */
typedef char columns_are_laid_out[offsetof(columns, x) == 16 && offsetof(columns, step) == 28 &&
                                          offsetof(columns, acc) == 40 &&
                                          offsetof(columns, offset) == 48
                                      ? 1
                                      : -1];

/* In assembly: compilers find neither the registers nor the loop, whose last round leaves lanes out. */
#define TILE_START                                                                                 \
    "push {r0, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t"                                          \
    "ldr r3, [r0, #24]\n\t" /* groups */                                                           \
    "ldr r2, [r0, #28]\n\t" /* step */                                                             \
    "add r12, r0, #48\n\t"  /* offset */                                                           \
    "vldrb.u8 q0, [r12]\n\t"                                                                       \
    "vmov.i8 q3, #128\n"                                                                           \
    "1:\n\t" /* a channel */                                                                       \
    "ldr r12, [sp]\n\t"                                                                            \
    "ldm r12, {r4, r6, r8, r10}\n\t" /* start */                                                   \
    "ldr r0, [r12, #16]\n\t"         /* x */                                                       \
    "ldr r12, [r12, #20]\n"          /* segments */                                                \
    "2:\n\t"                                                                                       \
    "ldmia r0!, {r5, r7, r9, r11}\n\t"                                                             \
    "dlstp.32 lr, r3\n"                                                                            \
    "3:\n\t"
#define TILE_END                                                                                   \
    "letp lr, 3b\n\t"                                                                              \
    "ldr r7, [sp]\n\t"                                                                             \
    "ldr r5, [r7, #32]\n\t" /* over */                                                             \
    "subs r12, r12, #1\n\t"                                                                        \
    "sub r1, r1, r5\n\t"                                                                           \
    "bne 2b\n\t"                                                                                   \
    "ldr r5, [r7, #36]\n\t" /* back */                                                             \
    "ldr r0, [r7, #40]\n\t" /* acc */                                                              \
    "ldr r9, [r7, #44]\n\t" /* end */                                                              \
    "sub r1, r1, r5\n\t"
#define TILE_NEXT                                                                                  \
    "str r4, [r0], #4\n\t"                                                                         \
    "str r0, [r7, #40]\n\t"                                                                        \
    "cmp r0, r9\n\t"                                                                               \
    "bne 1b\n\t"                                                                                   \
    "pop {r0, r4, r5, r6, r7, r8, r9, r10, r11, pc}"

#define TILE_4(name, load, turn, multiply)                                                         \
    __attribute__((naked, noinline)) static void name(columns *work, const int8_t *w)              \
    {                                                                                              \
        __asm__ volatile(TILE_START load " q1, [r1, q0]\n\t"                                       \
                                         "vldrb.u8 q2, [r5], #16\n\t"                              \
                                         "add r1, r1, r2\n\t" turn multiply " r4, q1, q2\n\t"      \
                                         "vldrb.u8 q2, [r7], #16\n\t" multiply " r6, q1, q2\n\t"   \
                                         "vldrb.u8 q2, [r9], #16\n\t" multiply " r8, q1, q2\n\t"   \
                                         "vldrb.u8 q2, [r11], #16\n\t" multiply                    \
                                         " r10, q1, q2\n\t" TILE_END "str r6, [r0, #64]\n\t"       \
                                         "str r8, [r0, #128]\n\t"                                  \
                                         "str r10, [r0, #192]\n\t" TILE_NEXT ::                    \
                                             : "memory");                                          \
    }
#define TILE_1(name, load, turn, multiply)                                                         \
    __attribute__((naked, noinline)) static void name(columns *work, const int8_t *w)              \
    {                                                                                              \
        __asm__ volatile(TILE_START load " q1, [r1, q0]\n\t"                                       \
                                         "vldrb.u8 q2, [r5], #16\n\t"                              \
                                         "add r1, r1, r2\n\t" turn multiply                        \
                                         " r4, q1, q2\n\t" TILE_END TILE_NEXT ::                   \
                                             : "memory");                                          \
    }

/* One segment of sixteen codes at most: the rows stay in registers. */
#define TILE_SHORT(name, sums, load, turn, begin, multiply)                                        \
    __attribute__((naked, noinline)) static void name(columns *work, const int8_t *w)              \
    {                                                                                              \
        __asm__ volatile("push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t"                         \
                         "vpush {d8, d9, d10, d11, d12, d13, d14, d15}\n\t"                        \
                         "ldr r2, [r0, #16]\n\t" /* x */                                           \
                         "ldr r3, [r0, #24]\n\t" /* groups */                                      \
                         "ldm r2, {r4, r6, r8, r10}\n\t"                                           \
                         "vctp.32 r3\n\t"                                                          \
                         "vpstttt\n\t"                                                             \
                         "vldrbt.u8 q4, [r4]\n\t"                                                  \
                         "vldrbt.u8 q5, [r6]\n\t"                                                  \
                         "vldrbt.u8 q6, [r8]\n\t"                                                  \
                         "vldrbt.u8 q7, [r10]\n\t"                                                 \
                         "add r12, r0, #48\n\t" /* offset */                                       \
                         "vldrb.u8 q0, [r12]\n\t"                                                  \
                         "vmov.i8 q3, #128\n\t"                                                    \
                         "ldr r12, [r0, #40]\n\t" /* acc */                                        \
                         "ldr r2, [r0, #44]\n\t"  /* end */                                        \
                         "sub r2, r2, r12\n\t"                                                     \
                         "lsr r2, r2, #2\n\t" sums "dls lr, r2\n"                                  \
                         "1:\n\t"                                                                  \
                         "vpst\n\t" load " q1, [r1, q0]\n\t"                                       \
                         "add r1, r1, #4\n\t" turn begin multiply " r4, q1, q4\n\t" multiply       \
                         " r6, q1, q5\n\t" multiply " r8, q1, q6\n\t" multiply " r10, q1, q7\n\t"  \
                         "str r6, [r12, #64]\n\t"                                                  \
                         "str r8, [r12, #128]\n\t"                                                 \
                         "str r10, [r12, #192]\n\t"                                                \
                         "str r4, [r12], #4\n\t"                                                   \
                         "le lr, 1b\n\t"                                                           \
                         "vpop {d8, d9, d10, d11, d12, d13, d14, d15}\n\t"                         \
                         "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}" ::                           \
                             : "memory");                                                          \
    }

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define TURN "veor q1, q1, q3\n\t"
#define SUMS                                                                                       \
    "vaddv.u8 r4, q4\n\t"                                                                          \
    "vaddv.u8 r6, q5\n\t"                                                                          \
    "vaddv.u8 r8, q6\n\t"                                                                          \
    "vaddv.u8 r10, q7\n\t"                                                                         \
    "mov r3, #0\n\t"                                                                               \
    "sub r5, r3, r4, lsl #7\n\t"                                                                   \
    "sub r7, r3, r6, lsl #7\n\t"                                                                   \
    "sub r9, r3, r8, lsl #7\n\t"                                                                   \
    "sub r11, r3, r10, lsl #7\n\t"
#define BEGIN                                                                                      \
    "mov r4, r5\n\t"                                                                               \
    "mov r6, r7\n\t"                                                                               \
    "mov r8, r9\n\t"                                                                               \
    "mov r10, r11\n\t"
TILE_4(tile_4_unsigned, "vldrw.u32", TURN, "vmladava.u8")
TILE_4(tile_4_signed, "vldrw.u32", "", "vmladava.s8")
TILE_4(tile_4_unsigned_bytes, "vldrb.u8", TURN, "vmladava.u8")
TILE_4(tile_4_signed_bytes, "vldrb.u8", "", "vmladava.s8")
TILE_SHORT(tile_short_unsigned, SUMS, "vldrwt.u32", TURN, BEGIN, "vmladava.u8")
TILE_SHORT(tile_short_signed, "", "vldrwt.u32", "", "", "vmladav.s8")
TILE_SHORT(tile_short_unsigned_bytes, SUMS, "vldrbt.u8", TURN, BEGIN, "vmladava.u8")
TILE_SHORT(tile_short_signed_bytes, "", "vldrbt.u8", "", "", "vmladav.s8")
TILE_1(tile_1_unsigned, "vldrw.u32", TURN, "vmladava.u8")
TILE_1(tile_1_signed, "vldrw.u32", "", "vmladava.s8")
TILE_1(tile_1_unsigned_bytes, "vldrb.u8", TURN, "vmladava.u8")
TILE_1(tile_1_signed_bytes, "vldrb.u8", "", "vmladava.s8")
#pragma GCC diagnostic pop

/* Four rows, one, or four that are short. */
typedef enum tile_kind { FOUR, ONE, SHORT } tile_kind;

/* [tile_kind][in bytes][signed] */
static void (*const kernels[3][2][2])(columns *, const int8_t *) = {
    {{tile_4_unsigned, tile_4_signed}, {tile_4_unsigned_bytes, tile_4_signed_bytes}},
    {{tile_1_unsigned, tile_1_signed}, {tile_1_unsigned_bytes, tile_1_signed_bytes}},
    {{tile_short_unsigned, tile_short_signed},
     {tile_short_unsigned_bytes, tile_short_signed_bytes}},
};

static inline uint32_t sum_of(const uint8_t *x, int32_t codes, uint32_t sum)
{
    __asm__ volatile("dlstp.8 lr, %[codes]\n"
                     "1:\n\t"
                     "vldrb.u8 q0, [%[x]], #16\n\t"
                     "vaddva.u8 %[sum], q0\n\t"
                     "letp lr, 1b"
                     : [x] "+&r"(x), [sum] "+&Te"(sum)
                     : [codes] "r"(codes)
                     : "lr", "d0", "d1", "memory");
    return sum;
}

/* From row r on: one row, or all that there can be. */
static void tile(const ares_tile_rows *rows, int32_t r, tile_kind kind, const int8_t *panel,
                 int32_t width, int32_t *acc)
{
    const int32_t length = rows->length;
    const int32_t count = kind == ONE ? 1 : ARES_TILE_ROWS;
    const int needs_sums = !rows->is_signed && kind != SHORT;
    /* Words can be loaded as such only where they are aligned. */
    const int in_bytes = (uintptr_t)panel % 4 != 0;
    uint32x4_t offset = vmulq_n_u32(vidupq_n_u32(0, 1), 4u * (uint32_t)width);
    columns work;
    for (int32_t i = 0; i < count; ++i) {
        uint32_t sum = 0;
        for (int32_t s = 0; needs_sums && s < rows->segments; ++s) {
            sum = sum_of(rows->x[s * ARES_TILE_ROWS + r + i], length, sum);
        }
        work.start[i] = (int32_t)(0u - 128u * sum);
    }
    if (in_bytes) {
        offset = vaddq_n_u32(vmulq_n_u32(offset, 0x01010101u), 0x03020100u);
    }
    vstrwq_u32(work.offset, offset);
    work.x = rows->x + r;
    work.segments = rows->segments;
    work.groups = length / 4;
    work.step = 16 * width;
    work.over = (-length & 15) * width;
    work.back = rows->segments * length * width - 4;
    work.acc = acc + r * ARES_PANEL_WIDTH;
    work.end = work.acc + width;
    kernels[kind][in_bytes][rows->is_signed != 0](&work, panel);
}

void ares_tile_mve(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc)
{
    if (rows->rows == ARES_TILE_ROWS) {
        const int is_short = rows->segments == 1 && rows->length <= 16;
        tile(rows, 0, is_short ? SHORT : FOUR, panel, width, acc);
        return;
    }
    for (int32_t r = 0; r < rows->rows; ++r) {
        tile(rows, r, ONE, panel, width, acc);
    }
}

/* clang has no name for the predicate: no C here may hold one. */
#if defined(__clang__)
#define PREDICATE "memory"
#else
#define PREDICATE "p0"
#endif

/* Products of halfwords are words, of even and of odd channels. Sixteen channels, or up to eight. */
#define OPERANDS [x] "+&r"(x), [w] "+&l"(w), [even] "+&w"(even), [odd] "+&w"(odd), [at] "=&l"(at)
#define SIZES [first] "r"(first), [step] "r"(taps->channels), [taps] "r"(taps->taps)
#define USED "lr", "d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7", "memory"
#define DEPTHWISE_16(widened)                                                                      \
    __asm__ volatile("dls lr, %[taps]\n"                                                           \
                     "1:\n\t"                                                                      \
                     "ldr %[at], [%[x]], #4\n\t"                                                   \
                     "add %[at], %[at], %[first]\n\t"                                              \
                     "vldrb." widened " q0, [%[at]]\n\t"                                           \
                     "vldrb.s16 q1, [%[w]]\n\t"                                                    \
                     "vmullb.s16 q2, q0, q1\n\t"                                                   \
                     "vmullt.s16 q3, q0, q1\n\t"                                                   \
                     "vadd.i32 %q[even], %q[even], q2\n\t"                                         \
                     "vadd.i32 %q[odd], %q[odd], q3\n\t"                                           \
                     "vldrb." widened " q0, [%[at], #8]\n\t"                                       \
                     "vldrb.s16 q1, [%[w], #8]\n\t"                                                \
                     "add %[w], %[w], %[step]\n\t"                                                 \
                     "vmullb.s16 q2, q0, q1\n\t"                                                   \
                     "vmullt.s16 q3, q0, q1\n\t"                                                   \
                     "vadd.i32 %q[even8], %q[even8], q2\n\t"                                       \
                     "vadd.i32 %q[odd8], %q[odd8], q3\n\t"                                         \
                     "le lr, 1b"                                                                   \
                     : OPERANDS, [even8] "+&w"(even8), [odd8] "+&w"(odd8)                          \
                     : SIZES                                                                       \
                     : USED)
#define DEPTHWISE_8(widened)                                                                       \
    __asm__ volatile("vctp.16 %[width]\n\t"                                                        \
                     "dls lr, %[taps]\n"                                                           \
                     "1:\n\t"                                                                      \
                     "ldr %[at], [%[x]], #4\n\t"                                                   \
                     "add %[at], %[at], %[first]\n\t"                                              \
                     "vpstt\n\t"                                                                   \
                     "vldrbt." widened " q0, [%[at]]\n\t"                                          \
                     "vldrbt.s16 q1, [%[w]]\n\t"                                                   \
                     "add %[w], %[w], %[step]\n\t"                                                 \
                     "vmullb.s16 q2, q0, q1\n\t"                                                   \
                     "vmullt.s16 q3, q0, q1\n\t"                                                   \
                     "vadd.i32 %q[even], %q[even], q2\n\t"                                         \
                     "vadd.i32 %q[odd], %q[odd], q3\n\t"                                           \
                     "le lr, 1b"                                                                   \
                     : OPERANDS                                                                    \
                     : SIZES, [width] "r"(width)                                                   \
                     : USED, PREDICATE)

/* The sums of eight channels; even and odd ones in turn. */
static inline void put(int32_t *acc, int32x4_t even, int32x4_t odd)
{
    const int32x4x2_t sums = {{even, odd}};
    vst2q_s32(acc, sums);
}

void ares_depthwise_tile_mve(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                             int32_t *acc)
{
    while (width > 0) {
        const uint8_t *const *x = taps->x;
        const int8_t *w = taps->weight + first;
        const uint8_t *at;
        int32x4_t even = vdupq_n_s32(0);
        int32x4_t odd = even;
        if (width >= 16) {
            int32x4_t even8 = even;
            int32x4_t odd8 = even;
            if (taps->is_signed) {
                DEPTHWISE_16("s16");
            } else {
                DEPTHWISE_16("u16");
            }
            put(acc, even, odd);
            put(acc + 8, even8, odd8);
            first += 16;
            acc += 16;
            width -= 16;
            continue;
        }
        if (taps->is_signed) {
            DEPTHWISE_8("s16");
        } else {
            DEPTHWISE_8("u16");
        }
        if (width >= 8) {
            put(acc, even, odd);
        } else {
            int32_t sums[8];
            put(sums, even, odd);
            for (int32_t i = 0; i < width; ++i) {
                acc[i] = sums[i];
            }
        }
        first += 8;
        acc += 8;
        width -= 8;
    }
}

/*
 * Four accumulators at a time become values within limits. Constants of N3 are those of the channels, or the same for all.
 * Behind a row, everything goes back by the vectors that it took.
 */
#define REQUANTIZE(load_multiplier, load_low, load_high, load_shift, back, round, store, bytes)    \
    __asm__ volatile(                                                                              \
        "0:\n\t"                                                                                   \
        "dlstp.32 lr, %[width]\n"                                                                  \
        "1:\n\t"                                                                                   \
        "vldrw.u32 q0, [%[from]], #16\n\t" load_multiplier "vmulh.s32 q2, q0, q1\n\t"              \
        "vmul.i32 q0, q0, q1\n\t" load_low "vadd.i32 q0, q0, q1\n\t"                               \
        "vpt.u32 hi, q1, q0\n\t"                                                                   \
        "vaddt.i32 q2, q2, %[one]\n\t" load_high "vadd.i32 q2, q2, q1\n\t" load_shift              \
        "vsub.i32 q1, %q[word], q1\n\t" round "2:\n\t"                                             \
        "vmax.s32 q3, q3, %q[lo]\n\t"                                                              \
        "vmin.s32 q3, q3, %q[hi]\n\t" store "letp lr, 1b\n\t"                                      \
        "add %[from], %[from], #64\n\t"                                                            \
        "add %[to], %[to], %[step]\n\t"                                                            \
        "add %[scalar], %[width], #3\n\t"                                                          \
        "lsr %[scalar], %[scalar], #2\n\t"                                                         \
        "sub %[from], %[from], %[scalar], lsl #4\n\t"                                              \
        "sub %[to], %[to], %[scalar], lsl #" bytes "\n\t" back "subs %[rows], %[rows], #1\n\t"     \
        "bne 0b"                                                                                   \
        : [from] "+r"(from), [multiplier] "+r"(multiplier), [offset] "+&w"(offset),                \
          [shift] "+r"(shift), [to] "+r"(target), [rows] "+r"(left), [scalar] "=&r"(scalar)        \
        : [width] "r"(codes), [step] "r"(row_step), [one] "r"(one), [word] "w"(word),              \
          [lo] "w"(lo), [hi] "w"(hi)                                                               \
        : USED, PREDICATE, "cc")
#define OF_EACH                                                                                    \
    "vldrw.u32 q1, [%[multiplier]], #16\n\t", "vldrw.u32 q1, [%q[offset], #32]!\n\t",              \
        "vldrw.u32 q1, [%q[offset], #4]\n\t", "vldrb.u32 q1, [%[shift]], #4\n\t",                  \
        "sub %[multiplier], %[multiplier], %[scalar], lsl #4\n\t"                                  \
        "sub %[shift], %[shift], %[scalar], lsl #2\n\t"                                            \
        "lsl %[scalar], %[scalar], #5\n\t"                                                         \
        "vsub.i32 %q[offset], %q[offset], %[scalar]\n\t"
#define OF_ALL                                                                                     \
    "ldr %[scalar], [%[multiplier]]\n\tvdup.32 q1, %[scalar]\n\t",                                 \
        "vldrw.u32 q1, [%q[offset], #32]\n\t", "vldrw.u32 q1, [%q[offset], #36]\n\t",              \
        "ldrb %[scalar], [%[shift]]\n\tvdup.32 q1, %[scalar]\n\t", ""
/*
 * A total, q2 above q0, becomes a value, q3. Of shifts of 32 or more there is of the low word only whether it is 0, where a
 * tie may be.
 */
#define ROUND_LONG                                                                                 \
    "vshl.s32 q3, q2, q1\n\t"                                                                      \
    "vcmp.i32 eq, q0, zr\n\t"                                                                      \
    "vmrs %[scalar], p0\n\t"                                                                       \
    "cbz %[scalar], 2f\n\t"                                                                        \
    "vneg.s32 q1, q1\n\t"                                                                          \
    "vshl.s32 q0, q3, q1\n\t"                                                                      \
    "vpst\n\t"                                                                                     \
    "vcmpt.i32 eq, q0, q2\n\t"                                                                     \
    "vpst\n\t"                                                                                     \
    "vbict.i32 q3, #1\n"
/*
 * Of smaller ones it has the lower part of the value, of which a tie takes bit 0. The upper part saturates, which limits
 * see no difference of: what does not fit is beyond them, as its nearest word is. Negative totals are inverted meanwhile,
 * ~(~x >> n) being x >> n, so that the lower part takes nothing from that word.
 */
#define ROUND_SHORT                                                                                \
    "vshl.u32 q3, q0, q1\n\t" /* what is below the point */                                        \
    "vcmp.i32 eq, q3, zr\n\t"                                                                      \
    "vmrs %[scalar], p0\n\t"                                                                       \
    "cbz %[scalar], 3f\n\t"                                                                        \
    "vsub.i32 q1, q1, %q[word]\n\t"                                                                \
    "vshl.u32 q3, q0, q1\n\t"                                                                      \
    "vneg.s32 q1, q1\n\t"                                                                          \
    "vbic.i32 q3, #1\n\t"                                                                          \
    "vshl.u32 q3, q3, q1\n\t"                                                                      \
    "vsub.i32 q1, %q[word], q1\n\t"                                                                \
    "vpst\n\t"                                                                                     \
    "vmovt q0, q3\n"                                                                               \
    "3:\n\t"                                                                                       \
    "vshr.s32 q3, q2, #31\n\t"                                                                     \
    "veor q2, q2, q3\n\t"                                                                          \
    "veor q0, q0, q3\n\t"                                                                          \
    "vqshl.s32 q2, q2, q1\n\t"                                                                     \
    "vsub.i32 q1, q1, %q[word]\n\t"                                                                \
    "vshl.u32 q0, q0, q1\n\t"                                                                      \
    "vorr q2, q2, q0\n\t"                                                                          \
    "veor q3, q3, q2\n"
#define TO_BYTES "vstrb.32 q3, [%[to]], #4\n\t", "2"
#define TO_WORDS "vstrw.32 q3, [%[to]], #16\n\t", "4"
#define WITH(...) REQUANTIZE(__VA_ARGS__)

/* Rows of bytes, or of words, step bytes apart. All shifts are 32 or more, or none is. */
static inline void limited_values(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                                  int32_t rows, int32_t width, void *to, int32_t step, int in_words,
                                  int is_short)
{
    const int32_t stride = rescale->channel_stride;
    const int32_t c = first * stride;
    /* 32 is added before each load. */
    const uint32_t start = (uint32_t)(uintptr_t)(rescale->offset + c) - 32u;
    const int32x4_t word = vdupq_n_s32(32);
    const int32x4_t lo = vdupq_n_s32(rescale->lo);
    const int32x4_t hi = vdupq_n_s32(rescale->hi);
    const uint32x4_t each = vaddq_u32(vdupq_n_u32(start), vidupq_n_u32(0, 8));
    uint32x4_t offset = stride == 0 ? vdupq_n_u32(start) : each;
    const int32_t *const multipliers = rescale->multiplier + c;
    const uint8_t *const shifts = rescale->shift + c;
    /* So many that compilers do not find places for them: low registers where they must be such. */
    register const uint8_t *shift __asm__("r0") = shifts;
    register void *target __asm__("r1") = to;
    register uint32_t scalar __asm__("r2");
    register const int32_t *from __asm__("r3") = acc;
    register const int32_t *multiplier __asm__("r4") = multipliers;
    register int32_t left __asm__("r5") = rows;
    register int32_t codes __asm__("r6") = width;
    register int32_t row_step __asm__("r8") = step;
    register int32_t one __asm__("r12") = 1;
    if (stride != 0) {
        if (!is_short && in_words) {
            WITH(OF_EACH, ROUND_LONG, TO_WORDS);
        } else if (!is_short) {
            WITH(OF_EACH, ROUND_LONG, TO_BYTES);
        } else if (in_words) {
            WITH(OF_EACH, ROUND_SHORT, TO_WORDS);
        } else {
            WITH(OF_EACH, ROUND_SHORT, TO_BYTES);
        }
    } else if (!is_short && in_words) {
        WITH(OF_ALL, ROUND_LONG, TO_WORDS);
    } else if (!is_short) {
        WITH(OF_ALL, ROUND_LONG, TO_BYTES);
    } else if (in_words) {
        WITH(OF_ALL, ROUND_SHORT, TO_WORDS);
    } else {
        WITH(OF_ALL, ROUND_SHORT, TO_BYTES);
    }
}

/* The codes of a row of limited values (N5), four at a time: ares_step_of with loads of lanes from anywhere. */
static inline void step_row(const ares_steps *steps, const int32_t *values, int32_t width,
                            uint8_t *out)
{
    /* One before the first threshold; an address, for there is no such element. */
    const uint32_t before_first = (uint32_t)(uintptr_t)steps->thresholds - 4u;
    const int32_t minus_bits = -steps->bits;
    /* As above. */
    register const int32_t *from __asm__("r0") = values;
    register uint8_t *to __asm__("r1") = out;
    register int32_t n __asm__("r2");
    register int32_t codes_left __asm__("r3") = width;
    register int32_t half __asm__("r4") = steps->half;
    register int32_t below __asm__("r5") = steps->below;
    register int32_t down __asm__("r6") = minus_bits;
    register const uint8_t *starts __asm__("r8") = steps->starts;
    register uint32_t before __asm__("r9") = before_first;
    register const uint8_t *codes __asm__("r12") = steps->codes;
    __asm__ volatile(
        "dlstp.32 lr, %[width]\n"
        "1:\n\t"
        "vldrw.u32 q0, [%[from]], #16\n\t"
        "mov %[n], %[half]\n\t"
        "vsub.i32 q1, q0, %[below]\n\t"
        "vshl.u32 q1, %[down]\n\t"
        "vldrb.u32 q2, [%[starts], q1]\n\t" /* place */
        "cbz %[n], 3f\n"
        "2:\n\t"
        "vadd.i32 q3, q2, %[n]\n\t"
        "vldrw.u32 q1, [%[before], q3, uxtw #2]\n\t"
        "lsrs %[n], %[n], #1\n\t"
        "vpt.s32 ge, q0, q1\n\t"
        "vmovt q2, q3\n\t"
        "bne 2b\n"
        "3:\n\t"
        "vldrb.u32 q1, [%[codes], q2]\n\t"
        "vstrb.32 q1, [%[to]], #4\n\t"
        "letp lr, 1b"
        : [from] "+r"(from), [to] "+r"(to), [n] "=&r"(n)
        : [width] "r"(codes_left), [half] "r"(half), [below] "r"(below), [down] "r"(down),
          [starts] "r"(starts), [before] "r"(before), [codes] "r"(codes)
        : USED, PREDICATE, "cc");
}

/* The least and the largest of some bytes. */
typedef struct byte_range {
    uint32_t least;
    uint32_t most;
} byte_range;

static inline byte_range range_of(const uint8_t *bytes, int32_t count)
{
    byte_range range = {UINT8_MAX, 0};
    __asm__ volatile("dlstp.8 lr, %[count]\n"
                     "1:\n\t"
                     "vldrb.u8 q0, [%[bytes]], #16\n\t"
                     "vminv.u8 %[least], q0\n\t"
                     "vmaxv.u8 %[most], q0\n\t"
                     "letp lr, 1b"
                     : [bytes] "+&r"(bytes), [least] "+&r"(range.least), [most] "+&r"(range.most)
                     : [count] "r"(count)
                     : "lr", "d0", "d1", "memory");
    return range;
}

void ares_requantize_mve(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                         int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    const int32_t stride = rescale->channel_stride;
    const int has_steps = rescale->num_thresholds > 0;
    const byte_range shifts = range_of(rescale->shift + first * stride, stride == 0 ? 1 : width);
    const int is_short = shifts.most < 32;
    if ((!is_short && shifts.least < 32) || (has_steps && rescale->step_stride != 0)) {
        ares_requantize_portable(rescale, first, acc, rows, width, out, out_step);
        return;
    }
    if (!has_steps) {
        limited_values(rescale, first, acc, rows, width, out, out_step, 0, is_short);
        return;
    }
    while (rows > 0) {
        enum { STEP = ARES_PANEL_WIDTH * sizeof(int32_t) };
        const int32_t some = rows < ARES_TILE_ROWS ? rows : ARES_TILE_ROWS;
        int32_t values[ARES_DEPTHWISE_WIDTH];
        limited_values(rescale, first, acc, some, width, values, STEP, 1, is_short);
        for (int32_t r = 0; r < some; ++r) {
            step_row(rescale->steps, values + r * ARES_PANEL_WIDTH, width, out);
            out += out_step;
        }
        acc += some * ARES_PANEL_WIDTH;
        rows -= some;
    }
}

/* Loads differ in what a byte is. Where nothing is left below the point the even one of two is right. */
#define ADD(load0, load1)                                                                          \
    __asm__ volatile("dlstp.32 lr, %[count]\n"                                                     \
                     "1:\n\t" load0 " q0, [%[in0]], #4\n\t" load1 " q1, [%[in1]], #4\n\t"          \
                     "vmul.i32 q2, q0, %[high0]\n\t"                                               \
                     "vmul.i32 q3, q0, %[low0]\n\t"                                                \
                     "vmla.s32 q2, q1, %[high1]\n\t"                                               \
                     "vmla.s32 q3, q1, %[low1]\n\t"                                                \
                     "vadd.i32 q2, q2, %[high]\n\t"                                                \
                     "vadd.i32 q3, q3, %[low]\n\t"                                                 \
                     "vshr.s32 q0, q3, #16\n\t"                                                    \
                     "vshl.i32 q3, q3, #16\n\t"                                                    \
                     "vadd.i32 q2, q2, q0\n\t"                                                     \
                     "vcmp.i32 eq, q3, zr\n\t"                                                     \
                     "vshl.s32 q0, q2, %q[down]\n\t"                                               \
                     "vmrs %[scalar], p0\n\t"                                                      \
                     "cbz %[scalar], 2f\n\t"                                                       \
                     "vshl.u32 q1, q2, %q[up]\n\t"                                                 \
                     "vpst\n\t"                                                                    \
                     "vcmpt.i32 eq, q1, zr\n\t"                                                    \
                     "vpst\n\t"                                                                    \
                     "vbict.i32 q0, #1\n"                                                          \
                     "2:\n\t"                                                                      \
                     "vmax.s32 q0, q0, %q[lo]\n\t"                                                 \
                     "vmin.s32 q0, q0, %q[hi]\n\t"                                                 \
                     "vstrb.32 q0, [%[to]], #4\n\t"                                                \
                     "letp lr, 1b"                                                                 \
                     : [in0] "+r"(x0), [in1] "+r"(x1), [to] "+r"(to), [scalar] "=&r"(scalar)       \
                     : [count] "r"(count), [high0] "r"(high0), [high1] "r"(high1),                 \
                       [high] "r"(high), [low0] "r"(low0), [low1] "r"(low1), [low] "r"(low),       \
                       [down] "w"(down), [up] "w"(up), [lo] "w"(lo), [hi] "w"(hi)                  \
                     : USED, PREDICATE, "cc")

int32_t ares_add_mve(const ares_add_params *p, const uint8_t *in0, const uint8_t *in1, uint8_t *out)
{
    ares_add_halves halves;
    if (!ares_add_halve(&halves, p, 0)) {
        return 0;
    }
    const int32x4_t down = vdupq_n_s32(16 - halves.shift);
    const int32x4_t up = vdupq_n_s32(48 - halves.shift);
    const int32x4_t lo = vdupq_n_s32(p->rescale.lo);
    const int32x4_t hi = vdupq_n_s32(p->rescale.hi);
    const int in0_signed = p->input0_signed;
    const int in1_signed = p->input1_signed;
    const int32_t done = p->count;
    /* As above. */
    register const uint8_t *x0 __asm__("r0") = in0;
    register const uint8_t *x1 __asm__("r1") = in1;
    register uint32_t scalar __asm__("r2");
    register uint8_t *to __asm__("r3") = out;
    register int32_t count __asm__("r4") = done;
    register int32_t high0 __asm__("r5") = halves.high0;
    register int32_t high1 __asm__("r6") = halves.high1;
    register int32_t high __asm__("r8") = halves.high;
    register int32_t low0 __asm__("r9") = halves.low0;
    register int32_t low1 __asm__("r10") = halves.low1;
    register int32_t low __asm__("r12") = halves.low;
    if (in0_signed && in1_signed) {
        ADD("vldrb.s32", "vldrb.s32");
    } else if (in0_signed) {
        ADD("vldrb.s32", "vldrb.u32");
    } else if (in1_signed) {
        ADD("vldrb.u32", "vldrb.s32");
    } else {
        ADD("vldrb.u32", "vldrb.u32");
    }
    return done;
}

#endif
