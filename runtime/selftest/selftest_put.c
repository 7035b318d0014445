#include "selftest.h"

#include <stdio.h>

void ares_selftest_put(const char *text)
{
    fputs(text, stdout);
    fflush(stdout);
}
