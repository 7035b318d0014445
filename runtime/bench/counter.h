/*
 * What a bench counts. One header, an answer for each kind of machine; which one is built in says ares/toolchain/bench.py,
 * and what its readings mean.
 *
 *   counter_clock.c     nanoseconds of processor time, or of the clock where there is nothing better
 *   counter_cortex_m.c  ticks of the board's timers
 *   counter_riscv.c     instructions that the processor has retired
 *
 * An emulator whose time goes by the instruction (QEMU with -icount) makes the ticks of a timer a count of instructions
 * too.
 */
#ifndef ARES_COUNTER_H
#define ARES_COUNTER_H

#include "../inc/symbols.h"

#include <stdint.h>

/* Once, before the first reading. */
void ares_counter_start(void);

/* How much has passed since some beginning. Reading costs about the same every time. */
uint64_t ares_counter_read(void);

#endif
