#include "trace.h"

#include "float_probe.h"

#include <stdio.h>
#include <string.h>

#define PROTOCOL 1
#define POISON 0xA5
#define CHUNK 256

/* Exit codes; the host knows them too (ares/toolchain/run.py). 1 is left to sanitizers and the C library. */
enum {
    TRACE_OK = 0,
    TRACE_USAGE = 2,  /* wrong command line */
    TRACE_PROBE = 3,  /* floating point is not as N9 needs it */
    TRACE_INPUT = 4,  /* INPUT cannot be read, or is not a whole number of cases */
    TRACE_OUTPUT = 5, /* OUTPUT or stdout cannot be written */
    TRACE_KERNEL = 6, /* a kernel refused: ares_status on stderr */
};

/* Where a run writes, and whether that has worked so far. */
typedef struct recorder {
    FILE *output;
    int failed;
} recorder;

static size_t element_size(ares_dtype dtype)
{
    switch (dtype) {
    case ARES_S16:
        return 2;
    case ARES_S32:
    case ARES_F32:
        return 4;
    case ARES_S8:
    case ARES_U8:
    default:
        return 1;
    }
}

/* The bits of an element, as a number: nothing after this depends on the byte order of the machine. */
static uint32_t load_element(const uint8_t *at, size_t size)
{
    uint16_t half;
    uint32_t word;
    switch (size) {
    case 2:
        memcpy(&half, at, sizeof half);
        return half;
    case 4:
        memcpy(&word, at, sizeof word);
        return word;
    default:
        return *at;
    }
}

static void store_element(uint8_t *at, size_t size, uint32_t bits)
{
    const uint16_t half = (uint16_t)(bits & 0xffffu);
    switch (size) {
    case 2:
        memcpy(at, &half, sizeof half);
        break;
    case 4:
        memcpy(at, &bits, sizeof bits);
        break;
    default:
        *at = (uint8_t)(bits & 0xffu);
        break;
    }
}

/* Continues the digest of ares/ir/project.py (trace_digest). */
static uint64_t digest_bytes(uint64_t digest, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        digest = digest * UINT64_C(6364136223846793005) + bytes[i] + 1u;
    }
    return digest;
}

static void print_digest(uint64_t digest)
{
    /* Two halves: small C libraries print no 64-bit numbers. */
    printf("%08lx%08lx\n", (unsigned long)(digest >> 32), (unsigned long)(digest & 0xffffffffu));
    fflush(stdout); /* what a crash leaves behind names the layer before it */
}

/* Writes a tensor little-endian and returns the digest of what it wrote. */
static uint64_t write_tensor(recorder *to, const void *data, uint32_t elements, ares_dtype dtype)
{
    const uint8_t *at = (const uint8_t *)data;
    const size_t size = element_size(dtype);
    uint64_t digest = 0;
    uint8_t chunk[CHUNK];
    size_t filled = 0;

    for (uint32_t i = 0; i < elements; ++i) {
        const uint32_t bits = load_element(at, size);
        at += size;
        for (size_t k = 0; k < size; ++k) {
            chunk[filled++] = (uint8_t)((bits >> (8 * k)) & 0xffu);
        }
        if (filled == CHUNK || i + 1 == elements) {
            digest = digest_bytes(digest, chunk, filled);
            to->failed |= fwrite(chunk, 1, filled, to->output) != filled;
            filled = 0;
        }
    }
    return digest;
}

static void record_layer(void *context, uint32_t layer_index, const ares_layer *layer,
                         const ares_tensor *tensor, const void *data)
{
    recorder *const to = (recorder *)context;
    const uint64_t digest = write_tensor(to, data, tensor->elements, tensor->dtype);
    printf("layer %lu %s %s ", (unsigned long)layer_index, layer->name, tensor->name);
    print_digest(digest);
}

/* Reads one input; 0 when the file ends in it. */
static int read_port(FILE *input, const ares_trace_port *port)
{
    uint8_t *at = (uint8_t *)port->buffer;
    const size_t size = element_size(port->dtype);

    for (uint32_t i = 0; i < port->elements; ++i) {
        uint8_t bytes[4];
        uint32_t bits = 0;
        if (fread(bytes, 1, size, input) != size) {
            return 0;
        }
        for (size_t k = 0; k < size; ++k) {
            bits |= (uint32_t)bytes[k] << (8 * k);
        }
        store_element(at, size, bits);
        at += size;
    }
    return 1;
}

