/*
 * What every board without an operating system has in common, from its first instruction to its exit code.
 *
 * The processor's own file (cortex-m/start.c, riscv/start.c) holds the first instructions: a stack pointer, the
 * floating-point unit switched on, a place to go at a fault. It then calls ares_board_run, which makes memory what C
 * expects, paints the stack, fetches the words of the command line by semihosting, calls main and ends the emulator with
 * its answer. The linker script names the memory: sections.ld has the order, <board>.ld the sizes.
 *
 * Exit codes beside those of main: 98 when the stack did not suffice, 99 at a fault of the processor.
 */
#ifndef ARES_BOARD_H
#define ARES_BOARD_H

#include <stdint.h>

/*
 * Operations of ARM's semihosting, which RISC-V shares. Each takes one pointer, mostly to a block of words, and
 * answers with one word.
 */
enum {
    SEMIHOST_OPEN = 0x01,          /* {path, mode, length of path}: handle, or -1 */
    SEMIHOST_CLOSE = 0x02,         /* {handle}: 0, or -1 */
    SEMIHOST_WRITE0 = 0x04,        /* text, ended by zero, to the console */
    SEMIHOST_WRITE = 0x05,         /* {handle, from, bytes}: bytes that were not written */
    SEMIHOST_READ = 0x06,          /* {handle, to, bytes}: bytes that were not read */
    SEMIHOST_ERRNO = 0x13,         /* of the last operation */
    SEMIHOST_GET_CMDLINE = 0x15,   /* {to, room}: 0, or -1; the block is changed */
    SEMIHOST_EXIT_EXTENDED = 0x20, /* {reason, exit code}: does not return */
};

/* Asks the host; the processor's own file has the instructions. */
intptr_t ares_semihost(int operation, const void *argument);

/* Called once, on an empty stack. */
_Noreturn void ares_board_run(void);

/* Ends the program. */
_Noreturn void ares_board_exit(int code);

/* Called at any fault of the processor, on an empty stack: says what and where, and ends the program. */
_Noreturn void ares_board_fault(const char *cause, uint32_t number, uint32_t address,
                                uint32_t stack);

/* The generated main. */
int main(int argc, char **argv);

/* Addresses from sections.ld. */
extern uint32_t ares_stack_bottom[];
extern uint32_t ares_stack_top[];
extern uint8_t ares_flash_start[];
extern uint8_t ares_flash_end[];
extern uint8_t ares_data_source[];
extern uint8_t ares_data_start[];
extern uint8_t ares_data_end[];
extern uint8_t ares_bss_start[];
extern uint8_t ares_bss_end[];

#endif
