#include "board.h"

/*
 * Cortex-M: the processor loads its stack pointer and the address of ares_reset from the first two words of the
 * vector table. Every other entry is a fault to us: nothing here uses interrupts.
 *
 * FLASH is memory like any other on these boards, and on two of them writes below RAM are lost without a word. The memory
 * protection unit makes the first read-only and the second a fault, which is where a stack goes that grows too deep.
 */

#define COPROCESSOR_ACCESS (*(volatile uint32_t *)0xE000ED88u)
#define FAULT_STATUS (*(volatile uint32_t *)0xE000ED28u)
#define FLOATING_POINT (0xFu << 20) /* coprocessors 10 and 11: FPU, and MVE */
#define PROTECTION_CONTROL (*(volatile uint32_t *)0xE000ED94u)
#define REGION_NUMBER (*(volatile uint32_t *)0xE000ED98u)
#define REGION_BASE (*(volatile uint32_t *)0xE000ED9Cu)
#define REGION_LIMIT (*(volatile uint32_t *)0xE000EDA0u) /* ARMv7-M: attributes and size */
#define ENABLED 1u
#define ELSE_AS_USUAL 4u /* what no region names keeps the processor's own map */
#define SHELTER 0x1000000u

typedef struct vector_table {
    void *stack_top;
    void (*handlers[15])(void);
} vector_table;

void ares_reset(void);
static void fault(void);

extern const vector_table ares_vectors;
__attribute__((section(".ares_vectors"), used, aligned(512))) const vector_table ares_vectors = {
    ares_stack_top,
    {ares_reset, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault,
     fault, fault},
};

intptr_t ares_semihost(int operation, const void *argument)
{
    register intptr_t answer __asm__("r0") = operation;
    register const void *block __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(answer) : "r"(block) : "memory");
    return answer;
}

#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)

/* RAM begins where nothing is, so that only FLASH needs a region. */
static void protect(void)
{
    REGION_NUMBER = 0;
    REGION_BASE = (uint32_t)ares_flash_start | 4u; /* read-only for privileged code */
    REGION_LIMIT = ((uint32_t)ares_flash_end - 1u) & ~31u;
    REGION_LIMIT |= ENABLED;
    PROTECTION_CONTROL = ENABLED | ELSE_AS_USUAL;
}

#else

/* A power of two of bytes at a multiple of it, as ARMv7-M wants regions. */
static void region(uint32_t number, uint32_t base, uint32_t bytes, uint32_t access)
{
    REGION_NUMBER = number;
    REGION_BASE = base;
    REGION_LIMIT =
        (access << 24) | (1u << 17) | ((30u - (uint32_t)__builtin_clz(bytes)) << 1) | ENABLED;
}

static void protect(void)
{
    const uint32_t flash = (uint32_t)ares_flash_start;
    region(0, flash, (uint32_t)ares_flash_end - flash, 6u);        /* read-only */
    region(1, (uint32_t)ares_stack_bottom - SHELTER, SHELTER, 0u); /* nothing at all */
    PROTECTION_CONTROL = ENABLED | ELSE_AS_USUAL;
}

#endif

/* No function that could hold floating-point code may be inlined here: the unit is still off. */
void ares_reset(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    COPROCESSOR_ACCESS |= FLOATING_POINT;
#endif
    protect();
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    ares_board_run();
}

/* What happened, where, and where the stack was. */
__attribute__((used)) static void report(uint32_t address, uint32_t stack)
{
    ares_board_fault("status", FAULT_STATUS, address, stack);
}

/*
 * The stack may be what is broken: the interrupted address is read if it can be, and what follows starts anew at the
 * top.
 */
__attribute__((naked)) static void fault(void)
{
    __asm__ volatile("mov r1, sp\n\t"
                     "ldr r2, =ares_stack_bottom\n\t"
                     "cmp r1, r2\n\t"
                     "ite lo\n\t"
                     "movlo r0, #0\n\t"
                     "ldrhs r0, [r1, #24]\n\t"
                     "ldr r2, =ares_stack_top\n\t"
                     "mov sp, r2\n\t"
                     "b %c0" ::"i"(report));
}
