/*
 * The micro-kernels that a build chose, and the portable ones, against an oracle that shares no code with either
 * (runtime/inc/microkernels.h is the contract): micro_check SEED FIRST COUNT.
 *
 * Case n is made of SEED and n alone, so that one that fails can be run again by itself. Every case says what it is
 * before it runs: the last line of a program that crashed names the case. The first value that is wrong is
 * shown, and the exit code is then 1.
 *
 *   memory guarded                  or: memory open; whether a read beyond the end of an array is a fault
 *   case <n> <kernel> <shape>       before it runs
 *   wrong <kernel> ...              the first difference, and the end
 *   reached <what> <times>          what the cases must have met
 *   end <cases> <instruction set>   last
 *
 * Arrays lie where nothing may be read behind them: before a page without access under Linux, at the end of memory on
 * boards (ARES_GUARDED_END) and in WebAssembly, where only one of them can, a different one each case. Around
 * what is written lie bytes that must stay. No C library, no heap: it runs wherever a network does.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */

#include "micro_elements.h"
#include "microkernels.h"
#include "trace_io.h"
#include "trace_line.h"

#include <string.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

/* ---- words and numbers ---- */

static void put(const char *text)
{
    ares_io_print(text);
}

static void put_number(int64_t number)
{
    char digits[21];
    size_t at = sizeof digits - 1;
    uint64_t rest = number < 0 ? 0u - (uint64_t)number : (uint64_t)number;

    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + (int)(rest % 10u));
        rest /= 10u;
    } while (rest > 0u);
    if (number < 0) {
        digits[--at] = '-';
    }
    put(&digits[at]);
}

static void put_fact(const char *name, int64_t number)
{
    put(" ");
    put(name);
    put(" ");
    put_number(number);
}

static int read_number(const char *word, uint32_t *number)
{
    *number = 0;
    if (*word == '\0') {
        return 0;
    }
    for (; *word >= '0' && *word <= '9'; ++word) {
        *number = *number * 10u + (uint32_t)(*word - '0');
    }
    return *word == '\0';
}

/* ---- draws: splitmix64 ---- */

static uint64_t state;

