#include "counter.h"

/*
 * The board's own timers. The processor's SysTick has 24 bits, which one layer can fill, and QEMU has no cycle counter
 * of the DWT.
 */
#define REGISTER(address) (*(volatile uint32_t *)(address))

#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)

/* The system counter of ARM's SSE-300, 64 bits, in two words; at its secure address. */
#define CONTROL REGISTER(0x58100000u)
#define LOW REGISTER(0x58100008u)
#define HIGH REGISTER(0x5810000Cu)

void ares_counter_start(void)
{
    CONTROL = 1u;
}

uint64_t ares_counter_read(void)
{
    uint32_t high = HIGH;
    uint32_t low = LOW;

    if (low < UINT32_MAX / 2u) { /* may have begun anew between the two */
        high = HIGH;
    }
    return ((uint64_t)high << 32) | low;
}

#else

/*
 * ARM's CMSDK has timers of 32 bits that count down. One counts every tick, one of the dual timer every 256th: the
 * second says how often the first has begun anew.
 */
#define FINE_CONTROL REGISTER(0x40000000u)
#define FINE_VALUE REGISTER(0x40000004u)
#define FINE_RELOAD REGISTER(0x40000008u)
#define COARSE_LOAD REGISTER(0x40002000u)
#define COARSE_VALUE REGISTER(0x40002004u)
#define COARSE_CONTROL REGISTER(0x40002008u)
#define COARSE_TICKS 256u
#define FREE_RUNNING 0x8Au /* on, a 256th, 32 bits */

void ares_counter_start(void)
{
    FINE_RELOAD = UINT32_MAX;
    FINE_VALUE = UINT32_MAX;
    COARSE_LOAD = UINT32_MAX;
    COARSE_CONTROL = FREE_RUNNING;
    FINE_CONTROL = 1u;
}

uint64_t ares_counter_read(void)
{
    const uint32_t fine = UINT32_MAX - FINE_VALUE;
    const uint64_t about = (uint64_t)(UINT32_MAX - COARSE_VALUE) * COARSE_TICKS;

    /* The one number near `about` that ends in `fine`. */
    return about + (uint64_t)(int64_t)(int32_t)(fine - (uint32_t)about);
}

#endif
