/*
 * The tracing program around a generated network: reads cases, runs them, shows every layer.
 *
 * Not part of the library: this is the only C here that uses stdio. Its protocol is described in
 * docs/trace-protocol.md; the host side is ares/toolchain/run.py.
 */
#ifndef ARES_TRACE_H
#define ARES_TRACE_H

#include "executor.h"

/* One input or output of the network with its buffer, in PyTorch's order of elements. */
typedef struct ares_trace_port {
    void *buffer;
    uint32_t elements;
    ares_dtype dtype;
} ares_trace_port;

/* What the generated main hands over. */
typedef struct ares_trace_subject {
    const char *signature;
    const ares_network *network;
    void *arena;
    uint32_t arena_bytes;
    uint32_t num_inputs;
    uint32_t num_outputs;
    const ares_trace_port *inputs;
    const ares_trace_port *outputs;
} ares_trace_subject;

/* Returns the exit code of the program. */
int ares_trace_main(int argc, char **argv, const ares_trace_subject *subject);

#endif