static uint64_t draw(void)
{
    uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* first <= result <= last */
static int32_t between(int32_t first, int32_t last)
{
    const uint64_t span = (uint64_t)((int64_t)last - first) + 1u;
    return (int32_t)(first + (int64_t)(draw() % span));
}

static int one_in(int32_t count)
{
    return between(1, count) == 1;
}

/* ---- memory ---- */

enum {
    X0,
    X1,
    X2,
    X3,
    PANEL,
    ACC,
    OUT,
    MULTIPLIER,
    OFFSET,
    SHIFT,
    FUNCTIONS,
    THRESHOLDS,
    CODES,
    STARTS,
    AREAS
};

enum {
    SLACK = 64,      /* bytes around what is written that must stay */
    LONGEST = 65792, /* codes of a row: 65792 * 255 * 128 is the largest sum below 2^31 */
    LINE = LONGEST + 2 * SLACK,
#if defined(__linux__)
    WEIGHTS = 16 * LONGEST,
#else
    WEIGHTS = 8 * LONGEST,
#endif
    CHANNELS = 128, /* of rescales and depthwise tiles at most */
    TAPS = 121,
    STEPS = 255,           /* thresholds of one function at most */
    TABLE = CHANNELS * 32, /* thresholds of all functions at most */
};

static const uint32_t bytes_of[AREAS] = {LINE,
                                         LINE,
                                         LINE,
                                         LINE,
                                         WEIGHTS,
                                         4096,
                                         8192,
                                         CHANNELS * 4,
                                         CHANNELS * 8,
                                         CHANNELS + 2,
                                         CHANNELS * sizeof(ares_steps),
                                         TABLE * 4,
                                         TABLE + CHANNELS,
                                         TABLE};

/* An array lies between begin and end; between low and high there is memory. */
typedef struct area {
    uint8_t *begin;
    uint8_t *end;
    uint8_t *low;
    uint8_t *high;
} area;

static area areas[AREAS];
static const uint8_t *nowhere; /* where nothing may be read */

#if defined(__linux__)

enum { PAGE = 65536 }; /* the largest pages there are */

static int is_guarded(void)
{
    return 1;
}

static void arrange(uint32_t last)
{
    static int is_done;
    (void)last;
    for (int i = 0; i < AREAS && !is_done; ++i) {
        const size_t bytes = (bytes_of[i] + PAGE - 1u) / PAGE * PAGE;
        void *const base = mmap(NULL, bytes + 2u * PAGE, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        uint8_t *const begin = (uint8_t *)base + PAGE;
        if (base == MAP_FAILED || mprotect(base, PAGE, PROT_NONE) != 0 ||
            mprotect(begin + bytes, PAGE, PROT_NONE) != 0) {
            put("wrong memory\n");
            return;
        }
        areas[i].begin = areas[i].low = begin;
        areas[i].end = areas[i].high = begin + bytes;
        nowhere = begin + bytes;
    }
    is_done = 1;
}

#else

/* All areas lie in one block whose end is, if possible, the end of memory: every case another one's. */
enum { BLOCK = 4 * LINE + WEIGHTS + 4096 + 8192 + CHANNELS * 64 + TABLE * 6 + AREAS * 3 * SLACK };

#if defined(__wasm__)

static int is_guarded(void)
{
    return 1;
}

static uint8_t *block_end(void)
{
    static uintptr_t end;
    if (end == 0u) {
        const uint32_t pages = (BLOCK + 65535u) / 65536u;
        end = ((uintptr_t)__builtin_wasm_memory_grow(0, pages) + pages) * 65536u;
    }
    return (uint8_t *)end;
}

#elif defined(ARES_GUARDED_END)

extern uint8_t ares_bss_end[];

#if defined(__ARM_ARCH_7M__) || defined(__ARM_ARCH_7EM__)

/* The memory behind is there a second time: the protection unit, which the start-up code has switched on, forbids it. */
static void forbid_behind(void)
{
    *(volatile uint32_t *)0xE000ED98u = 2u; /* a region that is free */
    *(volatile uint32_t *)0xE000ED9Cu = ARES_GUARDED_END;
    *(volatile uint32_t *)0xE000EDA0u = 19u << 1 | 1u; /* 1 MiB, no access, enabled */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}

#else

static void forbid_behind(void)
{
}

#endif

static int is_guarded(void)
{
    forbid_behind();
    return (uintptr_t)ares_bss_end + BLOCK <= (uintptr_t)ARES_GUARDED_END;
}

static uint8_t *block_end(void)
{
    return (uint8_t *)(uintptr_t)ARES_GUARDED_END;
}

#else

static int is_guarded(void)
{
    return 0;
}

static uint8_t *block_end(void)
{
    static uint64_t block[BLOCK / 8 + 1];
    return (uint8_t *)block + BLOCK / 8 * 8;
}

#endif

static void arrange(uint32_t last)
{
    uint8_t *at = block_end();
    nowhere = at;
    for (uint32_t i = 0; i < AREAS; ++i) {
        area *const one = &areas[(last + i) % AREAS];
        const uint32_t bytes = bytes_of[(last + i) % AREAS];
        one->high = at;
        one->end = i == 0 ? at : at - SLACK;
        at = one->end - (bytes + 7u) / 8u * 8u;
        one->begin = at;
        at -= SLACK;
        one->low = at;
    }
}

#endif

/* An array of so many bytes in its area: at the end, at the beginning, or between. */
static uint8_t *place(int which, int32_t bytes, int32_t alignment)
{
    const area *const one = &areas[which];
    const int32_t room = (int32_t)(one->end - one->begin) - bytes;
    const int32_t choice = between(0, 3);
    const int32_t back = choice < 2 ? 0 : choice == 2 ? room : between(0, room < 64 ? room : 64);
    return one->end - bytes - back / alignment * alignment;
}

static uint8_t canary(const uint8_t *at)
{
    return (uint8_t)(0xA5u ^ ((uintptr_t)at & 0xffu));
}

static const uint8_t *low_of(int which, const uint8_t *at)
{
    return at - areas[which].low < SLACK ? areas[which].low : at - SLACK;
}

static const uint8_t *high_of(int which, const uint8_t *end)
{
    return areas[which].high - end < SLACK ? areas[which].high : end + SLACK;
}

/* Fills an array that is to be written, and what lies around it. */
static void paint(int which, uint8_t *at, int32_t bytes)
{
    const uint8_t *const high = high_of(which, at + bytes);
    for (uint8_t *p = (uint8_t *)low_of(which, at); p < high; ++p) {
        *p = canary(p);
    }
}

/* The first byte around an array that is not as painted, as its distance from the array; 0: none. */
static int32_t spilled(int which, const uint8_t *at, int32_t bytes)
{
    const uint8_t *const high = high_of(which, at + bytes);
    for (const uint8_t *p = low_of(which, at); p < high; ++p) {
        if ((p < at || p >= at + bytes) && *p != canary(p)) {
            return p < at ? (int32_t)(p - at) : (int32_t)(p - at) - bytes + 1;
        }
    }
    return 0;
}

/* ---- what the cases must meet ---- */

enum {
    SUM_HIGH,
    SUM_LOW,
    TIE_EVEN,
    TIE_ODD,
    TIE_EVEN_NEGATIVE,
    TIE_ODD_NEGATIVE,
    BESIDE_TIE,
    CUT_LOW,
    CUT_HIGH,
    INSIDE,
    BELOW_STEPS,
    ABOVE_STEPS,
    AT_STEP,
    AT_FAR_STEP,
    STEP_A_BUCKET,
    BEYOND_WORD,
    WIDE_TOTAL,
    SHIFTS_LOW,
    SHIFTS_HIGH,
    SHIFTS_MIXED,
    FACTS
};

static const char *const fact_names[FACTS] = {
    "sum-high",         "sum-low",     "tie-even",   "tie-odd",     "tie-even-negative",
    "tie-odd-negative", "beside-tie",  "cut-low",    "cut-high",    "inside",
    "below-steps",      "above-steps", "at-step",    "at-far-step", "step-a-bucket",
    "beyond-word",      "wide-total",  "shifts-low", "shifts-high", "shifts-mixed"};

static uint32_t reached[FACTS];

/* ---- complaints ---- */

static void wrong(const char *kernel, const char *what, int32_t row, int32_t channel,
                  int64_t expected, int64_t found)
{
    put("wrong ");
    put(kernel);
    put(" ");
    put(what);
    put_fact("row", row);
    put_fact("channel", channel);
    put_fact("expected", expected);
    put_fact("found", found);
    put("\n");
}

static int spill(const char *kernel, int32_t distance)
{
    if (distance == 0) {
        return 0;
    }
    put("wrong ");
    put(kernel);
    put(" wrote beside its result:");
    put_fact("bytes off", distance);
    put("\n");
    return 1;
}

/* ---- codes and weights ---- */

static void fill(uint8_t *at, int32_t bytes, int32_t manner, const uint8_t *extremes, int32_t count)
{
    const uint8_t one = extremes[between(0, count - 1)];
    for (int32_t i = 0; i < bytes; ++i) {
        switch (manner) {
        case 0:
            at[i] = one;
            break;
        case 1:
            at[i] = extremes[between(0, count - 1)];
            break;
        case 2:
            at[i] = one_in(8) ? (uint8_t)(draw() >> 56) : 0u;
            break;
        default:
            at[i] = (uint8_t)(draw() >> 56);
            break;
        }
    }
}

/* Of s8 and u8 alike: -128, 127, 255 and their neighbours. */
static void fill_codes(uint8_t *at, int32_t bytes, int32_t manner)
{
    static const uint8_t extremes[] = {255, 128, 127, 0, 129, 1, 254};
    fill(at, bytes, manner, extremes, manner == 0 ? 3 : 7);
}

static void fill_weights(uint8_t *at, int32_t bytes, int32_t manner)
{
    static const uint8_t extremes[] = {128, 127, 129, 0, 1, 255};
    fill(at, bytes, manner, extremes, manner == 0 ? 2 : 6);
}

static int64_t code_of(uint8_t byte, int is_signed)
{
    return is_signed && byte > 127u ? (int64_t)byte - 256 : (int64_t)byte;
}

static void meet_sum(int64_t sum)
{
    reached[SUM_HIGH] += sum > INT64_C(2000000000);
    reached[SUM_LOW] += sum < INT64_C(-2000000000);
}

/* ---- ares_tile ---- */

typedef void tile_kernel(const ares_tile_rows *, const int8_t *, int32_t, int32_t *);

static int64_t tile_sum(const ares_tile_rows *rows, const uint8_t *panel, int32_t width, int32_t r,
                        int32_t n)
{
    int64_t sum = 0;
    for (int32_t s = 0; s < rows->segments; ++s) {
        for (int32_t i = 0; i < rows->length; ++i) {
            const int32_t quad = s * (rows->length / 4) + i / 4;
            const int64_t w = code_of(panel[(quad * width + n) * 4 + i % 4], 1);
            sum += code_of(rows->x[s * ARES_TILE_ROWS + r][i], rows->is_signed) * w;
        }
    }
    return sum;
}

static int check_tile(tile_kernel *kernel, const char *name, const ares_tile_rows *rows,
                      const uint8_t *panel, int32_t width, int64_t expected[][ARES_PANEL_WIDTH])
{
    const int32_t bytes = rows->rows * ARES_PANEL_WIDTH * 4;
    int32_t *const acc = (int32_t *)(void *)place(ACC, bytes, 4);

    paint(ACC, (uint8_t *)acc, bytes);
    kernel(rows, (const int8_t *)panel, width, acc);
    for (int32_t r = 0; r < rows->rows; ++r) {
        for (int32_t n = 0; n < width; ++n) {
            if (acc[r * ARES_PANEL_WIDTH + n] != expected[r][n]) {
                wrong(name, "sum", r, n, expected[r][n], acc[r * ARES_PANEL_WIDTH + n]);
                return 1;
            }
        }
    }
    return spill(name, spilled(ACC, (uint8_t *)acc, bytes));
}

static void shape_tile(ares_tile_rows *rows, int32_t width)
{
    rows->segments = between(1, one_in(2) ? 3 : ARES_TILE_SEGMENTS);
    rows->length = 4 * between(1, 17);
    if (one_in(12)) {
        rows->length = 4 * between(1, 64);
    }
    if (one_in(40)) { /* sums at their bound */
        const int32_t most = WEIGHTS / width < LONGEST ? WEIGHTS / width : LONGEST;
        rows->length = most / rows->segments / 4 * 4;
    }
}

static int run_tile(uint32_t number)
{
    static int64_t expected[ARES_TILE_ROWS][ARES_PANEL_WIDTH];
    static ares_tile_rows rows;
    const int32_t width = 1 + (int32_t)(number % 16u);
    rows.rows = 1 + (int32_t)(number / 16u % 4u);
    rows.is_signed = (int32_t)(number / 64u % 2u);
    shape_tile(&rows, width);
    put_fact("tile rows", rows.rows);
    put_fact("width", width);
    put_fact("segments", rows.segments);
    put_fact("length", rows.length);
    put(rows.is_signed ? " s8\n" : " u8\n");

    const int is_long = rows.length > 256;
    const int32_t manner = is_long ? 0 : between(0, 5);
    const int32_t panel_bytes = rows.segments * rows.length * width;
    uint8_t *const panel = place(PANEL, panel_bytes, 1);
    fill_weights(panel, panel_bytes, manner);
    for (int32_t i = 0; is_long && i < panel_bytes; ++i) {
        panel[i] = i / 4 % width % 2 == 0 ? 127 : 128;
    }
    for (int32_t i = 0; i < ARES_TILE_SEGMENTS * ARES_TILE_ROWS; ++i) {
        const int32_t r = i % ARES_TILE_ROWS;
        rows.x[i] = nowhere;
        if (r < rows.rows && i / ARES_TILE_ROWS < rows.segments) {
            uint8_t *const x = place(X0 + r, rows.length, 1);
            fill_codes(x, rows.length, manner);
            for (int32_t k = 0; is_long && k < rows.length; ++k) {
                x[k] = rows.is_signed ? 128 : 255; /* the largest there are */
            }
            rows.x[i] = x;
        }
    }
    for (int32_t r = 0; r < rows.rows; ++r) {
        for (int32_t n = 0; n < width; ++n) {
            expected[r][n] = tile_sum(&rows, panel, width, r, n);
            meet_sum(expected[r][n]);
        }
    }
    return check_tile(ares_tile_portable, "ares_tile_portable", &rows, panel, width, expected) ||
           check_tile(ares_tile, "ares_tile", &rows, panel, width, expected);
}

/* ---- ares_depthwise_tile ---- */

typedef void depthwise_kernel(const ares_depthwise_taps *, int32_t, int32_t, int32_t *);

static int check_depthwise(depthwise_kernel *kernel, const char *name,
                           const ares_depthwise_taps *taps, int32_t first, int32_t width,
                           const int64_t *expected)
{
    int32_t *const acc = (int32_t *)(void *)place(ACC, width * 4, 4);

    paint(ACC, (uint8_t *)acc, width * 4);
    kernel(taps, first, width, acc);
    for (int32_t c = 0; c < width; ++c) {
        if (acc[c] != expected[c]) {
            wrong(name, "sum", 0, c, expected[c], acc[c]);
            return 1;
        }
    }
    return spill(name, spilled(ACC, (uint8_t *)acc, width * 4));
}

static int run_depthwise(uint32_t number)
{
    static const uint8_t *x[TAPS + 1];
    static int64_t expected[ARES_DEPTHWISE_WIDTH];
    ares_depthwise_taps taps = {x, 0, 0, NULL, 0};
    const int32_t width = 1 + (int32_t)(number % 64u);
    const int32_t first = one_in(3) ? 0 : between(1, CHANNELS - width);
    taps.channels = first + width + (one_in(3) ? 0 : between(0, CHANNELS - first - width));
    taps.taps = one_in(16) ? between(26, TAPS) : between(1, 25);
    taps.is_signed = (int32_t)(number / 64u % 2u);
    put_fact("depthwise width", width);
    put_fact("first", first);
    put_fact("channels", taps.channels);
    put_fact("taps", taps.taps);
    put(taps.is_signed ? " s8\n" : " u8\n");

    const int32_t manner = between(0, 5);
    /* The last tap has no more weights than the channels that are asked for. */
    const int32_t weights = (taps.taps - 1) * taps.channels + first + width;
    uint8_t *const weight = place(PANEL, weights, 1);
    taps.weight = (const int8_t *)weight;
    fill_weights(weight, weights, manner);
    for (int32_t t = 0; t < taps.taps; ++t) {
        uint8_t *const row = place(X0 + t % 4, first + width, 1);
        fill_codes(row, first + width, manner);
        x[t] = row;
    }
    x[taps.taps] = nowhere;
    for (int32_t c = 0; c < width; ++c) {
        expected[c] = 0;
        for (int32_t t = 0; t < taps.taps; ++t) {
            const int64_t w = code_of(weight[t * taps.channels + first + c], 1);
            expected[c] += code_of(x[t][first + c], taps.is_signed) * w;
        }
    }
    return check_depthwise(ares_depthwise_tile_portable, "ares_depthwise_tile_portable", &taps,
                           first, width, expected) ||
           check_depthwise(ares_depthwise_tile, "ares_depthwise_tile", &taps, first, width,
                           expected);
}

/* ---- ares_requantize ---- */

static const int64_t LIMIT = (INT64_C(1) << 62) + (INT64_C(1) << 60) - 1;

/* Everything of one call but the kernel. */
typedef struct rounding {
    ares_rescale rescale;
    int32_t *multiplier;
    int64_t *offset;
    uint8_t *shift;
    int32_t *acc;
    int32_t first;
    int32_t rows;
    int32_t width;
    int32_t out_step;
    int32_t is_signed;
} rounding;

static int32_t drawn_multiplier(void)
{
    const int32_t sign = one_in(3) ? -1 : 1;
    switch (between(0, 7)) {
    case 0:
        return 0;
    case 1:
        return sign * INT32_MAX;
    case 2:
        return sign * between(1, 3);
    case 3:
        return sign * between(1, INT32_MAX);
    default:
        return sign * between(1 << 30, INT32_MAX); /* as planned: 31 bits */
    }
}

static int32_t drawn_acc(int32_t most)
{
    const int32_t choice = between(0, 7);
    return choice == 0   ? most
           : choice == 1 ? -most
           : choice == 2 ? between(-2, 2)
                         : between(-most, most);
}

static int64_t size_of(int64_t value)
{
    return value < 0 ? -value : value;
}

/* The functions of a case as N5 defines them: what the index in ares_steps must find. */
static int32_t plain_thresholds[TABLE];
static int16_t plain_codes[TABLE + CHANNELS];

/* A value that is a threshold of a channel's function, or beside one. */
static int64_t near_a_step(const rounding *it, int32_t c)
{
    const int32_t count = it->rescale.num_thresholds;
    const int32_t f = it->rescale.step_stride ? c : 0;
    return (int64_t)plain_thresholds[f * count + between(0, count - 1)] + between(-1, 1);
}

/* An offset that puts the first accumulator of a channel on a tie, or a unit beside it; 0 where there is none. */
static int make_tie(rounding *it, int32_t c, int32_t n, int64_t most)
{
    const int32_t shift = it->shift[c];
    const int32_t room = shift < 54 ? 8 : 61 - shift;
    int64_t quotient = between(-(1 << room), 1 << room) + (shift < 54 ? between(0, 255) : 0);
    if (it->rescale.num_thresholds > 0 && shift < 31 && one_in(2)) {
        quotient = near_a_step(it, c);
    }
    int64_t total = quotient * (INT64_C(1) << shift) + (one_in(4) ? between(-1, 1) : 0);
    if (shift > 32 && one_in(3)) {
        /* No tie, though the lower word is that of one. */
        total += INT64_C(1) << between(32, shift - 1);
    }
    const int64_t offset = total - (int64_t)it->acc[n] * it->multiplier[c];
    if (size_of(offset) > LIMIT - most) {
        return 0;
    }
    it->offset[c] = offset;
    /* Neighbours that differ by multiples of the divisor are on ties too. */
    for (int32_t r = 1; r < it->rows && shift < 20; ++r) {
        int32_t *const acc = &it->acc[r * ARES_PANEL_WIDTH + n];
        const int64_t moved = it->acc[n] + (int64_t)between(-3, 3) * (1 << shift);
        *acc = size_of(moved) <= size_of(it->acc[n]) ? (int32_t)moved : it->acc[n];
    }
    return 1;
}

static void draw_offset(rounding *it, int32_t c, int32_t n)
{
    int64_t most = 0;
    for (int32_t r = 0; r < it->rows; ++r) {
        for (int32_t i = 0; i < it->width; ++i) {
            if (i == n || it->rescale.channel_stride == 0) {
                const int64_t acc = it->acc[r * ARES_PANEL_WIDTH + i];
                const int64_t product = size_of(acc * it->multiplier[c]);
                most = product > most ? product : most;
            }
        }
    }
    const int64_t half = INT64_C(1) << (it->shift[c] - 1);
    switch (between(0, 7)) {
    case 0:
        it->offset[c] = LIMIT - most;
        break;
    case 1:
        it->offset[c] = most - LIMIT;
        break;
    case 2:
        it->offset[c] = (int64_t)(draw() >> 1) % (LIMIT - most + 1) * (one_in(2) ? 1 : -1);
        break;
    case 3:
        it->offset[c] = half;
        break;
    default:
        if (!make_tie(it, c, n, most)) {
            it->offset[c] = half <= LIMIT - most ? half : 0;
        }
        break;
    }
}

/* apart: the least distance of thresholds, or 0 where they lie as they like. */
static void draw_function(const rounding *it, int32_t *thresholds, int16_t *codes, int32_t count,
                          int32_t apart)
{
    int64_t at = one_in(4) ? INT32_MIN + 1 : between(-300, 100) - (int64_t)apart * count;
    at = at <= INT32_MIN ? INT32_MIN + 1 : at;
    for (int32_t i = 0; i < count; ++i) {
        thresholds[i] = at > INT32_MAX ? INT32_MAX : (int32_t)at;
        if (apart > 0) {
            at += apart + between(0, apart);
        } else {
            at += at < -1000 ? INT64_C(2147483648) - 300 : between(0, one_in(16) ? 900 : 4);
        }
    }
    if (count > 1 && one_in(4)) {
        thresholds[count - 1] = INT32_MAX;
    }
    for (int32_t i = 0; i <= count; ++i) {
        codes[i] = (int16_t)between(it->is_signed ? -128 : 0, it->is_signed ? 127 : 255);
    }
}

static int32_t number_below(const int32_t *thresholds, int32_t count, int64_t value)
{
    int32_t number = 0;
    for (int32_t i = 0; i < count; ++i) {
        number += thresholds[i] <= value;
    }
    return number;
}

/* Where the arrays of the next function lie. */
typedef struct step_memory {
    int32_t *thresholds;
    uint8_t *codes;
    uint8_t *starts;
} step_memory;

/* How many thresholds of a bucket's own there are at most. */
static int32_t most_in_bucket(const int32_t *thresholds, int32_t count, const ares_steps *steps)
{
    const int64_t width = INT64_C(1) << steps->bits;
    int32_t most = 0;
    for (int64_t begin = steps->below; begin <= steps->last; begin += width) {
        const int64_t end = begin + width - 1 < steps->last ? begin + width - 1 : steps->last;
        const int32_t own =
            number_below(thresholds, count, end) - number_below(thresholds, count, begin);
        most = own > most ? own : most;
    }
    return most;
}

/* The index of a function, with at most so many buckets; memory moves behind it. */
static void make_index(ares_steps *steps, const int32_t *thresholds, const int16_t *codes,
                       int32_t count, int32_t buckets, step_memory *memory)
{
    int32_t searched = 0;
    steps->below = thresholds[0] - 1;
    steps->last = thresholds[count - 1];
    steps->bits = 0;
    while (((int64_t)steps->last - steps->below) >> steps->bits >= buckets) {
        ++steps->bits;
    }
    const int32_t most = most_in_bucket(thresholds, count, steps);
    while (searched < most) {
        searched = 2 * searched + 1;
    }
    steps->half = (searched + 1) / 2;
    steps->thresholds = memory->thresholds;
    steps->codes = memory->codes;
    steps->starts = memory->starts;
    const int32_t filled = searched > count ? searched : count;
    for (int32_t i = 0; i < filled; ++i) {
        *memory->thresholds++ = i < count ? thresholds[i] : INT32_MAX;
    }
    for (int32_t i = 0; i <= filled; ++i) {
        *memory->codes++ = (uint8_t)((uint32_t)codes[i < count ? i : count] & 0xffu);
    }
    for (int64_t begin = steps->below; begin <= steps->last; begin += INT64_C(1) << steps->bits) {
        const int32_t start = number_below(thresholds, count, begin);
        *memory->starts++ = (uint8_t)(start < filled - searched ? start : filled - searched);
    }
}

static void draw_steps(rounding *it, int32_t channels)
{
    ares_rescale *const rescale = &it->rescale;
    const int32_t functions = rescale->step_stride ? channels : 1;
    const int32_t count = rescale->step_stride ? between(1, 20) : between(1, STEPS);
    /* As planned: a fine grid, and one threshold a bucket most often. */
    const int32_t apart = one_in(2) ? between(1, 1 << between(0, 24)) : 0;
    const int32_t buckets =
        apart > 0 && !rescale->step_stride ? 512 : between(2, rescale->step_stride ? 32 : 512);
    ares_steps *const steps =
        (ares_steps *)(void *)place(FUNCTIONS, functions * (int32_t)sizeof *steps, 8);
    static int32_t thresholds[TABLE];
    static uint8_t codes[TABLE + CHANNELS];
    static uint8_t starts[TABLE];
    step_memory memory = {thresholds, codes, starts};
    for (int32_t f = 0; f < functions; ++f) {
        int32_t *const own = &plain_thresholds[f * count];
        int16_t *const own_codes = &plain_codes[f * (count + 1)];
        draw_function(it, own, own_codes, count, apart);
        make_index(&steps[f], own, own_codes, count, buckets, &memory);
    }
    /* Known only now is how long the arrays are: to where nothing may be read behind them. */
    const int32_t bytes[3] = {(int32_t)(memory.thresholds - thresholds) * 4,
                              (int32_t)(memory.codes - codes), (int32_t)(memory.starts - starts)};
    uint8_t *const moved[3] = {place(THRESHOLDS, bytes[0], 4), place(CODES, bytes[1], 1),
                               place(STARTS, bytes[2], 1)};
    memcpy(moved[0], thresholds, (size_t)bytes[0]);
    memcpy(moved[1], codes, (size_t)bytes[1]);
    memcpy(moved[2], starts, (size_t)bytes[2]);
    for (int32_t f = 0; f < functions; ++f) {
        steps[f].thresholds =
            (const int32_t *)(const void *)moved[0] + (steps[f].thresholds - thresholds);
        steps[f].codes = moved[1] + (steps[f].codes - codes);
        steps[f].starts = moved[2] + (steps[f].starts - starts);
    }
    rescale->steps = steps;
    rescale->num_thresholds = count;
    if (!rescale->step_stride) {
        reached[STEP_A_BUCKET] += steps->half == 1 && steps->bits > 16;
        rescale->lo = steps->below;
        rescale->hi = steps->last;
    }
}

static void draw_bounds(rounding *it)
{
    const int32_t least = it->is_signed ? -128 : 0;
    const int32_t most = it->is_signed ? 127 : 255;
    it->rescale.lo = one_in(3) ? between(least, most) : least;
    it->rescale.hi = one_in(3) ? between(it->rescale.lo, most) : most;
}

static void draw_shifts(rounding *it, int32_t count)
{
    /* Grids of functions are fine: their shifts are small. */
    const int32_t manner = it->rescale.num_thresholds > 0 && one_in(2) ? 5 : between(0, 4);
    int is_low = 0;
    int is_high = 0;
    for (int32_t c = 0; c < count; ++c) {
        static const int32_t least_of[] = {1, 1, 32, 30, 30, 1};
        static const int32_t most_of[] = {61, 31, 61, 45, 45, 30};
        const int32_t least = least_of[manner];
        const int32_t most = most_of[manner];
        const int32_t shift = between(least, most);
        it->shift[c] = (uint8_t)shift;
        is_low |= shift < 32;
        is_high |= shift >= 32;
    }
    ++reached[is_low && is_high ? SHIFTS_MIXED : is_low ? SHIFTS_LOW : SHIFTS_HIGH];
}

/* Rounded half to even, by division; what was met on the way. */
static int64_t rounded(int64_t total, int32_t shift)
{
    const int64_t divisor = INT64_C(1) << shift;
    const int64_t value = total - divisor / 2;
    int64_t quotient = value / divisor;
    int64_t rest = value % divisor;
    if (rest < 0) {
        rest += divisor;
        --quotient;
    }
    const int is_odd = quotient % 2 != 0;
    const int64_t twice = rest * 2;
    if (twice == divisor) {
        ++reached[quotient < 0 ? (is_odd ? TIE_ODD_NEGATIVE : TIE_EVEN_NEGATIVE)
                               : (is_odd ? TIE_ODD : TIE_EVEN)];
    } else if (shift > 1 && (rest == divisor / 2 - 1 || rest == divisor / 2 + 1)) {
        ++reached[BESIDE_TIE];
    }
    reached[WIDE_TOTAL] += total > (INT64_C(1) << 62) || total < -(INT64_C(1) << 62);
    return twice > divisor || (twice == divisor && is_odd) ? quotient + 1 : quotient;
}

static int64_t expected_code(const rounding *it, int64_t acc, int32_t n)
{
    const ares_rescale *const rescale = &it->rescale;
    const int32_t channel = it->first + n;
    const int32_t c = rescale->channel_stride ? channel : 0;
    const int64_t value = rounded(acc * it->multiplier[c] + it->offset[c], it->shift[c]);
    reached[BEYOND_WORD] += it->shift[c] < 32 && (value > INT32_MAX || value < INT32_MIN);
    if (rescale->num_thresholds > 0) {
        const int32_t f = rescale->step_stride ? channel : 0;
        const int32_t count = rescale->num_thresholds;
        int32_t passed = 0;
        for (int32_t i = 0; i < count; ++i) {
            passed += plain_thresholds[f * count + i] <= value;
            const uint32_t is_at = plain_thresholds[f * count + i] == value;
            reached[AT_STEP] += is_at;
            reached[AT_FAR_STEP] += is_at != 0 && size_of(value) > 1 << 24;
        }
        reached[BELOW_STEPS] += passed == 0;
        reached[ABOVE_STEPS] += passed == count;
        return plain_codes[f * (count + 1) + passed];
    }
    ++reached[value < rescale->lo ? CUT_LOW : value > rescale->hi ? CUT_HIGH : INSIDE];
    return value < rescale->lo ? rescale->lo : value > rescale->hi ? rescale->hi : value;
}

typedef void requantize_kernel(const ares_rescale *, int32_t, const int32_t *, int32_t, int32_t,
                               uint8_t *, int32_t);

static int check_requantize(requantize_kernel *kernel, const char *name, const rounding *it,
                            int16_t expected[][ARES_DEPTHWISE_WIDTH])
{
    const int32_t bytes = (it->rows - 1) * it->out_step + it->width;
    uint8_t *const out = place(OUT, bytes, 1);

    paint(OUT, out, bytes);
    kernel(&it->rescale, it->first, it->acc, it->rows, it->width, out, it->out_step);
    for (int32_t r = 0; r < it->rows; ++r) {
        for (int32_t n = 0; n < it->width; ++n) {
            const int64_t found = code_of(out[r * it->out_step + n], it->is_signed);
            if (found != expected[r][n]) {
                wrong(name, "code", r, n, expected[r][n], found);
                return 1;
            }
        }
        for (int32_t n = it->width; r + 1 < it->rows && n < it->out_step; ++n) {
            if (out[r * it->out_step + n] != canary(&out[r * it->out_step + n])) {
                return spill(name, n - it->width + 1);
            }
        }
    }
    return spill(name, spilled(OUT, out, bytes));
}

/* A multiplier with which sums go from one end of a function that all channels share to the other; 0 where there is none. */
static int32_t fitted_multiplier(const rounding *it, int32_t c)
{
    const ares_rescale *const rescale = &it->rescale;
    int64_t most = 1;
    for (int32_t n = 0; n < it->width; ++n) {
        most = size_of(it->acc[n]) > most ? size_of(it->acc[n]) : most;
    }
    if (rescale->num_thresholds == 0 || rescale->step_stride || it->shift[c] > 29) {
        return 0;
    }
    const int64_t reach = (int64_t)rescale->hi - rescale->lo + 1;
    const int64_t fitted = reach * (INT64_C(1) << it->shift[c]) / most;
    return (fitted > INT32_MAX ? INT32_MAX : (int32_t)fitted) * (one_in(3) ? -1 : 1);
}

/* Constants for the channels first to first + width - 1, whose sums are known. */
static void draw_constants(rounding *it)
{
    it->is_signed = between(0, 1);
    it->rescale.channel_stride = one_in(4) ? 0 : 1;
    it->rescale.step_stride = 0;
    it->rescale.num_thresholds = 0;
    it->rescale.steps = NULL;
    const int32_t channels = it->first + it->width;
    const int32_t count = it->rescale.channel_stride ? channels : 1;

    draw_bounds(it);
    if (one_in(4)) {
        it->rescale.step_stride = one_in(3);
        draw_steps(it, channels);
    }
    it->multiplier = (int32_t *)(void *)place(MULTIPLIER, count * 4, 4);
    it->offset = (int64_t *)(void *)place(OFFSET, count * 8, 8);
    it->shift = place(SHIFT, count, 1);
    draw_shifts(it, count);
    for (int32_t c = 0; c < count; ++c) {
        const int is_used = count == 1 || c >= it->first;
        it->multiplier[c] = one_in(2) ? fitted_multiplier(it, c) : 0;
        it->multiplier[c] = it->multiplier[c] != 0 ? it->multiplier[c] : drawn_multiplier();
        it->offset[c] = 0;
        if (is_used) {
            draw_offset(it, c, count == 1 ? 0 : c - it->first);
        }
    }
    it->rescale.multiplier = it->multiplier;
    it->rescale.offset = it->offset;
    it->rescale.shift = it->shift;
}

static int run_requantize(uint32_t number)
{
    static int16_t expected[ARES_TILE_ROWS][ARES_DEPTHWISE_WIDTH];
    static rounding it;
    const int is_wide = one_in(3);
    it.rows = is_wide ? 1 : 1 + (int32_t)(number / 16u % 4u);
    it.width = is_wide ? between(1, ARES_DEPTHWISE_WIDTH) : 1 + (int32_t)(number % 16u);
    it.first = one_in(3) ? 0 : between(1, CHANNELS - it.width);
    it.out_step = it.width + (one_in(2) ? 0 : between(1, 40));
    const int32_t sums = (it.rows - 1) * ARES_PANEL_WIDTH + it.width;
    const int32_t most = one_in(3) ? INT32_MAX : one_in(3) ? 1000 : 4000000;
    it.acc = (int32_t *)(void *)place(ACC, sums * 4, 4);
    for (int32_t i = 0; i < sums; ++i) {
        it.acc[i] = i % ARES_PANEL_WIDTH < it.width ? drawn_acc(most) : INT32_MIN;
    }
    draw_constants(&it);
    put_fact("requantize rows", it.rows);
    put_fact("width", it.width);
    put_fact("first", it.first);
    put_fact("out_step", it.out_step);
    put_fact("channel_stride", it.rescale.channel_stride);
    put_fact("step_stride", it.rescale.step_stride);
    put_fact("thresholds", it.rescale.num_thresholds);
    put_fact("lo", it.rescale.lo);
    put_fact("hi", it.rescale.hi);
    put("\n");
    for (int32_t r = 0; r < it.rows; ++r) {
        for (int32_t n = 0; n < it.width; ++n) {
            expected[r][n] = (int16_t)expected_code(&it, it.acc[r * ARES_PANEL_WIDTH + n], n);
        }
    }
    return check_requantize(ares_requantize_portable, "ares_requantize_portable", &it, expected) ||
           check_requantize(ares_requantize, "ares_requantize", &it, expected);
}

/* ---- ares_add_some ---- */

static int64_t drawn_offset(int32_t shift, int64_t most, int64_t first)
{
    const int64_t room = (INT64_C(1) << 62) - 1 - most;
    const int64_t half = INT64_C(1) << (shift - 1);
    int64_t offset = half;
    switch (between(0, 4)) {
    case 0: /* what words hold, or a unit more */
        offset = (INT64_C(1) << 47) - 1 - most + between(-1, 1);
        break;
    case 1:
        offset = room;
        break;
    case 2: /* a tie of the first element, or a unit beside it */
        offset = (shift < 53 ? between(-400, 400) : between(-1, 1)) * (2 * half) - first +
                 (one_in(4) ? between(-1, 1) : 0);
        break;
    default:
        break;
    }
    if (size_of(offset) > room) {
        offset = half <= room ? half : 0;
    }
    return offset;
}

/* Whether vectors without 64 bits must do it, and not leave it to the kernel's own loop. */
static int must_add(const ares_add_params *p, int64_t most)
{
#if defined(ARES_MICRO_MVE) || defined(ARES_MICRO_NEON)
    const int32_t shift = p->rescale.shift[0];
    const int64_t flipped = (INT64_C(1) << 47) - 1 - 2 * most;
    return shift >= 16 && shift <= 47 && size_of(p->rescale.offset[0]) <= flipped;
#else
    (void)p;
    (void)most;
    return 0;
#endif
}

static int run_add(uint32_t number)
{
    static int16_t expected[320];
    static rounding it;
    ares_add_params p = {1, 0, 0, 0, 0, 0, {0}};
    p.count = one_in(3) ? between(1, 320) : 1 + (int32_t)(number % 48u);
    p.input0_signed = (int32_t)(number / 48u % 2u);
    p.input1_signed = (int32_t)(number / 96u % 2u);
    it.is_signed = between(0, 1);
    draw_bounds(&it);
    it.offset = (int64_t *)(void *)place(OFFSET, 8, 8);
    it.shift = place(SHIFT, 1, 1);
    const int32_t shift = one_in(4) ? between(1, 61) : between(14, 49);
    const int has_ties = shift <= 30 && one_in(3);
    p.coefficient0 = has_ties ? between(-3, 3) * (1 << (shift - 1)) : drawn_multiplier();
    p.coefficient1 = has_ties ? between(-3, 3) * (1 << (shift - 1)) : drawn_multiplier();
    const int64_t a0 = p.coefficient0;
    const int64_t a1 = p.coefficient1;
    const int64_t most = 255 * (size_of(a0) + size_of(a1));
    const int32_t manner = between(0, 5);
    uint8_t *const out = place(OUT, p.count, 1);
    uint8_t *const other = place(X0, p.count, 1);
    uint8_t *const one = place(X1, p.count, 1);
    const int alias = between(0, 5); /* out may be the first or second input, or these one */
    uint8_t *const in0 = alias == 0 ? out : one;
    uint8_t *const in1 = alias == 1 ? out : alias == 2 ? in0 : other;
    paint(OUT, out, p.count);
    fill_codes(in0, p.count, manner);
    fill_codes(in1, p.count, manner);
    it.shift[0] = (uint8_t)shift;
    it.offset[0] = drawn_offset(
        shift, most, a0 * code_of(in0[0], p.input0_signed) + a1 * code_of(in1[0], p.input1_signed));
    it.rescale.multiplier = NULL;
    it.rescale.offset = it.offset;
    it.rescale.shift = it.shift;
    it.rescale.steps = NULL;
    it.rescale.channel_stride = 0;
    it.rescale.step_stride = 0;
    it.rescale.num_thresholds = 0;
    p.rescale = it.rescale;
    put_fact("add count", p.count);
    put_fact("shift", shift);
    put_fact("coefficient0", p.coefficient0);
    put_fact("coefficient1", p.coefficient1);
    put_fact("offset", it.offset[0]);
    put_fact("alias", alias);
    put(p.input0_signed ? " s8" : " u8");
    put(p.input1_signed ? " s8\n" : " u8\n");
    for (int32_t i = 0; i < p.count; ++i) {
        const int64_t total = a0 * code_of(in0[i], p.input0_signed) +
                              a1 * code_of(in1[i], p.input1_signed) + it.offset[0];
        const int64_t value = rounded(total, shift);
        expected[i] = (int16_t)(value < p.rescale.lo   ? p.rescale.lo
                                : value > p.rescale.hi ? p.rescale.hi
                                                       : value);
    }
    const int32_t done = ares_add_some(&p, in0, in1, out);
    if (done < (must_add(&p, most) ? p.count - p.count % 16 : 0) || done > p.count) {
        wrong("ares_add_some", "number", 0, 0, p.count, done);
        return 1;
    }
    for (int32_t i = 0; i < done; ++i) {
        const int64_t found = code_of(out[i], it.is_signed);
        if (found != expected[i]) {
            wrong("ares_add_some", "code", 0, i, expected[i], found);
            return 1;
        }
    }
    for (int32_t i = done; i < p.count && alias > 1; ++i) {
        if (out[i] != canary(&out[i])) {
            return spill("ares_add_some", i - done + 1);
        }
    }
    return spill("ares_add_some", spilled(OUT, out, p.count));
}

/* ---- runs: sums and codes in one ---- */

enum { POSITIONS = 24 };

static int64_t run_sums[POSITIONS][ARES_DEPTHWISE_WIDTH];

/* Constants for a run, by the sums that are largest; the codes that it must give. */
static void draw_run(rounding *it, int32_t positions, int16_t expected[][ARES_DEPTHWISE_WIDTH])
{
    it->rows = 1;
    it->acc = (int32_t *)(void *)place(ACC, it->width * 4, 4);
    for (int32_t n = 0; n < it->width; ++n) {
        it->acc[n] = (int32_t)run_sums[0][n];
        for (int32_t i = 1; i < positions; ++i) {
            if (size_of(run_sums[i][n]) > size_of(it->acc[n])) {
                it->acc[n] = (int32_t)run_sums[i][n];
            }
        }
    }
    draw_constants(it);
    for (int32_t i = 0; i < positions; ++i) {
        for (int32_t n = 0; n < it->width; ++n) {
            expected[i][n] = (int16_t)expected_code(it, run_sums[i][n], n);
        }
    }
}

/* The codes of a run, and what lies between and around them. */
static int check_run(const char *name, const rounding *it, int32_t positions, const uint8_t *out,
                     int16_t expected[][ARES_DEPTHWISE_WIDTH])
{
    for (int32_t i = 0; i < positions; ++i) {
        const uint8_t *const row = out + i * it->out_step;
        for (int32_t n = 0; n < it->width; ++n) {
            const int64_t found = code_of(row[n], it->is_signed);
            if (found != expected[i][n]) {
                wrong(name, "code", i, n, expected[i][n], found);
                return 1;
            }
        }
        for (int32_t n = it->width; i + 1 < positions && n < it->out_step; ++n) {
            if (row[n] != canary(&row[n])) {
                return spill(name, n - it->width + 1);
            }
        }
    }
    return spill(name, spilled(OUT, out, (positions - 1) * it->out_step + it->width));
}

static int run_positions(uint32_t number)
{
    static const uint8_t *x[TAPS + 1];
    static const uint8_t *start[TAPS];
    static int16_t expected[POSITIONS][ARES_DEPTHWISE_WIDTH];
    static rounding it;
    static ares_depthwise_block block;
    ares_depthwise_taps taps = {x, 0, 0, NULL, 0};
    ares_depthwise_run run = {1, 0, 0, 0};
    it.width = 1 + (int32_t)(number % 64u);
    it.first = one_in(3) ? 0 : between(1, CHANNELS - it.width);
    taps.channels =
        it.first + it.width + (one_in(3) ? 0 : between(0, CHANNELS - it.first - it.width));
    taps.taps = one_in(16) ? between(26, TAPS) : between(1, 25);
    taps.is_signed = (int32_t)(number / 64u % 2u);
    it.out_step = taps.channels;
    run.positions = between(1, POSITIONS);
    run.step = between(1, 3) * taps.channels;
    run.first = one_in(2) ? 0 : between(0, taps.taps);
    run.end = one_in(2) ? taps.taps : between(run.first, taps.taps);
    put_fact("positions width", it.width);
    put_fact("first", it.first);
    put_fact("channels", taps.channels);
    put_fact("taps", taps.taps);
    put_fact("positions", run.positions);
    put_fact("step", run.step);
    put_fact("from", run.first);
    put_fact("to", run.end);
    put(taps.is_signed ? " s8\n" : " u8\n");

    const int32_t manner = between(0, 5);
    const int zero = between(0, 255); /* the zero point, of all channels */
    const int32_t weights = (taps.taps - 1) * taps.channels + it.first + it.width;
    uint8_t *const weight = place(PANEL, weights, 1);
    taps.weight = (const int8_t *)weight;
    fill_weights(weight, weights, manner);
    for (int32_t t = 0; t < taps.taps; ++t) {
        const int moves = t >= run.first && t < run.end;
        const int32_t bytes = it.first + it.width + (moves ? (run.positions - 1) * run.step : 0);
        uint8_t *const row = place(moves ? X0 + t % 3 : X3, bytes, 1);
        if (moves) {
            fill_codes(row, bytes, manner);
        } else {
            memset(row, zero, (size_t)bytes);
        }
        start[t] = row;
    }
    for (int32_t i = 0; i < run.positions; ++i) {
        for (int32_t c = 0; c < it.width; ++c) {
            run_sums[i][c] = 0;
            for (int32_t t = 0; t < taps.taps; ++t) {
                const int moves = t >= run.first && t < run.end;
                const uint8_t *const at = start[t] + (moves ? i * run.step : 0);
                const int64_t w = code_of(weight[t * taps.channels + it.first + c], 1);
                run_sums[i][c] += code_of(at[it.first + c], taps.is_signed) * w;
            }
        }
    }
    draw_run(&it, run.positions, expected);
    const int32_t bytes = (run.positions - 1) * it.out_step + it.width;
    uint8_t *const out = place(OUT, bytes, 1);
    paint(OUT, out, bytes);
    for (int32_t t = 0; t < taps.taps; ++t) {
        x[t] = start[t];
    }
    x[taps.taps] = nowhere;
    block.taps = &taps;
    block.rescale = &it.rescale;
    block.first = it.first;
    block.width = it.width;
    ares_depthwise_prepare(&block);
    ares_depthwise_positions(&block, &run, x, out);
    return check_run("ares_depthwise_positions", &it, run.positions, out, expected);
}

static int run_panels(uint32_t number)
{
    static ares_tile_run run;
    static int16_t expected[POSITIONS][ARES_DEPTHWISE_WIDTH];
    static rounding it;
    it.width = 1 + (int32_t)(number % 64u);
    it.first = one_in(3) ? 0 : between(1, CHANNELS - it.width);
    it.out_step = it.width + (one_in(2) ? 0 : between(1, 40));
    run.is_signed = (int32_t)(number / 64u % 2u);
    run.positions = one_in(2) ? POSITIONS : between(1, POSITIONS);
    run.segments = between(1, one_in(2) ? 3 : ARES_TILE_SEGMENTS);
    run.length = 4 * between(1, 17);
    run.step = between(1, 3) * between(1, run.length);
    run.first = one_in(2) ? 0 : between(0, run.segments);
    run.end = one_in(2) ? run.segments : between(run.first, run.segments);
    put_fact("panels channels", it.width);
    put_fact("first", it.first);
    put_fact("positions", run.positions);
    put_fact("segments", run.segments);
    put_fact("length", run.length);
    put_fact("step", run.step);
    put_fact("from", run.first);
    put_fact("to", run.end);
    put_fact("out_step", it.out_step);
    put(run.is_signed ? " s8\n" : " u8\n");
    if (!ares_has_runs()) {
        return 0;
    }
    const int32_t manner = between(0, 5);
    const int32_t row_bytes = run.segments * run.length;
    uint8_t *const panels = place(PANEL, row_bytes * it.width, 1);
    fill_weights(panels, row_bytes * it.width, manner);
    for (int32_t s = 0; s < ARES_TILE_SEGMENTS; ++s) {
        run.x[s] = nowhere;
        if (s < run.segments) {
            const int moves = s >= run.first && s < run.end;
            const int32_t bytes = run.length + (moves ? (run.positions - 1) * run.step : 0);
            uint8_t *const x = place(X0 + s % 4, bytes, 1);
            fill_codes(x, bytes, manner);
            run.x[s] = x;
        }
    }
    for (int32_t i = 0; i < run.positions; ++i) {
        ares_tile_rows row;
        row.segments = run.segments;
        row.length = run.length;
        row.is_signed = run.is_signed;
        for (int32_t s = 0; s < run.segments; ++s) {
            const int moves = s >= run.first && s < run.end;
            row.x[s * ARES_TILE_ROWS] = run.x[s] + (moves ? i * run.step : 0);
        }
        for (int32_t n = 0; n < it.width; ++n) {
            const int32_t begin = n / ARES_PANEL_WIDTH * ARES_PANEL_WIDTH;
            const int32_t left = it.width - begin;
            const int32_t width = left < ARES_PANEL_WIDTH ? left : ARES_PANEL_WIDTH;
            run_sums[i][n] = tile_sum(&row, panels + begin * row_bytes, width, 0, n - begin);
        }
    }
    draw_run(&it, run.positions, expected);
    const int32_t bytes = (run.positions - 1) * it.out_step + it.width;
    uint8_t *const out = place(OUT, bytes, 1);
    paint(OUT, out, bytes);
    ares_run_panels(&run, (const int8_t *)panels, &it.rescale, it.first, it.width, out,
                    it.out_step);
    return check_run("ares_run_panels", &it, run.positions, out, expected);
}

/* ---- all ---- */

int main(int argc, char **argv)
{
    enum { KINDS = 6 };
    static int (*const runs[KINDS])(uint32_t) = {run_tile,      run_depthwise, run_requantize,
                                                 run_positions, run_panels,    run_add};
    uint32_t seed;
    uint32_t first;
    uint32_t count;

    if (argc != 4 || !read_number(argv[1], &seed) || !read_number(argv[2], &first) ||
        !read_number(argv[3], &count)) {
        put("usage: micro_check SEED FIRST COUNT\n");
        return 2;
    }
    put(is_guarded() ? "memory guarded\n" : "memory open\n");
    for (uint32_t number = first; number < first + count; ++number) {
        state = ((uint64_t)seed << 32) + number;
        arrange((uint32_t)between(0, AREAS - 1));
        put("case ");
        put_number(number);
        if (runs[number % KINDS](number / KINDS)) {
            return 1;
        }
    }
    for (int i = 0; i < FACTS; ++i) {
        put("reached");
        put_fact(fact_names[i], reached[i]);
        put("\n");
    }
    put("end ");
    put_number(count);
    put(" ");
    put(ares_instruction_set());
    put("\n");
    return 0;
}
