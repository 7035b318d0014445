/*
 * Runs single layers of a network on bytes that it is given: what `ares prove` and tools/check_certificate.py ask.
 *
 *   probe < INPUT > OUTPUT
 *
 * A layer is run by its own kernel, from the same objects that the network is made of, on a copy of its parameters. The
 * weights and the constants of the rescale in that copy can be replaced. Nothing is computed here but addresses.
 *
 * OUTPUT begins with the table of layers and tensors, a line of JSON. INPUT is a row of commands, each a word (32 bits, little-endian) and its operands; all else in it is little-endian too.
 *
 *   2 layer                                 choose a layer (0, 1, ...: as the executor runs them), as it is in the network
 *   3 bytes, weights, n, int32[n]           its weights, and their sums where the kernel has those
 *   4 n, int32[n], int64[n], byte[n], lo, hi    multipliers, offsets, shifts, limits of its rescale, without steps
 *   5 n, float[n], int32[n]                 scales, and biases in units of the accumulator, of a real result without a real bias
 *   6 operand, elements                     an input
 *   7 output, start, count, step            run it, write its status and so many elements of an output
 *   8 bytes                                 write its weights, as they are in the program
 *   9 tensor                                write a constant tensor
 *
 * Exit code 2: INPUT makes no sense; 5: OUTPUT could not be written.
 */
#include ARES_PROBED_HEADER

#include "add.h"
#include "attention_context.h"
#include "attention_scores.h"
#include "average_fp32.h"
#include "avg_pool2d.h"
#include "batch_norm.h"
#include "conv2d.h"
#include "conv_fp32.h"
#include "conv_sum.h"
#include "conv_transpose2d.h"
#include "conv_transpose_fp32.h"
#include "depthwise.h"
#include "embedding.h"
#include "linear.h"
#include "linear_fp32.h"
#include "lookup.h"
#include "mean.h"
#include "mul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Places of what can be replaced in a kernel's parameters, NONE where there is no such thing. */
#define NONE ((size_t)-1)

typedef struct places {
    ares_kernel kernel;
    size_t bytes;
    size_t weight;
    size_t sums;
    size_t rescale;
    size_t rescales; /* a pointer to several */
    size_t biases;
    size_t scale;
    size_t bias;
} places;

#define AT(type, field) offsetof(ares_##type##_params, field)
#define REAL(type) AT(type, bias_codes), AT(type, scale), AT(type, bias)

static const places all_places[] = {
    {ares_conv2d, sizeof(ares_conv2d_params), AT(conv2d, conv.weight), NONE, AT(conv2d, rescale),
     NONE, NONE, NONE, NONE},
    {ares_depthwise, sizeof(ares_depthwise_params), AT(depthwise, weight), NONE,
     AT(depthwise, rescale), NONE, NONE, NONE, NONE},
    {ares_linear, sizeof(ares_linear_params), AT(linear, weight), NONE, AT(linear, rescale), NONE,
     NONE, NONE, NONE},
    {ares_conv_sum, sizeof(ares_conv_sum_params), AT(conv_sum, conv.weight),
     AT(conv_sum, weight_sums), AT(conv_sum, rescale), NONE, NONE, NONE, NONE},
    {ares_conv_transpose2d, sizeof(ares_conv_transpose2d_params), AT(conv_transpose2d, conv.weight),
     NONE, AT(conv_transpose2d, rescale), NONE, NONE, NONE, NONE},
    {ares_linear_fp32, sizeof(ares_linear_fp32_params), AT(linear_fp32, weight), NONE, NONE, NONE,
     REAL(linear_fp32)},
    {ares_conv_fp32, sizeof(ares_conv_fp32_params), AT(conv_fp32, conv.weight),
     AT(conv_fp32, weight_sums), NONE, NONE, REAL(conv_fp32)},
    {ares_conv_transpose_fp32, sizeof(ares_conv_transpose_fp32_params),
     AT(conv_transpose_fp32, conv.weight), NONE, NONE, NONE, REAL(conv_transpose_fp32)},
    {ares_average_fp32, sizeof(ares_average_fp32_params), NONE, NONE, NONE, NONE, NONE,
     AT(average_fp32, scale), AT(average_fp32, bias)},
    {ares_attention_scores, sizeof(ares_attention_scores_params), NONE, NONE,
     AT(attention_scores, rescale), NONE, NONE, NONE, NONE},
    {ares_attention_context, sizeof(ares_attention_context_params), NONE, NONE,
     AT(attention_context, rescale), NONE, NONE, NONE, NONE},
    {ares_avg_pool2d, sizeof(ares_avg_pool2d_params), NONE, NONE, NONE, AT(avg_pool2d, rescales),
     NONE, NONE, NONE},
    {ares_mean, sizeof(ares_mean_params), NONE, NONE, AT(mean, rescale), NONE, NONE, NONE, NONE},
    {ares_batch_norm, sizeof(ares_batch_norm_params), NONE, NONE, AT(batch_norm, rescale), NONE,
     NONE, NONE, NONE},
    {ares_embedding, sizeof(ares_embedding_params), AT(embedding, table), NONE, NONE, NONE, NONE,
     NONE, NONE},
    {ares_lookup, sizeof(ares_lookup_params), AT(lookup, table), NONE, NONE, NONE, NONE, NONE,
     NONE},
};

