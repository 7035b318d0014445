#include "board.h"

/*
 * Cortex-M: the processor loads its stack pointer and the address of ares_reset from the first two words of the
 * vector table. Every other entry is a fault to us: nothing here uses interrupts.
 */

#define COPROCESSOR_ACCESS (*(volatile uint32_t *)0xE000ED88u)
#define FAULT_STATUS (*(volatile uint32_t *)0xE000ED28u)
#define FLOATING_POINT (0xFu << 20) /* coprocessors 10 and 11: FPU, and MVE */

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

/* No function that could hold floating-point code may be inlined here: the unit is still off. */
void ares_reset(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    COPROCESSOR_ACCESS |= FLOATING_POINT;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
    ares_board_run();
}

/* With the number of the exception and the address that it interrupted. */
__attribute__((used)) static void report(uint32_t address)
{
    ares_board_fault("status", FAULT_STATUS, address);
}

/* The stack may be what is broken: read the interrupted address if it can be, then start anew at the top. */
__attribute__((naked)) static void fault(void)
{
    __asm__ volatile("mov r0, sp\n\t"
                     "ldr r1, =ares_stack_bottom\n\t"
                     "cmp r0, r1\n\t"
                     "ite lo\n\t"
                     "movlo r0, #0\n\t"
                     "ldrhs r0, [r0, #24]\n\t"
                     "ldr r1, =ares_stack_top\n\t"
                     "mov sp, r1\n\t"
                     "b %c0" ::"i"(report));
}
