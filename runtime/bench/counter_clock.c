/* POSIX's clocks where there are any; C11's, which somebody may set, elsewhere. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 199309L
#endif
#include "counter.h"

#include <time.h>

#define NANOSECONDS UINT64_C(1000000000)

#if defined(CLOCK_MONOTONIC)
/* The processor's time for this program, which does not run on while others have the processor. */
#if defined(CLOCK_PROCESS_CPUTIME_ID)
#define OWN CLOCK_PROCESS_CPUTIME_ID
#else
#define OWN CLOCK_MONOTONIC
#endif

static int no_own;

void ares_counter_start(void)
{
    struct timespec now;
    no_own = clock_gettime(OWN, &now) != 0;
}

uint64_t ares_counter_read(void)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(no_own ? CLOCK_MONOTONIC : OWN, &now);
    return (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
}

#else

void ares_counter_start(void)
{
}

uint64_t ares_counter_read(void)
{
    struct timespec now = {0, 0};
    (void)timespec_get(&now, TIME_UTC);
    return (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
}

#endif
