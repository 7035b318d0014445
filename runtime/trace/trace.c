#include "trace.h"

#include "arena_watch.h"
#include "../inc/float_probe.h"
#include "../inc/microkernels.h"
#include "trace_io.h"

#include <string.h>

#define PROTOCOL "ares-trace 3 "
#define CHUNK 256

/* Exit codes; the host knows them too (ares/toolchain/run.py). 1 is left to sanitizers and the C library. */
enum {
    TRACE_OK = 0,
    TRACE_USAGE = 2,  /* wrong command line, or one that asks for what is not there */
    TRACE_PROBE = 3,  /* floating point is not as N9 needs it */
    TRACE_INPUT = 4,  /* INPUT cannot be read, or is not a whole number of cases */
    TRACE_OUTPUT = 5, /* OUTPUT or standard output cannot be written */
    TRACE_KERNEL = 6, /* the run was refused: ares_status on standard error */
    TRACE_FULL = 7,   /* as TRACE_OUTPUT, because no space is left */
};

typedef enum trace_mode {
    MODE_FULL,    /* every observed tensor: digest and bytes */
    MODE_DIGESTS, /* every observed tensor: digest; outputs too */
    MODE_OUTPUTS, /* nobody observes; outputs: digest and bytes */
    MODE_DUMP,    /* one observed tensor of one case: digest and bytes, then the end */
} trace_mode;

/* What is asked for, and what has become of it so far. */
typedef struct recorder {
    const ares_trace_subject *subject;
    ares_watch watch;
    trace_mode mode;
    uint32_t wanted_case;  /* dump */
    uint32_t wanted_point; /* dump: the how-manieth observed tensor of the run */
    uint32_t points;       /* observed tensors of this run so far */
    ares_io_status written;
    ares_trace_line line; /* the one that is being made */
    ares_trace_listener listener;
} recorder;

static int is_big_endian(void)
{
    const uint16_t one = 1;
    uint8_t first;
    memcpy(&first, &one, sizeof first);
    return first == 0;
}

/* XOR of an index into the bytes of a tensor: with it they are met in little-endian order on every machine. */
static size_t byte_flip(ares_dtype dtype)
{
    return is_big_endian() ? ares_element_size(dtype) - 1u : 0u;
}

/* The digest of ares/ir/project.py (trace_digest). */
static uint64_t digest_of(const uint8_t *bytes, size_t count, size_t flip)
{
    uint64_t digest = 0;

    for (size_t i = 0; i < count; ++i) {
        digest = digest * UINT64_C(6364136223846793005) + bytes[i ^ flip] + 1u;
    }
    return digest;
}

static void write_bytes(recorder *to, const uint8_t *bytes, size_t count, size_t flip)
{
    static uint8_t chunk[CHUNK]; /* static: the stack that is measured is the network's, not ours */
    size_t done = 0;

    if (flip == 0 && to->written == ARES_IO_OK) {
        to->written = ares_io_write(bytes, count);
        return;
    }
    while (done < count && to->written == ARES_IO_OK) {
        const size_t filled = count - done < CHUNK ? count - done : CHUNK;
        for (size_t i = 0; i < filled; ++i) {
            chunk[i] = bytes[(done + i) ^ flip];
        }
        to->written = ares_io_write(chunk, filled);
        done += filled;
    }
}

/* Makes the line of a tensor, and writes the tensor's bytes where they are wanted. */
static void show(recorder *to, const void *data, uint32_t elements, ares_dtype dtype)
{
    const size_t count = (size_t)elements * ares_element_size(dtype);
    const size_t flip = byte_flip(dtype);

    ares_watch_read(data, count);
    if (to->mode != MODE_DIGESTS) {
        write_bytes(to, (const uint8_t *)data, count, flip);
    }
    to->line.digest = digest_of((const uint8_t *)data, count, flip);
    ares_trace_print_line(&to->line);
    if (to->listener != NULL) {
        to->listener(&to->line);
    }
}

static ares_status record_layer(void *context, uint32_t layer_index, const ares_layer *layer,
                                const ares_tensor *tensor, const void *data)
{
    recorder *const to = (recorder *)context;
    const ares_tensor *const tensors = to->subject->network->tensors;
    const uint32_t point = to->points++;

    if (to->mode != MODE_DUMP || point == to->wanted_point) {
        to->line.layer = layer->name;
        to->line.tensor = tensor->name;
        to->line.index = layer_index;
        show(to, data, tensor->elements, tensor->dtype);
        if (to->mode == MODE_DUMP) {
            return ARES_STOPPED;
        }
    }
    if (tensor == &tensors[layer->outputs[layer->num_outputs - 1]]) {
        ares_watch_advance(&to->watch, layer_index);
    }
    return ARES_OK;
}

