#include "arena_watch.h"

#include <string.h>

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif

/* Declared here because the compilers' headers for this are not always installed with them. */
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
void __asan_poison_memory_region(void const volatile *start, size_t bytes);
void __asan_unpoison_memory_region(void const volatile *start, size_t bytes);
#define FORBID(start, bytes) __asan_poison_memory_region(start, bytes)
#define ALLOW(start, bytes) __asan_unpoison_memory_region(start, bytes)
#else
#define FORBID(start, bytes) ((void)(start), (void)(bytes))
#define ALLOW(start, bytes) ((void)(start), (void)(bytes))
#endif

#if HAS_FEATURE(memory_sanitizer)
void __msan_poison(const volatile void *start, size_t bytes);
void __msan_check_mem_is_initialized(const volatile void *start, size_t bytes);
#define FORGET(start, bytes) __msan_poison(start, bytes)
#define CHECK(start, bytes) __msan_check_mem_is_initialized(start, bytes)
#else
#define FORGET(start, bytes) ((void)(start), (void)(bytes))
#define CHECK(start, bytes) ((void)(start), (void)(bytes))
#endif

/* The step at a place, NULL behind the last one. */
static const ares_layer *step_at(const ares_network *network, const ares_watch_place *place)
{
    if (place->layer == network->num_layers) {
        return NULL;
    }
    const ares_layer *const layer = &network->layers[place->layer];
    return layer->num_stages > 0 ? &layer->stages[place->stage] : layer;
}

/* To the next step. */
static void pass(const ares_network *network, ares_watch_place *place)
{
    ++place->step;
    ++place->stage;
    if (place->stage >= network->layers[place->layer].num_stages) {
        place->stage = 0;
        ++place->layer;
    }
}

static size_t bytes_of(const ares_tensor *tensor)
{
    return (size_t)tensor->elements * ares_element_size(tensor->dtype);
}

void ares_watch_forget(void *data, size_t bytes)
{
    memset(data, ARES_POISON, bytes);
    FORGET(data, bytes);
}

static void wipe(const ares_watch *watch, size_t start, size_t end)
{
    ares_watch_forget(watch->arena + start, end - start);
}

static void allow_tensor(const ares_watch *watch, uint16_t index)
{
    const ares_tensor *const tensor = &watch->network->tensors[index];
    if (tensor->space == ARES_SPACE_ARENA) {
        ALLOW(watch->arena + tensor->position, bytes_of(tensor));
    }
}

/* Nothing but what the steps up to the next observed one work on; behind the last one, what the executor copies. */
static void allow_next(const ares_watch *watch)
{
    ares_watch_place place = watch->next;
    const ares_layer *step = step_at(watch->network, &place);

    FORBID(watch->arena, watch->arena_bytes);
    for (; step != NULL; step = step_at(watch->network, &place)) {
        for (uint32_t k = 0; k < step->num_inputs; ++k) {
            allow_tensor(watch, step->inputs[k]);
        }
        for (uint32_t k = 0; k < step->num_outputs; ++k) {
            allow_tensor(watch, step->outputs[k]);
        }
        ALLOW(watch->arena + step->scratch, step->scratch_bytes);
        if (step->observed) {
            return;
        }
        pass(watch->network, &place);
    }
    for (uint32_t k = 0; k < watch->network->num_outputs; ++k) {
        allow_tensor(watch, watch->network->outputs[k]);
    }
}

/* A tensor that was just made takes its place among the live ones. */
static void enter(ares_watch *watch, uint16_t index)
{
    const ares_tensor *const tensors = watch->network->tensors;
    uint32_t at = watch->num_live++;

    while (at > 0 && tensors[watch->live[at - 1]].position > tensors[index].position) {
        watch->live[at] = watch->live[at - 1];
        --at;
    }
    watch->live[at] = index;
}

static void drop_dead(ares_watch *watch, uint32_t step)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < watch->num_live; ++i) {
        if (watch->last_use[watch->live[i]] > step) {
            watch->live[kept++] = watch->live[i];
        }
    }
    watch->num_live = kept;
}

static void wipe_gaps(const ares_watch *watch)
{
    size_t end = 0; /* of the live bytes so far */

    for (uint32_t i = 0; i < watch->num_live; ++i) {
        const ares_tensor *const tensor = &watch->network->tensors[watch->live[i]];
        if (tensor->position > end) {
            wipe(watch, end, tensor->position);
        }
        if (tensor->position + bytes_of(tensor) > end) {
            end = tensor->position + bytes_of(tensor);
        }
    }
    wipe(watch, end, watch->arena_bytes);
}

void ares_watch_prepare(ares_watch *watch, const ares_network *network, void *arena,
                        uint32_t arena_bytes, uint32_t *last_use, uint16_t *live)
{
    const ares_watch_place start = {0, 0, 0};

    watch->network = network;
    watch->arena = (uint8_t *)arena;
    watch->arena_bytes = arena_bytes;
    watch->last_use = last_use;
    watch->live = live;
    watch->num_live = 0;
    watch->next = start;

    ares_watch_place place = start;
    const ares_layer *step = step_at(network, &place);
    for (; step != NULL; step = step_at(network, &place)) {
        for (uint32_t k = 0; k < step->num_inputs; ++k) {
            last_use[step->inputs[k]] = place.step;
        }
        for (uint32_t k = 0; k < step->num_outputs; ++k) {
            last_use[step->outputs[k]] = place.step;
        }
        pass(network, &place);
    }
    for (uint32_t k = 0; k < network->num_outputs; ++k) {
        last_use[network->outputs[k]] = UINT32_MAX;
    }
}

void ares_watch_begin(ares_watch *watch)
{
    const ares_watch_place start = {0, 0, 0};

    watch->num_live = 0;
    watch->next = start;
    ares_watch_open(watch);
    wipe(watch, 0, watch->arena_bytes);
    allow_next(watch);
}

void ares_watch_advance(ares_watch *watch, uint32_t step)
{
    const ares_tensor *const tensors = watch->network->tensors;

    while (watch->next.step <= step) {
        const ares_layer *const made = step_at(watch->network, &watch->next);
        for (uint32_t k = 0; k < made->num_outputs; ++k) {
            if (tensors[made->outputs[k]].space == ARES_SPACE_ARENA) {
                enter(watch, made->outputs[k]);
            }
        }
        pass(watch->network, &watch->next);
    }
    drop_dead(watch, step);
    ares_watch_open(watch);
    wipe_gaps(watch);
    allow_next(watch);
}

void ares_watch_open(const ares_watch *watch)
{
    ALLOW(watch->arena, watch->arena_bytes);
}

void ares_watch_read(const void *data, size_t bytes)
{
    CHECK(data, bytes);
}
