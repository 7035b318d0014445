/*
 * Makes mistakes with the arena visible while a network is traced.
 *
 * The plan puts tensors of different times into the same bytes. A kernel that reads beside its operands, or a
 * plan that gives memory away too early, then still finds numbers there, often the right ones. So after every
 * observed step all bytes of the arena that hold no live tensor are filled with ARES_POISON. A tensor is live from the
 * step that makes it to the last step that reads it; an output of the network, to the end. Names of the same memory
 * (a reshape, an in-place result) keep it for as long as one of them lives.
 *
 * Built with AddressSanitizer, only the operands and the scratch memory of the steps up to the next observed one can
 * be touched at all. Built with MemorySanitizer, bytes without a live tensor count as never written, and ares_watch_read
 * reports a tensor that was made from such.
 *
 * A watch costs no heap: the caller reserves one entry of last_use and of live for each tensor of the network.
 */
#ifndef ARES_ARENA_WATCH_H
#define ARES_ARENA_WATCH_H

#include "../inc/executor.h"

#define ARES_POISON 0xA5

/* Where a walk through the steps of a network stands: stages of composites count one by one. */
typedef struct ares_watch_place {
    uint32_t layer;
    uint32_t stage;
    uint32_t step;
} ares_watch_place;

/* Only the functions below touch the fields. */
typedef struct ares_watch {
    const ares_network *network;
    uint8_t *arena;
    uint32_t arena_bytes;
    uint32_t *last_use; /* step that reads a tensor last */
    uint16_t *live;     /* indices of the live tensors in the arena, by position */
    uint32_t num_live;
    ares_watch_place next; /* the first step that has not been accounted for */
} ares_watch;

/* Reads the tables; last_use and live have network->num_tensors entries each. */
void ares_watch_prepare(ares_watch *watch, const ares_network *network, void *arena,
                        uint32_t arena_bytes, uint32_t *last_use, uint16_t *live);

/* Before a run: nothing is live, all of the arena is poison, the first steps' operands can be touched. */
void ares_watch_begin(ares_watch *watch);

/* After a step whose outputs have all been observed: what died there is poison, the next steps' operands can be touched. */
void ares_watch_advance(ares_watch *watch, uint32_t step);

/* Before a run, an output's buffer: poison, and bytes that nobody wrote, where the build can know that. */
void ares_watch_forget(void *data, size_t bytes);

/* Before unobserved runs, and whenever the arena is needed as a whole: all of it can be touched. */
void ares_watch_open(const ares_watch *watch);

/* Before a tensor is read as a result: reports bytes that nobody wrote, where the build can know that. */
void ares_watch_read(const void *data, size_t bytes);

#endif
