/*
 * Runs runtime/inc/numerics.h, and the kernels that are a clause of docs/numerics.md by themselves, over the
 * files of tests/numerics/vectors: vector_check FOLDER.
 *
 * Prints `FILE: N checks` for each file, or `FILE:LINE: expected E, found F` for the first value that
 * differs, and then exits with 1. The format is described in make_vectors.py.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dot.h"
#include "linear_fp32.h"
#include "lookup.h"
#include "numerics.h"
#include "quantize_f32.h"
#include "wide.h"

#define MAX_NUMBERS 1024
#define MAX_DOT 70000
#define MAX_CHANNELS 16
#define MAX_STEPS 4
#define MAX_POINTS 16
#define MAX_BUCKETS 512

/* One line of a file. Hexadecimal numbers are bit patterns, decimal ones are signed. */
typedef struct record {
    char word[16];
    int count;
    int64_t number[MAX_NUMBERS];
} record;

static const char *file_name;
static int line_number;
static long checks;

static void fail(const char *what)
{
    printf("%s:%d: %s\n", file_name, line_number, what);
    exit(1);
}

static void expect(int64_t expected, int64_t found)
{
    ++checks;
    if (expected != found) {
        printf("%s:%d: expected %" PRId64 ", found %" PRId64 "\n", file_name, line_number, expected,
               found);
        exit(1);
    }
}

static void expect_digest(int64_t expected, uint64_t state)
{
    int64_t found;
    memcpy(&found, &state, sizeof found);
    expect(expected, found);
}

static uint64_t digest(uint64_t state, int64_t value)
{
    return (state ^ (uint64_t)value) * UINT64_C(0x100000001b3);
}

static const uint64_t DIGEST_START = UINT64_C(0xcbf29ce484222325);

static float float_of(int64_t bits)
{
    const uint32_t pattern = (uint32_t)bits;
    float value;
    memcpy(&value, &pattern, sizeof value);
    return value;
}

static uint32_t bits_of(float value)
{
    uint32_t pattern;
    memcpy(&pattern, &value, sizeof pattern);
    return pattern;
}

/* A table of steps with the arrays of its index, with room for comparisons past the last threshold. */
typedef struct step_table {
    int32_t thresholds[2 * MAX_NUMBERS];
    uint8_t codes[2 * MAX_NUMBERS];
    uint8_t starts[MAX_BUCKETS];
    int is_signed;
} step_table;

static int32_t at_or_below(const step_table *table, int32_t count, int64_t value)
{
    int32_t found = 0;
    while (found < count && table->thresholds[found] <= value) {
        ++found;
    }
    return found;
}

/* thresholds, then codes, at n. */
static void fill_table(step_table *table, const int64_t *n, int32_t count)
{
    table->is_signed = 0;
    for (int32_t i = 0; i < 2 * MAX_NUMBERS; ++i) {
        const int64_t code = n[count + (i < count ? i : count)];
        table->thresholds[i] = i < count ? (int32_t)n[i] : INT32_MAX;
        table->codes[i] = ares_code_byte((int32_t)code);
        table->is_signed |= code < 0;
    }
}

/* The index with buckets of 2^bits values; 0 when they are too many. */
static int index_table(ares_steps *steps, step_table *table, int32_t count, int32_t bits)
{
    const int64_t below = (int64_t)table->thresholds[0] - 1;
    const int64_t last = table->thresholds[count - 1];
    const int64_t buckets = ((last - below) >> bits) + 1;
    int32_t most = 0;
    if (buckets > MAX_BUCKETS) {
        return 0;
    }
    for (int32_t i = 0; i < (int32_t)buckets; ++i) {
        const int64_t begin = below + i * ((int64_t)1 << bits);
        const int32_t start = at_or_below(table, count, begin);
        const int32_t end = at_or_below(table, count, begin + ((int64_t)1 << bits) - 1);
        table->starts[i] = (uint8_t)(start < 255 ? start : 255);
        most = end - table->starts[i] > most ? end - table->starts[i] : most;
    }
    steps->thresholds = table->thresholds;
    steps->codes = table->codes;
    steps->starts = table->starts;
    steps->below = (int32_t)below;
    steps->last = (int32_t)last;
    steps->bits = bits;
    steps->half = 0;
    for (int32_t searched = 0; searched < most; searched = 2 * searched + 1) {
        steps->half = searched + 1;
    }
    return 1;
}

/* A rescale for one channel, its arrays inside. */
typedef struct single {
    int32_t multiplier;
    int64_t offset;
    uint8_t shift;
    step_table table;
    ares_steps steps;
    ares_rescale rescale;
} single;

static single one;

