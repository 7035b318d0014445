#include "board.h"

#include "trace_io.h"

#include <string.h>

#define PAINT 0xA5A5A5A5u
#define UNPAINTED 128 /* bytes below the first frame that are in use while it paints */
#define EXIT_STACK 98
#define EXIT_FAULT 99
#define REASON_APPLICATION_EXIT 0x20026u
#define WORDS 3

static char command_line[4096];

/* So that the deepest word ever used can be found later. */
void ares_io_measure_stack(void)
{
    const uintptr_t frame = (uintptr_t)__builtin_frame_address(0) - UNPAINTED;

    for (volatile uint32_t *at = ares_stack_bottom; (uintptr_t)at < frame; ++at) {
        *at = PAINT;
    }
}

uint32_t ares_io_stack(void)
{
    const volatile uint32_t *at = ares_stack_bottom;

    while (*at == PAINT) {
        ++at;
    }
    return (uint32_t)((uintptr_t)ares_stack_top - (uintptr_t)at);
}

/*
 * The last words of the command line into argv[1] and following; returns argc. Before them stands the program's path,
 * which may hold blanks.
 */
static int split(char *line, char **argv)
{
    char *end = line + strlen(line);
    int found = 0;

    while (found < WORDS) {
        while (end > line && end[-1] == ' ') {
            --end;
        }
        if (end == line) {
            break;
        }
        *end = '\0';
        while (end > line && end[-1] != ' ') {
            --end;
        }
        argv[WORDS - found] = end;
        ++found;
    }
    for (int i = 0; found < WORDS && i < found; ++i) {
        argv[1 + i] = argv[WORDS - found + 1 + i];
    }
    return 1 + found;
}

static _Noreturn void exit_without_stack(void)
{
    ares_io_complain("ares-board: the stack is too small\n");
    ares_board_exit(EXIT_STACK);
}

_Noreturn void ares_board_run(void)
{
    static char name[] = "program";
    static char *argv[1 + WORDS + 1] = {name};
    const uintptr_t block[2] = {(uintptr_t)command_line, sizeof command_line};

    ares_io_measure_stack();
    memcpy(ares_data_start, ares_data_source, (size_t)(ares_data_end - ares_data_start));
    memset(ares_bss_start, 0, (size_t)(ares_bss_end - ares_bss_start));
    if (ares_semihost(SEMIHOST_GET_CMDLINE, block) != 0) {
        ares_io_complain("ares-board: no command line\n");
        ares_board_exit(EXIT_FAULT);
    }
    const int argc = split(command_line, argv);
    const int code = main(argc, argv);
    if (ares_stack_bottom[0] != PAINT) {
        exit_without_stack();
    }
    ares_board_exit(code);
}

_Noreturn void ares_board_exit(int code)
{
    const uintptr_t block[2] = {REASON_APPLICATION_EXIT, (uintptr_t)code};

    for (;;) {
        ares_semihost(SEMIHOST_EXIT_EXTENDED, block);
    }
}

static void complain_hexadecimal(const char *what, uint32_t number)
{
    char digits[9];

    for (size_t i = 0; i < 8; ++i) {
        digits[i] = "0123456789abcdef"[(number >> (28u - 4u * i)) & 15u];
    }
    digits[8] = '\0';
    ares_io_complain(what);
    ares_io_complain(digits);
}

_Noreturn void ares_board_fault(const char *cause, uint32_t number, uint32_t address,
                                uint32_t stack)
{
    ares_io_complain("ares-board: fault of the processor, ");
    ares_io_complain(cause);
    complain_hexadecimal(" 0x", number);
    complain_hexadecimal(" at 0x", address);
    ares_io_complain("\n");
    if (stack < (uintptr_t)ares_stack_bottom) {
        exit_without_stack();
    }
    ares_board_exit(EXIT_FAULT);
}