static int complain(int code, const char *what, const char *about)
{
    ares_io_complain("ares-trace: ");
    ares_io_complain(what);
    ares_io_complain(about);
    ares_io_complain("\n");
    return code;
}

static int complain_of_output(ares_io_status status, const char *what, const char *about)
{
    if (status == ARES_IO_FULL) {
        ares_io_complain("ares-trace: no space left\n");
        return complain(TRACE_FULL, what, about);
    }
    return complain(TRACE_OUTPUT, what, about);
}

/* Turns the bytes of a file round where the machine wants them so. */
static void to_machine_order(uint8_t *bytes, size_t count, size_t flip)
{
    for (size_t i = 0; i < count; ++i) {
        const size_t other = i ^ flip;
        if (i < other) {
            const uint8_t kept = bytes[i];
            bytes[i] = bytes[other];
            bytes[other] = kept;
        }
    }
}

/* Reads the inputs of one case. *more becomes 0 where INPUT ends before its first byte. */
static int read_case(const ares_trace_subject *subject, int *more)
{
    for (uint32_t i = 0; i < subject->num_inputs; ++i) {
        const ares_trace_port *const port = &subject->inputs[i];
        const size_t count = (size_t)port->elements * ares_element_size(port->dtype);
        size_t got;
        if (ares_io_read(subject->input_buffers[i], count, &got) != ARES_IO_OK) {
            return complain(TRACE_INPUT, "cannot read INPUT", "");
        }
        if (got == 0 && i == 0) {
            *more = 0;
            return TRACE_OK;
        }
        if (got != count) {
            return complain(TRACE_INPUT, "INPUT is not a whole number of cases", "");
        }
        to_machine_order((uint8_t *)subject->input_buffers[i], count, byte_flip(port->dtype));
    }
    return TRACE_OK;
}

/* Whatever memory held before must not matter, nor look like a result. */
static void poison_outputs(const ares_trace_subject *subject)
{
    for (uint32_t i = 0; i < subject->num_outputs; ++i) {
        const ares_trace_port *const port = &subject->outputs[i];
        ares_watch_forget(subject->output_buffers[i],
                          (size_t)port->elements * ares_element_size(port->dtype));
    }
}

static const char *status_name(ares_status status)
{
    switch (status) {
    case ARES_ERROR_INPUT:
        return "ARES_ERROR_INPUT";
    case ARES_ERROR_ARENA:
        return "ARES_ERROR_ARENA";
    case ARES_OK:
    case ARES_STOPPED:
    default:
        return "unknown status";
    }
}

/* One run of the network on the inputs that are in their buffers. */
static int run_case(recorder *to)
{
    const ares_trace_subject *const subject = to->subject;
    const int observed = to->mode != MODE_OUTPUTS;

    poison_outputs(subject);
    ares_watch_begin(&to->watch);
    if (!observed) {
        ares_watch_open(&to->watch);
    }
    to->points = 0;
    const ares_status status =
        ares_execute(subject->network, (const void *const *)subject->input_buffers,
                     subject->output_buffers, subject->arena, observed ? record_layer : NULL, to);
    if (status != ARES_OK && status != ARES_STOPPED) {
        return complain(TRACE_KERNEL, "the run was refused: ", status_name(status));
    }
    if (to->mode == MODE_DUMP && status != ARES_STOPPED) {
        return complain(TRACE_USAGE, "the network has no observed tensor of that number", "");
    }
    for (uint32_t i = 0; i < subject->num_outputs && to->mode != MODE_DUMP; ++i) {
        to->line.layer = NULL;
        to->line.tensor = NULL;
        to->line.index = i;
        show(to, subject->output_buffers[i], subject->outputs[i].elements,
             subject->outputs[i].dtype);
    }
    if (to->written != ARES_IO_OK) {
        return complain_of_output(to->written, "cannot write OUTPUT", "");
    }
    if (ares_io_printed() != ARES_IO_OK) {
        return complain_of_output(ares_io_printed(), "cannot write to standard output", "");
    }
    return TRACE_OK;
}