/* B as the runtime keeps it: with half of the divisor. */
static int64_t raised(int64_t offset, int64_t shift)
{
    return offset + ((int64_t)1 << (shift - 1));
}

static void set_rescale(int64_t multiplier, int64_t offset, int64_t shift, int64_t lo, int64_t hi)
{
    one.multiplier = (int32_t)multiplier;
    one.offset = raised(offset, shift);
    one.shift = (uint8_t)shift;
    one.rescale.multiplier = &one.multiplier;
    one.rescale.offset = &one.offset;
    one.rescale.shift = &one.shift;
    one.rescale.steps = NULL;
    one.rescale.channel_stride = 0;
    one.rescale.step_stride = 0;
    one.rescale.num_thresholds = 0;
    one.rescale.lo = (int32_t)lo;
    one.rescale.hi = (int32_t)hi;
}

/* N1 */
static void round_shift(const record *r)
{
    const int64_t *const n = r->number;
    if (strcmp(r->word, "dense") == 0) {
        uint64_t state = DIGEST_START;
        for (int64_t i = 0; i < n[2]; ++i) {
            state = digest(state, ares_round_shift(n[1] + i, (int32_t)n[0]));
        }
        expect_digest(n[3], state);
    } else {
        expect(n[2], ares_round_shift(n[1], (int32_t)n[0]));
    }
}

/* N2 */
static void dot(const record *r)
{
    static uint8_t x[MAX_DOT];
    static int8_t w[MAX_DOT];
    const int64_t *const n = r->number;
    const int is_drawn = strcmp(r->word, "drawn") == 0;
    const int64_t count = n[r->count - 2];
    uint64_t state = (uint64_t)n[2];
    for (int64_t i = 0; i < count; ++i) {
        if (is_drawn) {
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            x[i] = (uint8_t)(state >> 56);
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            w[i] = (int8_t)ares_load_code(&(uint8_t){(uint8_t)(state >> 56)}, 0, 1);
        } else {
            x[i] = ares_code_byte((int32_t)n[2]);
            w[i] = (int8_t)n[3];
        }
    }
    expect(n[r->count - 1], ares_dot(x, (int32_t)n[0], w, (int32_t)count, (int32_t)n[1]));
}

/* N3, N4 */
static void rescale(const record *r)
{
    const int64_t *const n = r->number;
    if (strcmp(r->word, "case") == 0) {
        set_rescale(n[0], n[1], n[2], n[3], n[4]);
    } else if (strcmp(r->word, "dense") == 0) {
        uint64_t state = DIGEST_START;
        for (int64_t i = 0; i < n[1]; ++i) {
            state = digest(state, ares_rescale_apply(&one.rescale, (int32_t)(n[0] + i), 0));
        }
        expect_digest(n[2], state);
    } else {
        expect(n[1], ares_rescale_apply(&one.rescale, (int32_t)n[0], 0));
        expect(n[2], ares_rescale_apply(&one.rescale, (int32_t)n[0] + 1, 0));
    }
}

static int32_t code_of(const step_table *table, int32_t byte)
{
    const uint8_t stored = ares_code_byte(byte);
    return ares_load_code(&stored, 0, table->is_signed);
}

static int32_t step_at(int64_t value)
{
    return code_of(&one.table, ares_step_code(&one.rescale, value, 0));
}

/* One line of steps.txt, with the index that is there. */
static void steps_indexed(const record *r)
{
    const int64_t *const n = r->number;
    const int64_t ends[] = {-((int64_t)1 << 40), -1, 0, (int64_t)1 << 40, INT32_MIN, INT32_MAX};
    if (strcmp(r->word, "point") == 0) {
        expect(n[1], step_at(n[0]));
        return;
    }
    uint64_t state = DIGEST_START;
    for (int32_t i = 0; i < one.rescale.num_thresholds; ++i) {
        state = digest(state, step_at((int64_t)one.table.thresholds[i] - 1));
        state = digest(state, step_at(one.table.thresholds[i]));
    }
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; ++i) {
        const int64_t total = ends[i] * 4 + one.offset;
        state = digest(state, code_of(&one.table, ares_rescale_finish(&one.rescale, total, 0)));
    }
    expect_digest(n[0], state);
}

/* N5, with every index that has not too many buckets */
static void steps(const record *r)
{
    if (strcmp(r->word, "case") == 0) {
        set_rescale(1, 0, 2, 0, 0);
        one.rescale.num_thresholds = (int32_t)r->number[0];
        one.rescale.steps = &one.steps;
        fill_table(&one.table, r->number + 1, one.rescale.num_thresholds);
        return;
    }
    for (int32_t bits = 0; bits < 32; ++bits) {
        if (index_table(&one.steps, &one.table, one.rescale.num_thresholds, bits)) {
            steps_indexed(r);
        }
    }
}

