#include "board.h"

/*
 * RISC-V, machine mode: execution starts at the first byte of memory with nothing set up. FLASH is memory like any other
 * here, so a locked entry of the physical memory protection (read and execute, a power of two of bytes) makes
 * it what its name says: a stack that leaves its end faults there.
 */
__asm__(".section .ares_vectors, \"ax\"\n\t"
        ".option push\n\t"
        ".option norelax\n\t"
        ".globl ares_reset\n"
        "ares_reset:\n\t"
        "la sp, ares_stack_top\n\t"
        "la t0, ares_trap\n\t"
        "csrw mtvec, t0\n\t"
        "la t0, ares_flash_napot\n\t"
        "csrw pmpaddr0, t0\n\t"
        "li t0, 0x9d\n\t" /* locked, NAPOT, execute, read */
        "csrw pmpcfg0, t0\n\t"
#if defined(__riscv_flen)
        "li t0, 0x2000\n\t" /* mstatus.FS: floating point is on */
        "csrs mstatus, t0\n\t"
        "csrw fcsr, zero\n\t"
#endif
        "tail ares_board_run\n\t"
        ".balign 4\n"
        "ares_trap:\n\t" /* the stack may be what is broken */
        "mv a2, sp\n\t"
        "la sp, ares_stack_top\n\t"
        "csrr a0, mcause\n\t"
        "csrr a1, mepc\n\t"
        "tail ares_report\n\t"
        ".option pop\n\t"
        ".text");

/* The three instructions are one signal to the host; they may not be compressed nor cross a page. */
__asm__(".section .text.ares_semihost, \"ax\"\n\t"
        ".option push\n\t"
        ".option norvc\n\t"
        ".globl ares_semihost\n\t"
        ".balign 16\n"
        "ares_semihost:\n\t"
        "slli x0, x0, 0x1f\n\t"
        "ebreak\n\t"
        "srai x0, x0, 7\n\t"
        "ret\n\t"
        ".option pop\n\t"
        ".text");

void ares_report(uint32_t cause, uint32_t address, uint32_t stack);
void ares_report(uint32_t cause, uint32_t address, uint32_t stack)
{
    ares_board_fault("cause", cause, address, stack);
}
