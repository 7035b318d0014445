#include "selftest.h"

#include "trace_io.h"

#include <string.h>

#define WRONG 1

/* There is one self-test at a time. */
static struct {
    const ares_selftest_golden *golden;
    size_t position;            /* in the input */
    uint32_t shown;             /* digests so far */
    uint32_t wrong;             /* of them */
    ares_trace_line first;      /* that is wrong */
    uint64_t expected_of_first; /* its right digest */
} test;

static void judge(const ares_trace_line *line)
{
    const ares_selftest_golden *const golden = test.golden;
    const uint64_t expected =
        test.shown < golden->num_digests ? golden->digests[test.shown] : ~line->digest;

    ++test.shown;
    if (line->digest != expected && test.wrong++ == 0) {
        test.first = *line;
        test.expected_of_first = expected;
    }
}

ares_io_status ares_io_open_input(const char *path)
{
    (void)path;
    test.position = 0;
    return ARES_IO_OK;
}

ares_io_status ares_io_open_output(const char *path)
{
    (void)path;
    return ARES_IO_OK;
}

ares_io_status ares_io_read(void *to, size_t bytes, size_t *got)
{
    const size_t rest = test.golden->input_bytes - test.position;

    *got = bytes < rest ? bytes : rest;
    memcpy(to, test.golden->input + test.position, *got);
    test.position += *got;
    return ARES_IO_OK;
}

/* Nobody wants tensors here. */
ares_io_status ares_io_write(const void *from, size_t bytes)
{
    (void)from;
    (void)bytes;
    return ARES_IO_OK;
}

ares_io_status ares_io_close(void)
{
    return ARES_IO_OK;
}

void ares_io_print(const char *text)
{
    ares_selftest_put(text);
}

ares_io_status ares_io_printed(void)
{
    return ARES_IO_OK;
}

void ares_io_complain(const char *text)
{
    ares_selftest_put(text);
}

static void report(void)
{
    const uint32_t missing =
        test.golden->num_digests > test.shown ? test.golden->num_digests - test.shown : 0;

    if (test.wrong == 0 && missing == 0) {
        ares_selftest_put("self-test passed: ");
        ares_trace_print_number(test.shown);
        ares_selftest_put(" digests are right\n");
        return;
    }
    ares_selftest_put("self-test FAILED: ");
    ares_trace_print_number(test.wrong);
    ares_selftest_put(" digests are wrong, ");
    ares_trace_print_number(missing);
    ares_selftest_put(" missing\n");
    if (test.wrong > 0) {
        ares_selftest_put("first wrong: ");
        ares_trace_print_line(&test.first);
        ares_selftest_put("it should be: ");
        ares_trace_print_digest(test.expected_of_first);
        ares_selftest_put("\n");
    }
}

int ares_selftest_main(const ares_trace_subject *subject, const ares_selftest_golden *golden)
{
    static char program[] = "selftest", file[] = "-", mode[] = "digests";
    char *argv[] = {program, file, file, mode, NULL};

    memset(&test, 0, sizeof test);
    test.golden = golden;
    const int code = ares_trace_main(4, argv, subject, judge);
    report();
    if (code != 0) {
        return code;
    }
    return test.wrong > 0 || test.shown != golden->num_digests ? WRONG : 0;
}