/* N3 to N5, constants or steps for each channel */
static void channels(const record *r)
{
    static int32_t count;
    static int32_t tables;
    static int32_t multiplier[MAX_CHANNELS];
    static int64_t offset[MAX_CHANNELS];
    static uint8_t shift[MAX_CHANNELS];
    static step_table table[MAX_CHANNELS];
    static ares_steps indexed[MAX_CHANNELS];
    static ares_rescale rescale;
    const int64_t *const n = r->number;
    if (strcmp(r->word, "case") == 0) {
        rescale.multiplier = multiplier;
        rescale.offset = offset;
        rescale.shift = shift;
        rescale.steps = n[1] ? indexed : NULL;
        count = (int32_t)n[0];
        rescale.num_thresholds = (int32_t)n[1];
        rescale.channel_stride = (int32_t)n[2];
        rescale.step_stride = (int32_t)n[3];
        rescale.lo = (int32_t)n[4];
        rescale.hi = (int32_t)n[5];
        tables = 0;
    } else if (strcmp(r->word, "table") == 0) {
        fill_table(&table[tables], n, rescale.num_thresholds);
        if (!index_table(&indexed[tables], &table[tables], rescale.num_thresholds, 25)) {
            fail("no index");
        }
        ++tables;
    } else if (strcmp(r->word, "row") == 0) {
        for (int32_t c = 0; c < count; ++c) {
            const int32_t code = ares_rescale_apply(&rescale, (int32_t)n[0], c);
            const step_table *const own = &table[c * rescale.step_stride];
            expect(n[1 + c], rescale.num_thresholds > 0 ? code_of(own, code) : code);
        }
    } else {
        for (int i = 0; i < r->count && i < MAX_CHANNELS; ++i) {
            if (strcmp(r->word, "multipliers") == 0) {
                multiplier[i] = (int32_t)n[i];
            } else if (strcmp(r->word, "offsets") == 0) {
                offset[i] = n[i];
            } else {
                shift[i] = (uint8_t)n[i]; /* comes after the offsets */
                offset[i] = raised(offset[i], n[i]);
            }
        }
    }
}

/* N6: the points of one line are the elements of one call. */
static void quantize_f32(const record *r)
{
    static ares_quantize_f32_params params;
    static ares_float_step step[MAX_STEPS];
    static float constants[MAX_STEPS][MAX_POINTS];
    const int64_t *const n = r->number;
    if (strcmp(r->word, "case") == 0) {
        params.scale = float_of(n[0]);
        params.zero_point = (int32_t)n[1];
        params.lo = (int32_t)n[2];
        params.hi = (int32_t)n[3];
        params.num_steps = 0;
        params.steps = NULL;
        return;
    }
    if (strcmp(r->word, "step") == 0) {
        const int32_t last = params.num_steps++;
        step[last].kind = (int32_t)n[0];
        step[last].inner = (int32_t)n[1];
        step[last].count = r->count - 2;
        step[last].values = constants[last];
        for (int32_t i = 0; i < step[last].count; ++i) {
            constants[last][i] = float_of(n[2 + i]);
        }
        params.steps = step;
        return;
    }
    float x[MAX_POINTS];
    uint8_t codes[MAX_POINTS];
    const void *const inputs[] = {x};
    void *const outputs[] = {codes};
    params.elements = r->count / 2;
    for (int i = 0; i < params.elements; ++i) {
        x[i] = float_of(n[2 * i]);
    }
    (void)ares_quantize_f32(&params, inputs, outputs, NULL);
    for (int i = 0; i < params.elements; ++i) {
        expect(n[2 * i + 1], ares_load_code(codes, i, params.lo < 0));
    }
}

/* N8: every byte through the kernel, in place; and a byte is the code it stores. */
static void lookup(const record *r)
{
    static uint8_t table[256];
    static int32_t is_signed;
    static int32_t lo;
    static int32_t hi;
    static int filled;
    if (strcmp(r->word, "case") == 0) {
        is_signed = (int32_t)r->number[5];
        lo = (int32_t)r->number[9];
        hi = (int32_t)r->number[10];
        filled = 0;
        return;
    }
    for (int i = 0; i < r->count; ++i) {
        table[filled + i] = (uint8_t)r->number[i];
    }
    filled += r->count;
    if (filled == 256) {
        const ares_lookup_params params = {256, table};
        uint8_t bytes[256];
        const void *const inputs[] = {bytes};
        void *const outputs[] = {bytes};
        for (int i = 0; i < 256; ++i) {
            bytes[i] = (uint8_t)(255 - i);
        }
        (void)ares_lookup(&params, inputs, outputs, NULL);
        for (int i = 0; i < 256; ++i) {
            const int32_t code = ares_load_code(bytes, i, is_signed);
            expect(table[255 - i], bytes[i]);
            expect(bytes[i], ares_code_byte(code));
            expect(code, ares_clamp(code, lo, hi));
        }
    }
}

