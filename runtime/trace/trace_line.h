/*
 * The lines of a trace that end in a digest (docs/trace-protocol.md), and how numbers and digests are written.
 */
#ifndef ARES_TRACE_LINE_H
#define ARES_TRACE_LINE_H

#include "../inc/symbols.h"

#include <stdint.h>

/* What a line `layer` or `output` says. Its names are the network's own and stay. */
typedef struct ares_trace_line {
    const char *layer;  /* NULL for an output */
    const char *tensor; /* likewise */
    uint32_t index;     /* of the layer, or of the output */
    uint64_t digest;
} ares_trace_line;

/* A whole line with its newline, through ares_io_print. */
void ares_trace_print_line(const ares_trace_line *line);

/* Decimal digits. */
void ares_trace_print_number(uint32_t number);

/* 16 hexadecimal digits. */
void ares_trace_print_digest(uint64_t digest);

#endif
