#include "trace_line.h"

#include "trace_io.h"

#include <stddef.h>

void ares_trace_print_number(uint32_t number)
{
    char digits[11];
    size_t at = sizeof digits - 1;

    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10u);
        number /= 10u;
    } while (number > 0u);
    ares_io_print(&digits[at]);
}

void ares_trace_print_digest(uint64_t digest)
{
    char digits[17];

    for (size_t i = 0; i < 16; ++i) {
        digits[i] = "0123456789abcdef"[(digest >> (60u - 4u * i)) & 15u];
    }
    digits[16] = '\0';
    ares_io_print(digits);
}

void ares_trace_print_line(const ares_trace_line *line)
{
    ares_io_print(line->layer != NULL ? "layer " : "output ");
    ares_trace_print_number(line->index);
    ares_io_print(" ");
    if (line->layer != NULL) {
        ares_io_print(line->layer);
        ares_io_print(" ");
        ares_io_print(line->tensor);
        ares_io_print(" ");
    }
    ares_trace_print_digest(line->digest);
    ares_io_print("\n");
}
