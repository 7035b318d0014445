/*
 * The functions of the C library that compilers and kernels expect to find, where there is no C library.
 *
 * Bare-metal programs are linked without one. The kernels use memcpy, memmove and memset; compilers call these and
 * memcmp on their own account. strcmp and strlen serve the tracing program. Meaning and limits are those of
 * ISO C; memory.c holds them. float.h, stddef.h and stdint.h come with every compiler.
 */
#ifndef ARES_BOARD_STRING_H
#define ARES_BOARD_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *one, const void *other, size_t bytes);
int strcmp(const char *one, const char *other);
size_t strlen(const char *text);

#endif
