#include "string.h"

#include <stdint.h>

/* A compiler that sees a loop copy or fill memory calls memcpy or memset for it: here, itself. Not past this. */
#define OPAQUE() __asm__ volatile("" ::: "memory")

typedef uint32_t __attribute__((may_alias)) word;

static int is_aligned(const void *pointer)
{
    return (uintptr_t)pointer % sizeof(word) == 0;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    uint8_t *target = (uint8_t *)to;
    const uint8_t *source = (const uint8_t *)from;

    if (is_aligned(target) && is_aligned(source)) {
        for (; bytes >= 4 * sizeof(word); bytes -= 4 * sizeof(word)) {
            word *const wide_target = (word *)(void *)target;
            const word *const wide_source = (const word *)(const void *)source;
            wide_target[0] = wide_source[0];
            wide_target[1] = wide_source[1];
            wide_target[2] = wide_source[2];
            wide_target[3] = wide_source[3];
            target += 4 * sizeof(word);
            source += 4 * sizeof(word);
            OPAQUE();
        }
    }
    for (; bytes > 0; --bytes) {
        *target++ = *source++;
        OPAQUE();
    }
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    uint8_t *const target = (uint8_t *)to;
    const uint8_t *const source = (const uint8_t *)from;

    if ((uintptr_t)target - (uintptr_t)source >= bytes) {
        for (size_t i = 0; i < bytes; ++i) { /* no byte is written before it is read */
            target[i] = source[i];
            OPAQUE();
        }
        return to;
    }
    for (size_t i = bytes; i > 0; --i) {
        target[i - 1] = source[i - 1];
        OPAQUE();
    }
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    uint8_t *target = (uint8_t *)to;
    const uint8_t byte = (uint8_t)value;
    const word pattern = (word)byte * 0x01010101u;

    for (; bytes > 0 && !is_aligned(target); --bytes) {
        *target++ = byte;
        OPAQUE();
    }
    for (; bytes >= 4 * sizeof(word); bytes -= 4 * sizeof(word)) {
        word *const wide = (word *)(void *)target;
        wide[0] = pattern;
        wide[1] = pattern;
        wide[2] = pattern;
        wide[3] = pattern;
        target += 4 * sizeof(word);
        OPAQUE();
    }
    for (; bytes > 0; --bytes) {
        *target++ = byte;
        OPAQUE();
    }
    return to;
}

int memcmp(const void *one, const void *other, size_t bytes)
{
    const uint8_t *const a = (const uint8_t *)one;
    const uint8_t *const b = (const uint8_t *)other;

    for (size_t i = 0; i < bytes; ++i) {
        if (a[i] != b[i]) {
            return (int)a[i] - (int)b[i];
        }
    }
    return 0;
}

int strcmp(const char *one, const char *other)
{
    size_t i = 0;

    while (one[i] != '\0' && one[i] == other[i]) {
        ++i;
    }
    return (int)(uint8_t)one[i] - (int)(uint8_t)other[i];
}

size_t strlen(const char *text)
{
    size_t length = 0;

    while (text[length] != '\0') {
        ++length;
        OPAQUE();
    }
    return length;
}
