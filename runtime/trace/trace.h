/*
 * The tracing program around a generated network: reads cases, runs them, shows every layer.
 *
 * Not part of the library. It uses neither heap nor C library: what it needs of the machine stands in trace_io.h,
 * so that the same program runs under an operating system and on a bare board. Its protocol is described in
 * docs/trace-protocol.md; the host side is ares/toolchain/run.py.
 */
#ifndef ARES_TRACE_H
#define ARES_TRACE_H

#include "../inc/executor.h"
#include "trace_line.h"

/* One input or output of the network, in PyTorch's order of elements. */
typedef struct ares_trace_port {
    uint32_t elements;
    ares_dtype dtype;
} ares_trace_port;

/* What the generated main hands over. */
typedef struct ares_trace_subject {
    const char *signature;
    const ares_network *network;
    void *arena; /* aligned to 16 */
    uint32_t arena_bytes;
    uint32_t num_inputs;
    uint32_t num_outputs;
    const ares_trace_port *inputs;
    const ares_trace_port *outputs;
    void *const *input_buffers; /* one for each input, as large as its elements */
    void *const *output_buffers;
    uint32_t *last_use; /* room for one entry for each tensor of the network (arena_watch.h) */
    uint16_t *live;     /* likewise */
} ares_trace_subject;

/* Hears of every line that ends in a digest, once it has been printed. */
typedef void (*ares_trace_listener)(const ares_trace_line *line);

/* Returns the exit code of the program. `listener` is NULL where nobody wants to hear. */
int ares_trace_main(int argc, char **argv, const ares_trace_subject *subject,
                    ares_trace_listener listener);

#endif
