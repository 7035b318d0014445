#include "board.h"

/*
 * RISC-V, machine mode: execution starts at the first byte of memory with nothing set up.
 */

#define TEXT(name) ".section " name ", \"ax\"\n\t.option push\n\t.option norelax\n\t"

__asm__(TEXT(".ares_vectors") ".globl ares_reset\n"
                              "ares_reset:\n\t"
                              "la sp, ares_stack_top\n\t"
                              "la t0, ares_trap\n\t"
                              "csrw mtvec, t0\n\t"
#if defined(__riscv_flen)
                              "li t0, 0x2000\n\t" /* mstatus.FS: floating point is on */
                              "csrs mstatus, t0\n\t"
                              "csrw fcsr, zero\n\t"
#endif
                              "j ares_board_run\n\t"
                              ".balign 4\n"
                              "ares_trap:\n\t" /* the stack may be what is broken */
                              "la sp, ares_stack_top\n\t"
                              "csrr a0, mcause\n\t"
                              "csrr a1, mepc\n\t"
                              "j ares_report\n\t"
                              ".option pop");

/* The three instructions are one signal to the host; they may not be compressed nor cross a page. */
__asm__(TEXT(".text.ares_semihost") ".option norvc\n\t"
                                    ".globl ares_semihost\n\t"
                                    ".balign 16\n"
                                    "ares_semihost:\n\t"
                                    "slli x0, x0, 0x1f\n\t"
                                    "ebreak\n\t"
                                    "srai x0, x0, 7\n\t"
                                    "ret\n\t"
                                    ".option pop\n\t"
                                    ".text");

void ares_report(uint32_t cause, uint32_t address);
void ares_report(uint32_t cause, uint32_t address)
{
    ares_board_fault("cause", cause, address);
}