/* N9: any accumulator reaches the kernel as an int32 bias. */
static void binary32(const record *r)
{
    const int64_t *const n = r->number;
    const int is_biased = strcmp(r->word, "biased") == 0;
    const int8_t weight[4] = {0};
    const uint8_t x[4] = {0};
    const int32_t acc = (int32_t)n[0];
    const float scale = float_of(n[1]);
    const float bias = float_of(n[2]);
    const ares_linear_fp32_params params = {1,      4,    1,      0,
                                            weight, &acc, &scale, is_biased ? &bias : NULL};
    float result;
    const void *const inputs[] = {x};
    void *const outputs[] = {&result};
    (void)ares_linear_fp32(&params, inputs, outputs, NULL);
    expect(n[is_biased ? 3 : 2], bits_of(result));
}

/* N10 */
static void weighted_sum(const record *r)
{
    static int64_t n[8];
    if (strcmp(r->word, "case") == 0) {
        memcpy(n, r->number, sizeof n);
        set_rescale(1, n[2], n[3], n[4], n[5]);
        return;
    }
    uint64_t state = DIGEST_START;
    for (int32_t first = n[6] ? -128 : 0; first < (n[6] ? 128 : 256); ++first) {
        for (int32_t second = n[7] ? -128 : 0; second < (n[7] ? 128 : 256); ++second) {
            const int64_t total = n[0] * first + n[1] * second + one.offset;
            state = digest(state, ares_rescale_finish(&one.rescale, total, 0));
        }
    }
    expect_digest(r->number[0], state);
}

/* N15 */
static void wide(const record *r)
{
    const int64_t *const n = r->number;
    if (strcmp(r->word, "product") == 0) {
        expect(n[2], (int64_t)ares_multiply_q62((uint64_t)n[0], (uint64_t)n[1]));
    } else if (strcmp(r->word, "state") == 0) {
        expect(n[2], ares_scale_q62(n[0], (uint64_t)n[1]));
    } else {
        expect(n[4], ares_wide_round(n[0], (int32_t)n[1], (int32_t)n[2], (int32_t)n[3]));
    }
}

static const struct {
    const char *name;
    void (*check)(const record *);
} files[] = {
    {"round_shift.txt", round_shift},   {"dot.txt", dot},
    {"rescale.txt", rescale},           {"steps.txt", steps},
    {"quantize_f32.txt", quantize_f32}, {"lookup.txt", lookup},
    {"binary32.txt", binary32},         {"weighted_sum.txt", weighted_sum},
    {"channels.txt", channels},         {"wide.txt", wide},
};

static int read_record(FILE *file, record *r)
{
    static char line[16384];
    do {
        if (fgets(line, sizeof line, file) == NULL) {
            return 0;
        }
        ++line_number;
    } while (line[0] == '#');
    const char *token = strtok(line, " \n");
    if (token == NULL || strlen(token) >= sizeof r->word) {
        fail("no word");
        return 0;
    }
    strcpy(r->word, token);
    r->count = 0;
    while ((token = strtok(NULL, " \n")) != NULL) {
        char *end;
        if (r->count == MAX_NUMBERS) {
            fail("too many numbers");
        }
        if (strncmp(token, "0x", 2) == 0) {
            const uint64_t pattern = strtoull(token, &end, 16);
            memcpy(&r->number[r->count++], &pattern, sizeof pattern);
        } else {
            r->number[r->count++] = strtoll(token, &end, 10);
        }
        if (*end != '\0') {
            fail("not a number");
        }
    }
    return 1;
}

int main(int argc, char **argv)
{
    static record r;
    if (argc != 2) {
        return 2;
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; ++i) {
        char path[1024];
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], files[i].name);
        file_name = files[i].name;
        line_number = 0;
        checks = 0;
        FILE *file = fopen(path, "r");
        if (file == NULL) {
            fail("cannot be opened");
            return 1;
        }
        while (read_record(file, &r)) {
            files[i].check(&r);
        }
        (void)fclose(file);
        if (checks == 0) {
            fail("checks nothing");
        }
        printf("%s: %ld checks\n", file_name, checks);
    }
    return 0;
}