static int at_end(FILE *file)
{
    const int next = getc(file);
    if (next == EOF) {
        return 1;
    }
    return ungetc(next, file) == EOF;
}

/* Whatever memory held before must not matter, nor look like a result. */
static void poison(const ares_trace_subject *subject)
{
    memset(subject->arena, POISON, subject->arena_bytes);
    for (uint32_t i = 0; i < subject->num_outputs; ++i) {
        const ares_trace_port *port = &subject->outputs[i];
        memset(port->buffer, POISON, port->elements * element_size(port->dtype));
    }
}

static int complain(int code, const char *what, const char *about)
{
    fflush(stdout);
    fprintf(stderr, "ares-trace: %s%s\n", what, about);
    return code;
}

static int run_case(const ares_trace_subject *subject, FILE *input, recorder *to, int full)
{
    const void *inputs[ARES_MAX_OPERANDS];
    void *outputs[ARES_MAX_OPERANDS];

    for (uint32_t i = 0; i < subject->num_inputs; ++i) {
        if (!read_port(input, &subject->inputs[i])) {
            return complain(TRACE_INPUT, "INPUT is not a whole number of cases", "");
        }
        inputs[i] = subject->inputs[i].buffer;
    }
    for (uint32_t i = 0; i < subject->num_outputs; ++i) {
        outputs[i] = subject->outputs[i].buffer;
    }
    poison(subject);
    const ares_status status = ares_execute(subject->network, inputs, outputs, subject->arena,
                                            full ? record_layer : NULL, to);
    if (status != ARES_OK) {
        return complain(TRACE_KERNEL, "a kernel refused its input: ",
                        status == ARES_ERROR_INPUT ? "ARES_ERROR_INPUT" : "unknown status");
    }
    for (uint32_t i = 0; i < subject->num_outputs; ++i) {
        const ares_trace_port *port = &subject->outputs[i];
        const uint64_t digest = write_tensor(to, port->buffer, port->elements, port->dtype);
        printf("output %lu ", (unsigned long)i);
        print_digest(digest);
    }
    return to->failed || ferror(stdout) ? complain(TRACE_OUTPUT, "cannot write OUTPUT", "")
                                        : TRACE_OK;
}

static int run_cases(const ares_trace_subject *subject, FILE *input, recorder *to, int full)
{
    unsigned long count = 0;

    if (at_end(input)) {
        return complain(TRACE_INPUT, "INPUT holds no case", "");
    }
    do {
        printf("case %lu\n", count++);
        fflush(stdout);
        const int code = run_case(subject, input, to, full);
        if (code != TRACE_OK) {
            return code;
        }
    } while (!at_end(input));
    if (ferror(input)) {
        return complain(TRACE_INPUT, "cannot read INPUT", "");
    }
    printf("end %lu\n", count);
    return TRACE_OK;
}

int ares_trace_main(int argc, char **argv, const ares_trace_subject *subject)
{
    printf("ares-trace %d %s\n", PROTOCOL, subject->signature);
    if (argc != 4 || (strcmp(argv[3], "full") != 0 && strcmp(argv[3], "outputs") != 0)) {
        return complain(TRACE_USAGE, "usage: PROGRAM INPUT OUTPUT full|outputs", "");
    }
    const int32_t fault = ares_float_probe();
    if (fault != ARES_FLOAT_OK) {
        printf("probe failed %s\n", ares_float_fault_name(fault));
        return complain(TRACE_PROBE, "this build's floating point breaks clause N9: ",
                        ares_float_fault_name(fault));
    }
    printf("probe ok\n");
    if (subject->num_inputs == 0 || subject->num_inputs > ARES_MAX_OPERANDS ||
        subject->num_outputs > ARES_MAX_OPERANDS) {
        return complain(TRACE_USAGE, "the network has no inputs, or too many inputs or outputs",
                        "");
    }

    FILE *const input = fopen(argv[1], "rb");
    if (input == NULL) {
        return complain(TRACE_INPUT, "cannot open INPUT ", argv[1]);
    }
    recorder to = {fopen(argv[2], "wb"), 0};
    if (to.output == NULL) {
        fclose(input);
        return complain(TRACE_OUTPUT, "cannot open OUTPUT ", argv[2]);
    }
    int code = run_cases(subject, input, &to, strcmp(argv[3], "full") == 0);
    fclose(input);
    const int lost = fclose(to.output) != 0;
    if (code == TRACE_OK && (lost || fflush(stdout) != 0 || ferror(stdout))) {
        code = complain(TRACE_OUTPUT, "cannot write OUTPUT", "");
    }
    return code;
}
