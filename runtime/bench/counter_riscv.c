#include "counter.h"

void ares_counter_start(void)
{
}

uint64_t ares_counter_read(void)
{
    uint32_t high;
    uint32_t low;
    uint32_t again;

    do {
        __asm__ volatile("csrr %0, minstreth" : "=r"(high));
        __asm__ volatile("csrr %0, minstret" : "=r"(low));
        __asm__ volatile("csrr %0, minstreth" : "=r"(again));
    } while (high != again);
    return ((uint64_t)high << 32) | low;
}
