/*
 * Is this machine's binary32 arithmetic what clause N9 of docs/numerics.md needs?
 *
 * N9: every + - * / and every conversion from int32 rounds once, half to even, to 24 bits. Compilers break that without a
 * word (no macro reveals contraction), and a linker flag can break it for code that was built well, so the program that
 * runs a network asks at its start. Kernels may rely on N9 only in the safe style: one operation a statement,
 * each result in a named variable.
 *
 * Subnormal numbers are part of it: flushing them is no danger to codes of a sane scale, but it is how -ffast-math
 * shows when it was given to the linker alone, and a scale below 2^-126 would come out wrong. Not asked: subnormal
 * quotients (several soft-float libraries truncate them; kernels do not rely on them) and square roots.
 */
#ifndef ARES_FLOAT_PROBE_H
#define ARES_FLOAT_PROBE_H

#include "symbols.h"

#include <stdint.h>

typedef enum ares_float_fault {
    ARES_FLOAT_OK = 0,
    ARES_FLOAT_FORMAT = 1,      /* not IEEE binary32 */
    ARES_FLOAT_EXCESS = 2,      /* a named result keeps more than 24 bits (x87 under -std=gnu11) */
    ARES_FLOAT_ROUNDING = 3,    /* not rounded half to even */
    ARES_FLOAT_CONTRACTION = 4, /* a*b+c with a single rounding: build with -ffp-contract=off */
    ARES_FLOAT_SUBNORMAL = 5, /* subnormal numbers are flushed to zero (-ffast-math at the link) */
    ARES_FLOAT_DIVISION = 6,  /* a quotient is not the nearest one */
} ares_float_fault;

/* ARES_FLOAT_OK, or the first fault found. Takes microseconds. */
int32_t ares_float_probe(void);

/* One word for a fault: what a run prints after "probe failed". */
const char *ares_float_fault_name(int32_t fault);

#endif
