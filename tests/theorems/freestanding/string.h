/* Of a C library, what the runtime uses: for processors without an operating system, which have none here. */
#ifndef ARES_THEOREMS_STRING_H
#define ARES_THEOREMS_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
int memcmp(const void *one, const void *other, size_t count);

#endif