/* Windows of an average have constants of their own: at most so many numbers of positions. */
enum { MOST_RESCALES = 1024, MOST_LAYERS = 65536 };

static void stop(const char *why)
{
    fprintf(stderr, "probe: %s\n", why);
    exit(2);
}

/* What a layer needs memory for; a slot's memory is given back when it is asked for again. */
enum {
    OF_PARAMS,
    OF_SCRATCH,
    OF_WEIGHTS,
    OF_SUMS,
    OF_MULTIPLIERS,
    OF_OFFSETS,
    OF_SHIFTS,
    OF_SCALES,
    OF_BIASES,
    OF_KEPT,
    OF_INPUTS,
    OF_OUTPUTS = OF_INPUTS + ARES_MAX_OPERANDS,
    SLOTS = OF_OUTPUTS + ARES_MAX_OPERANDS
};

static void *blocks[SLOTS];

/* Aligned to 16, and as long as asked for and no longer where malloc aligns so, for sanitizers to see its end. */
static void *memory(int slot, size_t bytes)
{
    bytes = bytes > 0 ? bytes : 1;
    free(blocks[slot]);
    blocks[slot] = malloc(bytes);
    if ((uintptr_t)blocks[slot] % 16 != 0) {
        free(blocks[slot]);
        blocks[slot] = malloc(bytes + 16);
    }
    if (blocks[slot] == NULL) {
        stop("no memory");
    }
    return (uint8_t *)blocks[slot] + (16 - (uintptr_t)blocks[slot] % 16) % 16;
}

static void take(void *bytes, size_t count)
{
    if (fread(bytes, 1, count, stdin) != count) {
        stop("the input ends too early");
    }
}

static uint64_t number(int bytes)
{
    uint8_t read[8];
    uint64_t value = 0;
    take(read, (size_t)bytes);
    for (int i = bytes; i-- > 0;) {
        value = value << 8 | read[i];
    }
    return value;
}

static uint32_t word(void)
{
    return (uint32_t)number(4);
}

/* count elements of so many bytes each, in the processor's own order. */
static void elements(void *target, size_t count, int bytes)
{
    uint8_t *next = target;
    if (bytes == 1) {
        take(target, count);
        return;
    }
    for (size_t i = 0; i < count; ++i, next += bytes) {
        const uint64_t value = number(bytes);
        const uint32_t low = (uint32_t)value;
        const uint16_t half = (uint16_t)value;
        memcpy(next,
               bytes == 8   ? (const void *)&value
               : bytes == 4 ? (const void *)&low
                            : &half,
               (size_t)bytes);
    }
}

static void put(const void *bytes, size_t count)
{
    if (fwrite(bytes, 1, count, stdout) != count) {
        fprintf(stderr, "probe: the output cannot be written\n");
        exit(5);
    }
}

static void put_word(uint32_t value)
{
    const uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                              (uint8_t)(value >> 24)};
    put(bytes, 4);
}

static void put_element(const uint8_t *element, uint32_t bytes)
{
    uint32_t value;
    uint16_t half;
    if (bytes == 4) {
        memcpy(&value, element, 4);
        put_word(value);
    } else if (bytes == 2) {
        memcpy(&half, element, 2);
        put((uint8_t[]){(uint8_t)half, (uint8_t)(half >> 8)}, 2);
    } else {
        put(element, 1);
    }
}

static const ares_network *const network = &ARES_PROBED_NETWORK;
static const ares_layer *layers[MOST_LAYERS]; /* in the order in which they run */
static uint32_t num_layers;

static void list_layers(void)
{
    for (uint32_t i = 0; i < network->num_layers; ++i) {
        const ares_layer *const layer = &network->layers[i];
        const uint32_t steps = layer->num_stages > 0 ? layer->num_stages : 1;
        for (uint32_t k = 0; k < steps && num_layers < MOST_LAYERS; ++k) {
            layers[num_layers++] = layer->num_stages > 0 ? &layer->stages[k] : layer;
        }
    }
}