/* Runs the cases that are asked for, to the end of INPUT or to the one that is dumped; counts those that ran. */
static int run_cases(recorder *to, uint32_t *count)
{
    for (uint32_t number = 0;; ++number) {
        int more = 1;
        int code = read_case(to->subject, &more);
        if (code != TRACE_OK) {
            return code;
        }
        if (!more && to->mode == MODE_DUMP) {
            return complain(TRACE_USAGE, "INPUT holds no case of that number", "");
        }
        if (!more) {
            return number > 0 ? TRACE_OK : complain(TRACE_INPUT, "INPUT holds no case", "");
        }
        if (to->mode == MODE_DUMP && number != to->wanted_case) {
            continue;
        }
        ares_io_print("case ");
        ares_trace_print_number(number);
        ares_io_print("\n");
        code = run_case(to);
        ++*count;
        if (code != TRACE_OK || to->mode == MODE_DUMP) {
            return code;
        }
    }
}

/* Decimal digits at *at, at least one, as a number; *at moves behind them. */
static int parse_number(const char **at, uint32_t *number)
{
    uint32_t value = 0;

    if (**at < '0' || **at > '9') {
        return 0;
    }
    for (; **at >= '0' && **at <= '9'; ++*at) {
        const uint32_t digit = (uint32_t)(**at - '0');
        if (value > (UINT32_MAX - digit) / 10u) {
            return 0;
        }
        value = value * 10u + digit;
    }
    *number = value;
    return 1;
}

/* Whether a word of the command line names a mode. */
static int parse_mode(const char *word, recorder *to)
{
    static const char *const names[] = {"full", "digests", "outputs"};
    static const trace_mode modes[] = {MODE_FULL, MODE_DIGESTS, MODE_OUTPUTS};
    static const char dump[] = "dump:";

    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        if (strcmp(word, names[i]) == 0) {
            to->mode = modes[i];
            return 1;
        }
    }
    for (size_t i = 0; i < sizeof dump - 1; ++i) {
        if (*word++ != dump[i]) {
            return 0;
        }
    }
    to->mode = MODE_DUMP;
    if (!parse_number(&word, &to->wanted_case) || *word++ != ':') {
        return 0;
    }
    return parse_number(&word, &to->wanted_point) && *word == '\0';
}

/* Everything between opening the files and the last line. */
static int trace_files(recorder *to, const char *input, const char *output)
{
    uint32_t count = 0;

    if (ares_io_open_input(input) != ARES_IO_OK) {
        return complain(TRACE_INPUT, "cannot open INPUT ", input);
    }
    const ares_io_status opened = ares_io_open_output(output);
    int code = opened == ARES_IO_OK ? run_cases(to, &count)
                                    : complain_of_output(opened, "cannot open OUTPUT ", output);
    const ares_io_status closed = ares_io_close();
    if (code != TRACE_OK) {
        return code;
    }
    if (closed != ARES_IO_OK) {
        return complain_of_output(closed, "cannot write OUTPUT", "");
    }
    const uint32_t stack = ares_io_stack();
    if (stack > 0) {
        ares_io_print("stack ");
        ares_trace_print_number(stack);
        ares_io_print("\n");
    }
    ares_io_print("end ");
    ares_trace_print_number(count);
    ares_io_print("\n");
    if (ares_io_printed() != ARES_IO_OK) {
        return complain_of_output(ares_io_printed(), "cannot write to standard output", "");
    }
    return TRACE_OK;
}

int ares_trace_main(int argc, char **argv, const ares_trace_subject *subject,
                    ares_trace_listener listener)
{
    static recorder to;

    ares_io_print(PROTOCOL);
    ares_io_print(subject->signature);
    ares_io_print("\n");
    ares_io_print(is_big_endian() ? "byte order big\n" : "byte order little\n");
    to.subject = subject;
    to.written = ARES_IO_OK;
    to.listener = listener;
    if (argc != 4 || !parse_mode(argv[3], &to)) {
        return complain(TRACE_USAGE,
                        "usage: PROGRAM INPUT OUTPUT full|digests|outputs|dump:<case>:<point>", "");
    }
    const int32_t fault = ares_float_probe();
    if (fault != ARES_FLOAT_OK) {
        ares_io_print("probe failed ");
        ares_io_print(ares_float_fault_name(fault));
        ares_io_print("\n");
        return complain(TRACE_PROBE, "this build's floating point breaks clause N9: ",
                        ares_float_fault_name(fault));
    }
    ares_io_print("probe ok\n");
    ares_io_print("instruction set ");
    ares_io_print(ares_instruction_set());
    ares_io_print("\n");
    if (subject->num_inputs == 0) {
        return complain(TRACE_USAGE, "the network has no inputs", "");
    }
    ares_io_measure_stack(); /* the probe of floating point is not part of the network */
    ares_watch_prepare(&to.watch, subject->network, subject->arena, subject->arena_bytes,
                       subject->last_use, subject->live);
    return trace_files(&to, argv[1], argv[2]);
}
