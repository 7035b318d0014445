/* POSIX's steady clock where there is one; C11's, which somebody may set, elsewhere. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 199309L
#endif
#include "counter.h"

#include <time.h>

#define NANOSECONDS UINT64_C(1000000000)

void ares_counter_start(void)
{
}

uint64_t ares_counter_read(void)
{
    struct timespec now = {0, 0};
#if defined(CLOCK_MONOTONIC)
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
#else
    (void)timespec_get(&now, TIME_UTC);
#endif
    return (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
}