/* A string of JSON; what is not ASCII is as it is. */
static void put_text(const char *text)
{
    printf("\"");
    for (; *text != 0; ++text) {
        if ((unsigned char)*text < ' ' || *text == '"' || *text == '\\') {
            printf("\\u%04x", (unsigned)*text);
        } else {
            printf("%c", *text);
        }
    }
    printf("\"");
}

static void put_numbers(const uint16_t *numbers, uint32_t count)
{
    printf(", [");
    for (uint32_t k = 0; k < count; ++k) {
        printf(k == 0 ? "%u" : ", %u", (unsigned)numbers[k]);
    }
    printf("]");
}

/* A line of JSON: of each layer name, whether it has a kernel, inputs, outputs; of each tensor name, elements, type, place. */
static void put_table(void)
{
    for (uint32_t i = 0; i < num_layers; ++i) {
        printf(i == 0 ? "[[" : ", [");
        put_text(layers[i]->name);
        printf(", %s", layers[i]->kernel != NULL ? "true" : "false");
        put_numbers(layers[i]->inputs, layers[i]->num_inputs);
        put_numbers(layers[i]->outputs, layers[i]->num_outputs);
        printf("]");
    }
    for (uint32_t i = 0; i < network->num_tensors; ++i) {
        const ares_tensor *const tensor = &network->tensors[i];
        printf(", [");
        put_text(tensor->name);
        printf(", %lu, %d, %d, %lu]", (unsigned long)tensor->elements, (int)tensor->dtype,
               (int)tensor->space, (unsigned long)tensor->position);
    }
    printf("]\n");
}

/* The chosen layer: copy and buffers, which are those of the layer until another one is chosen. */
static const ares_layer *layer;
static const places *where;
static uint8_t *params;
static void *inputs[ARES_MAX_OPERANDS];
static void *outputs[ARES_MAX_OPERANDS];
static void *scratch;

static size_t bytes_of(const ares_tensor *tensor)
{
    return tensor->elements * (size_t)ares_element_size(tensor->dtype);
}

static const ares_tensor *tensor_of(const uint16_t *operands, uint32_t k)
{
    return &network->tensors[operands[k]];
}

static void choose(uint32_t number_of)
{
    if (number_of >= num_layers || layers[number_of]->kernel == NULL) {
        stop("there is no such layer with a kernel");
    }
    layer = layers[number_of];
    where = NULL;
    params = NULL;
    for (size_t i = 0; i < sizeof all_places / sizeof all_places[0]; ++i) {
        if (all_places[i].kernel == layer->kernel) {
            where = &all_places[i];
            params = memory(OF_PARAMS, where->bytes);
            memcpy(params, layer->params, where->bytes);
        }
    }
    for (uint32_t k = 0; k < layer->num_inputs; ++k) {
        inputs[k] = memory(OF_INPUTS + (int)k, bytes_of(tensor_of(layer->inputs, k)));
    }
    for (uint32_t k = 0; k < layer->num_outputs; ++k) {
        const ares_tensor *const made = tensor_of(layer->outputs, k);
        outputs[k] = memory(OF_OUTPUTS + (int)k, bytes_of(made));
        for (uint32_t i = 0; i < layer->num_inputs; ++i) { /* in place, as in the network */
            const ares_tensor *const read = tensor_of(layer->inputs, i);
            if (read->space == made->space && read->position == made->position) {
                outputs[k] = inputs[i];
            }
        }
    }
    scratch = layer->scratch_bytes > 0 ? memory(OF_SCRATCH, layer->scratch_bytes) : NULL;
}

/* Where a field of the copy is. */
static void *field(size_t place)
{
    if (where == NULL || place == NONE) {
        stop("the layer's kernel has nothing of the kind");
    }
    return params + place;
}

static void *taken(int slot, size_t count, int bytes)
{
    void *const target = memory(slot, count * (size_t)bytes);
    elements(target, count, bytes);
    return target;
}

static void point_at(size_t place, const void *target)
{
    memcpy(field(place), &target, sizeof target);
}

static void replace_weights(void)
{
    const uint32_t bytes = word();
    point_at(where == NULL ? NONE : where->weight, taken(OF_WEIGHTS, bytes, 1));
    const uint32_t sums = word();
    if (sums > 0) {
        point_at(where->sums, taken(OF_SUMS, sums, 4));
    }
}

