/*
 * The self-test of an exported project: golden cases run through the tracing program, from memory.
 *
 * It needs no files and no command line, so it runs wherever the network does. It prints what the tracing program
 * prints (docs/trace-protocol.md: a digest for every layer of every case), compares each digest with the golden
 * one as it goes, and ends with a line that says how it went. What it printed can also be judged on a desk:
 * `ares trace FILE DIR`.
 *
 * selftest.c takes the place of runtime/trace/trace_stdio.c. On a board, replace selftest_put.c, too; start-up code that
 * measures the stack (runtime/boards/common/board.c of ARES) takes the place of runtime/trace/stack_unknown.c.
 */
#ifndef ARES_SELFTEST_H
#define ARES_SELFTEST_H

#include "trace.h"

/* Cases and what they must show. */
typedef struct ares_selftest_golden {
    const uint8_t *input; /* case after case, input after input, little-endian */
    size_t input_bytes;
    const uint64_t *digests; /* of every layer and output, case after case, in the order shown */
    uint32_t num_digests;
} ares_selftest_golden;

/* Returns the exit code of the program: 0 when every digest is right, 1 when one is not, else that of the tracing. */
int ares_selftest_main(const ares_trace_subject *subject, const ares_selftest_golden *golden);

/* A piece of text for whoever watches. The one function that a board without a C library has to provide. */
void ares_selftest_put(const char *text);

#endif
