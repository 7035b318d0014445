#include "executor.h"

#include <string.h>

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

ares_status ares_execute(const ares_network *network, const void *const *inputs,
                         void *const *outputs, void *arena, ares_observer observer, void *context)
{
    uint8_t *const base = (uint8_t *)arena;
    const void *operands[ARES_MAX_OPERANDS];
    void *results[ARES_MAX_OPERANDS];

    for (uint32_t i = 0; i < network->num_layers; ++i) {
        const ares_layer *layer = &network->layers[i];
        for (uint32_t k = 0; k < layer->num_inputs; ++k) {
            const ares_tensor *tensor = &network->tensors[layer->inputs[k]];
            operands[k] = tensor->space == ARES_SPACE_INPUT ? inputs[tensor->position]
                                                            : base + tensor->position;
        }
        for (uint32_t k = 0; k < layer->num_outputs; ++k) {
            results[k] = base + network->tensors[layer->outputs[k]].position;
        }
        if (layer->kernel != NULL) {
            const ares_status status =
                layer->kernel(layer->params, operands, results, base + layer->scratch);
            if (status != ARES_OK) {
                return status;
            }
        }
        if (observer != NULL && layer->observed) {
            for (uint32_t k = 0; k < layer->num_outputs; ++k) {
                const ares_tensor *tensor = &network->tensors[layer->outputs[k]];
                /* A layer that only reshapes a network input shows the input's own memory. */
                const void *shown =
                    tensor->space == ARES_SPACE_INPUT ? inputs[tensor->position] : results[k];
                observer(context, i, layer, tensor, shown);
            }
        }
    }
    for (uint32_t k = 0; k < network->num_outputs; ++k) {
        const ares_tensor *tensor = &network->tensors[network->outputs[k]];
        memcpy(outputs[k], base + tensor->position, tensor->elements * element_size(tensor->dtype));
    }
    return ARES_OK;
}