static void replace_rescale(void)
{
    static ares_rescale several[MOST_RESCALES];
    ares_rescale own;
    const uint32_t n = word();
    memset(&own, 0, sizeof own);
    own.multiplier = taken(OF_MULTIPLIERS, n, 4);
    own.offset = taken(OF_OFFSETS, n, 8);
    own.shift = taken(OF_SHIFTS, n, 1);
    own.channel_stride = n > 1;
    own.lo = (int32_t)word();
    own.hi = (int32_t)word();
    if (where != NULL && where->rescales != NONE) {
        for (int i = 0; i < MOST_RESCALES; ++i) {
            several[i] = own;
        }
        point_at(where->rescales, several);
    } else {
        memcpy(field(where == NULL ? NONE : where->rescale), &own, sizeof own);
    }
}

static void replace_real(void)
{
    const uint32_t n = word();
    point_at(where == NULL ? NONE : where->scale, taken(OF_SCALES, n, 4));
    const void *const biases = taken(OF_BIASES, n, 4);
    if (where->biases != NONE) {
        point_at(where->biases, biases);
    }
    point_at(where->bias, NULL);
}

static void set_input(void)
{
    const uint32_t k = word();
    if (layer == NULL || k >= layer->num_inputs) {
        stop("there is no such input");
    }
    const ares_tensor *const tensor = tensor_of(layer->inputs, k);
    elements(inputs[k], tensor->elements, (int)ares_element_size(tensor->dtype));
}

/* Inputs that the kernel writes over are whole again behind it. */
static void run(void)
{
    const uint32_t k = word();
    const uint32_t start = word();
    const uint32_t count = word();
    const uint32_t step = word();
    if (layer == NULL || k >= layer->num_outputs) {
        stop("there is no such output");
    }
    const ares_tensor *const tensor = tensor_of(layer->outputs, k);
    const uint32_t bytes = ares_element_size(tensor->dtype);
    void *kept = NULL;
    void *shared = NULL;
    size_t size = 0;
    if (count > 0 && start + (uint64_t)(count - 1) * step >= tensor->elements) {
        stop("the output has fewer elements");
    }
    for (uint32_t i = 0; i < layer->num_inputs; ++i) {
        if (outputs[k] == inputs[i]) {
            shared = inputs[i];
            size = bytes_of(tensor_of(layer->inputs, i));
        }
    }
    if (shared == NULL) {
        memset(outputs[k], 0xa5,
               bytes_of(tensor)); /* what the kernel leaves out is not right by chance */
    } else {
        kept = memory(OF_KEPT, size);
        memcpy(kept, shared, size);
    }
    const void *operands[ARES_MAX_OPERANDS];
    for (uint32_t i = 0; i < layer->num_inputs; ++i) {
        operands[i] = inputs[i];
    }
    put_word((uint32_t)layer->kernel(params != NULL ? params : layer->params, operands, outputs,
                                     scratch));
    if (bytes == 1 && step == 1) {
        put((const uint8_t *)outputs[k] + start, count);
    } else {
        for (uint32_t i = 0; i < count; ++i) {
            put_element((const uint8_t *)outputs[k] + (start + (size_t)i * step) * bytes, bytes);
        }
    }
    if (shared != NULL) {
        memcpy(shared, kept, size);
    }
}

static void put_weights(void)
{
    const void *weights;
    memcpy(&weights, field(where == NULL ? NONE : where->weight), sizeof weights);
    put(weights, word());
}

static void put_constant(void)
{
    const uint32_t number_of = word();
    if (number_of >= network->num_tensors || network->tensors[number_of].data == NULL) {
        stop("there is no such constant");
    }
    const ares_tensor *const tensor = &network->tensors[number_of];
    const uint32_t bytes = ares_element_size(tensor->dtype);
    for (uint32_t i = 0; i < tensor->elements; ++i) {
        put_element((const uint8_t *)tensor->data + i * bytes, bytes);
    }
}

static void obey(uint32_t command)
{
    switch (command) {
    case 2:
        choose(word());
        break;
    case 3:
        replace_weights();
        break;
    case 4:
        replace_rescale();
        break;
    case 5:
        replace_real();
        break;
    case 6:
        set_input();
        break;
    case 7:
        run();
        break;
    case 8:
        put_weights();
        break;
    case 9:
        put_constant();
        break;
    default:
        stop("there is no such command");
    }
}

int main(void)
{
    list_layers();
    put_table();
    fflush(stdout);
    for (;;) {
        const int first = getchar();
        if (first == EOF) {
            break;
        }
        ungetc(first, stdin);
        obey(word());
        if (fflush(stdout) != 0) {
            fprintf(stderr, "probe: the output cannot be written\n");
            return 5;
        }
    }
    for (int i = 0; i < SLOTS; ++i) {
        free(blocks[i]);
    }
    return 0;
}
