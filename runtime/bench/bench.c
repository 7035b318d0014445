#include "../inc/executor.h"
#include "../trace/trace.h"
#include "../trace/trace_io.h"
#include "../trace/trace_line.h"
#include "counter.h"

#include <string.h>

/*
 * What a network costs: another answer to ares_trace_main, built in place of trace.c, so that the same generated
 * main serves.
 *
 *   PROGRAM INPUT OUTPUT <rounds>x<runs>
 *
 * reads one case from INPUT and computes it: a round is `runs` times without an observer, then once with one that reads
 * the counter after each layer. Prints
 *
 *   ares-bench 1 <signature>
 *   round                  rounds times:
 *   plain <count>            of all runs without an observer
 *   empty <count>            what the observer itself adds to each of the following
 *   layer <count>            one line for each observed tensor, from reading to reading
 *   rest <count>             from the last reading to the end
 *   stack <bytes>          where it is known
 *   end
 *
 * A count has 16 hexadecimal digits, in the unit of counter.h, and holds what reading costs. The outputs of the last run
 * are the content of OUTPUT: a number means nothing where the result is wrong. Nothing is printed while it counts.
 */

/* Exit codes, a part of trace.c's. */
enum {
    BENCH_OK = 0,
    BENCH_USAGE = 2,
    BENCH_INPUT = 4,
    BENCH_OUTPUT = 5,
    BENCH_KERNEL = 6,
};

/* What one observed run has shown so far. */
typedef struct stop_watch {
    const ares_trace_subject *subject;
    uint64_t last;
    uint32_t points;
} stop_watch;

static int complain(int code, const char *what)
{
    ares_io_complain("ares-bench: ");
    ares_io_complain(what);
    ares_io_complain("\n");
    return code;
}

static void print_count(const char *what, uint64_t count)
{
    ares_io_print(what);
    ares_trace_print_digest(count);
    ares_io_print("\n");
}

/* The tracing program's two arrays of an entry a tensor hold a count of 48 bits. */
static ares_status note(void *context, uint32_t layer_index, const ares_layer *layer,
                        const ares_tensor *tensor, const void *data)
{
    stop_watch *const watch = (stop_watch *)context;
    const uint64_t passed = ares_counter_read() - watch->last;

    (void)layer_index;
    (void)layer;
    (void)tensor;
    (void)data;
    watch->subject->last_use[watch->points] = (uint32_t)passed;
    watch->subject->live[watch->points] = (uint16_t)(passed >> 32);
    ++watch->points;
    watch->last = ares_counter_read();
    return ARES_OK;
}

static ares_status execute(const ares_trace_subject *subject, ares_observer observer, void *context)
{
    return ares_execute(subject->network, (const void *const *)subject->input_buffers,
                        subject->output_buffers, subject->arena, observer, context);
}

/* From one reading to the next where nothing happens in between; leaves the watch as it was. */
static uint64_t cost_of_observing(stop_watch *watch)
{
    const ares_observer volatile observer = note; /* called, not inlined, as the executor does */
    const ares_trace_subject *const subject = watch->subject;

    (void)observer(watch, 0, NULL, NULL, NULL);
    watch->points = 0;
    (void)observer(watch, 0, NULL, NULL, NULL);
    watch->points = 0;
    return ((uint64_t)subject->live[0] << 32) | subject->last_use[0];
}

static ares_status run_round(const ares_trace_subject *subject, uint32_t runs)
{
    stop_watch watch = {subject, 0, 0};
    ares_status status = ARES_OK;
    const uint64_t start = ares_counter_read();

    for (uint32_t i = 0; i < runs && status == ARES_OK; ++i) {
        status = execute(subject, NULL, NULL);
    }
    const uint64_t plain = ares_counter_read() - start;
    if (status != ARES_OK) {
        return status;
    }
    const uint64_t empty = cost_of_observing(&watch);
    watch.last = ares_counter_read();
    status = execute(subject, note, &watch);
    const uint64_t rest = ares_counter_read() - watch.last;
    ares_io_print("round\n");
    print_count("plain ", plain);
    print_count("empty ", empty);
    for (uint32_t k = 0; k < watch.points; ++k) {
        print_count("layer ", ((uint64_t)subject->live[k] << 32) | subject->last_use[k]);
    }
    print_count("rest ", rest);
    return status;
}

