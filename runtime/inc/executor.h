/*
 * Runs a network: walks its table of layers.
 *
 * No allocation, no I/O, no state between calls: the arena holds everything, so two threads may run the same
 * network with two arenas.
 */
#ifndef ARES_EXECUTOR_H
#define ARES_EXECUTOR_H

#include "layer_descriptors.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Called after each observed layer or stage, once per output tensor. layer_index counts the kernels and the stages
 * that ran; data stays valid only during the call and must not be written. Anything but ARES_OK ends the run, which
 * returns it: ARES_STOPPED where nothing is wrong.
 */
typedef ares_status (*ares_observer)(void *context, uint32_t layer_index, const ares_layer *layer,
                                     const ares_tensor *tensor, const void *data);

/* Bytes of one element. */
uint32_t ares_element_size(ares_dtype dtype);

/*
 * inputs, outputs  one buffer per network input and output, in PyTorch's order of elements, aligned as its element
 *                  type. Layers read inputs, and write and read outputs, while the network runs: no output may overlap
 *                  another buffer or the arena. After anything but ARES_OK the contents of outputs mean nothing
 * arena            the generated <NET>_ARENA_BYTES bytes, aligned to 16 (else ARES_ERROR_ARENA, also where it is NULL);
 *                  contents before the call do not matter
 * observer         may be NULL; results do not depend on it
 * Returns ARES_OK, or the first error of a kernel or answer of the observer, at which the run stops.
 */
ares_status ares_execute(const ares_network *network, const void *const *inputs,
                         void *const *outputs, void *arena, ares_observer observer, void *context);

#ifdef __cplusplus
}
#endif

#endif
