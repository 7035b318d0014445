/*
 * What the tracing program asks of the machine it runs on: a file to read, a file to write, lines of text.
 *
 * One header, several answers. trace_stdio.c gives the C library's and is part of every generated project; a board
 * without an operating system brings its own (runtime/boards/common/semihosting_io.c), and a self-test has its files in
 * memory (selftest/selftest.c). Of the stack stack_unknown.c says that nobody can know, in place of start-up code that
 * does. There is one INPUT and one OUTPUT at a time, so nothing here needs a handle, and nothing is allocated.
 *
 * What a program printed must be found again when it crashes a moment later: a line is handed to the system as a
 * whole when its newline comes. OUTPUT may be held back until ares_io_close.
 */
#ifndef ARES_TRACE_IO_H
#define ARES_TRACE_IO_H

#include "../inc/symbols.h"

#include <stddef.h>
#include <stdint.h>

/* How it went. Full is told from other faults because it is the machine's fault and not the program's. */
typedef enum ares_io_status {
    ARES_IO_OK = 0,
    ARES_IO_ERROR = 1,
    ARES_IO_FULL = 2, /* no space left where something was to be written */
} ares_io_status;

/* INPUT, from its start. */
ares_io_status ares_io_open_input(const char *path);

/* OUTPUT, empty. */
ares_io_status ares_io_open_output(const char *path);

/* The next bytes of INPUT; *got is smaller than bytes only at its end, or after an error. */
ares_io_status ares_io_read(void *to, size_t bytes, size_t *got);

/* Appends to OUTPUT. */
ares_io_status ares_io_write(const void *from, size_t bytes);

/* Closes what is open; ARES_IO_OK only if every byte of OUTPUT has been written. */
ares_io_status ares_io_close(void);

/* A piece of a line to standard output; a newline ends the piece and hands the line over. */
void ares_io_print(const char *text);

/* Whether all lines so far could be written. */
ares_io_status ares_io_printed(void);

/* A piece of text to standard error. */
void ares_io_complain(const char *text);

/* From now on, count how much stack is used, what is in use already included. */
void ares_io_measure_stack(void);

/* Bytes of stack that were in use at most since then; 0 where nobody can know. */
uint32_t ares_io_stack(void);

#endif
