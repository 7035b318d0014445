#include "../inc/executor.h"

#include <string.h>

uint32_t ares_element_size(ares_dtype dtype)
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

/* What a run needs to find its tensors, and who looks at them. */
typedef struct run_state {
    const ares_network *network;
    const void *const *inputs;
    void *const *outputs;
    uint8_t *arena;
    ares_observer observer;
    void *context;
    uint32_t steps;
} run_state;

/* Where a tensor can be read. */
static const void *readable(const run_state *run, const ares_tensor *tensor)
{
    switch (tensor->space) {
    case ARES_SPACE_INPUT:
        return run->inputs[tensor->position];
    case ARES_SPACE_CONSTANT:
        return tensor->data;
    case ARES_SPACE_OUTPUT:
        return run->outputs[tensor->position];
    case ARES_SPACE_ARENA:
    default:
        return run->arena + tensor->position;
    }
}

/* Where a kernel writes a tensor: never to an input or a constant. */
static void *writable(const run_state *run, const ares_tensor *tensor)
{
    return tensor->space == ARES_SPACE_OUTPUT ? run->outputs[tensor->position]
                                              : run->arena + tensor->position;
}

static ares_status run_kernel(const run_state *run, const ares_layer *layer)
{
    const ares_tensor *const tensors = run->network->tensors;
    const void *operands[ARES_MAX_OPERANDS];
    void *results[ARES_MAX_OPERANDS];

    for (uint32_t k = 0; k < layer->num_inputs; ++k) {
        operands[k] = readable(run, &tensors[layer->inputs[k]]);
    }
    for (uint32_t k = 0; k < layer->num_outputs; ++k) {
        results[k] = writable(run, &tensors[layer->outputs[k]]);
    }
    return layer->kernel(layer->params, operands, results, run->arena + layer->scratch);
}

/* A layer without stages, or a stage. */
static ares_status run_step(run_state *run, const ares_layer *layer)
{
    const uint32_t step = run->steps++;
    if (layer->kernel != NULL) {
        const ares_status status = run_kernel(run, layer);
        if (status != ARES_OK) {
            return status;
        }
    }
    if (run->observer != NULL && layer->observed) {
        for (uint32_t k = 0; k < layer->num_outputs; ++k) {
            const ares_tensor *tensor = &run->network->tensors[layer->outputs[k]];
            const ares_status status =
                run->observer(run->context, step, layer, tensor, readable(run, tensor));
            if (status != ARES_OK) {
                return status;
            }
        }
    }
    return ARES_OK;
}

ares_status ares_execute(const ares_network *network, const void *const *inputs,
                         void *const *outputs, void *arena, ares_observer observer, void *context)
{
    run_state run = {network, inputs, outputs, (uint8_t *)arena, observer, context, 0};

    if (arena == NULL || (uintptr_t)arena % ARES_ARENA_ALIGNMENT != 0) {
        return ARES_ERROR_ARENA;
    }
    for (uint32_t i = 0; i < network->num_layers; ++i) {
        const ares_layer *const layer = &network->layers[i];
        const ares_layer *const steps = layer->num_stages > 0 ? layer->stages : layer;
        const uint32_t num_steps = layer->num_stages > 0 ? layer->num_stages : 1;
        for (uint32_t k = 0; k < num_steps; ++k) {
            const ares_status status = run_step(&run, &steps[k]);
            if (status != ARES_OK) {
                return status;
            }
        }
    }
    for (uint32_t k = 0; k < network->num_outputs; ++k) {
        const ares_tensor *tensor = &network->tensors[network->outputs[k]];
        const void *const made = readable(&run, tensor);
        if (made != outputs[k]) {
            memcpy(outputs[k], made, tensor->elements * (size_t)ares_element_size(tensor->dtype));
        }
    }
    return ARES_OK;
}