static int is_big_endian(void)
{
    const uint16_t one = 1;
    uint8_t first;
    memcpy(&first, &one, sizeof first);
    return first == 0;
}

/* Files are little-endian; turns round a buffer's elements, either way. */
static size_t turn(void *buffer, const ares_trace_port *port)
{
    const size_t size = ares_element_size(port->dtype);
    const size_t count = port->elements * size;
    uint8_t *const bytes = (uint8_t *)buffer;

    for (size_t i = 0; i < count && is_big_endian(); ++i) {
        const size_t other = i ^ (size - 1u);
        if (i < other) {
            const uint8_t kept = bytes[i];
            bytes[i] = bytes[other];
            bytes[other] = kept;
        }
    }
    return count;
}

static int read_inputs(const ares_trace_subject *subject, const char *path)
{
    if (ares_io_open_input(path) != ARES_IO_OK) {
        return complain(BENCH_INPUT, "cannot open INPUT");
    }
    for (uint32_t i = 0; i < subject->num_inputs; ++i) {
        const ares_trace_port *const port = &subject->inputs[i];
        const size_t bytes = (size_t)port->elements * ares_element_size(port->dtype);
        size_t got = 0;
        if (ares_io_read(subject->input_buffers[i], bytes, &got) != ARES_IO_OK || got != bytes) {
            return complain(BENCH_INPUT, "INPUT is not a whole case");
        }
        turn(subject->input_buffers[i], port);
    }
    return ares_io_close() == ARES_IO_OK ? BENCH_OK : complain(BENCH_INPUT, "cannot close INPUT");
}

static int write_outputs(const ares_trace_subject *subject, const char *path)
{
    ares_io_status written = ares_io_open_output(path);

    for (uint32_t i = 0; i < subject->num_outputs && written == ARES_IO_OK; ++i) {
        const size_t bytes = turn(subject->output_buffers[i], &subject->outputs[i]);
        written = ares_io_write(subject->output_buffers[i], bytes);
    }
    const ares_io_status closed = ares_io_close();
    if (written != ARES_IO_OK || closed != ARES_IO_OK || ares_io_printed() != ARES_IO_OK) {
        return complain(BENCH_OUTPUT, "cannot write OUTPUT");
    }
    return BENCH_OK;
}

/* Decimal digits at *at, at least one; 0 where there is no such number above 0. */
static uint32_t parse_number(const char **at)
{
    uint32_t value = 0;

    for (; **at >= '0' && **at <= '9'; ++*at) {
        const uint32_t digit = (uint32_t)(**at - '0');
        if (value > (UINT32_MAX - digit) / 10u) {
            return 0;
        }
        value = value * 10u + digit;
    }
    return value;
}

int ares_trace_main(int argc, char **argv, const ares_trace_subject *subject,
                    ares_trace_listener listener)
{
    const char *word = argc == 4 ? argv[3] : "";
    const uint32_t rounds = parse_number(&word);
    const uint32_t runs = *word++ == 'x' ? parse_number(&word) : 0;

    (void)listener;
    if (rounds == 0 || runs == 0 || *word != '\0') {
        return complain(BENCH_USAGE, "usage: PROGRAM INPUT OUTPUT <rounds>x<runs>");
    }
    ares_io_print("ares-bench 1 ");
    ares_io_print(subject->signature);
    ares_io_print("\n");
    const int code = read_inputs(subject, argv[1]);
    if (code != BENCH_OK) {
        return code;
    }
    ares_counter_start();
    ares_io_measure_stack();
    for (uint32_t i = 0; i < rounds; ++i) {
        if (run_round(subject, runs) != ARES_OK) {
            return complain(BENCH_KERNEL, "the run was refused");
        }
    }
    const uint32_t stack = ares_io_stack();
    if (stack > 0) {
        ares_io_print("stack ");
        ares_trace_print_number(stack);
        ares_io_print("\n");
    }
    ares_io_print("end\n");
    return write_outputs(subject, argv[2]);
}
