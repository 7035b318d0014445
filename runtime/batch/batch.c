/*
 * Runs the networks of a shared library, one after the other in this process: `ares fuzz` has many small ones.
 *
 * BATCH LIBRARY SECONDS (UNIT INPUT OUTPUT MODE)...
 *
 * UNIT is the number of a network in LIBRARY: its tracing program, whose `main` is called ares_batch_main_UNIT there,
 * gets the words from UNIT to MODE as its command line. Before and behind what it writes to standard output stands a
 * line of ours, before what it writes to standard error too. One that takes longer than SECONDS is ended by SIGALRM,
 * and this process with it. The host side is ares/toolchain/library.py.
 *
 * The kernels are linked into this program, and the library's tables find them here: so it is built with the target's
 * sanitizers, and nothing has to be loaded before it.
 */
#define _POSIX_C_SOURCE 200809L

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Exit codes; the host knows them too. */
enum { BATCH_OK = 0, BATCH_USAGE = 2, BATCH_LIBRARY = 90 };

#define WORDS 4

typedef int (*unit_main)(int argc, char **argv);

/* The tracing program of a unit, NULL where the library has none of that number. */
static unit_main find(void *library, const char *unit)
{
    char name[64];
    unit_main found = NULL;
    void *symbol;

    if (snprintf(name, sizeof name, "ares_batch_main_%s", unit) >= (int)sizeof name) {
        return NULL;
    }
    symbol = dlsym(library, name);
    memcpy(&found, &symbol, sizeof found); /* C has no cast from an object to a function */
    return found;
}

int main(int argc, char **argv)
{
    if (argc < 3 || (argc - 3) % WORDS != 0) {
        fputs("ares-batch: usage: BATCH LIBRARY SECONDS (UNIT INPUT OUTPUT MODE)...\n", stderr);
        return BATCH_USAGE;
    }
    void *const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "ares-batch: %s\n", dlerror());
        return BATCH_LIBRARY;
    }
    const unsigned seconds = (unsigned)strtoul(argv[2], NULL, 10);
    for (int at = 3; at < argc; at += WORDS) {
        const unit_main run = find(library, argv[at]);
        if (run == NULL) {
            fprintf(stderr, "ares-batch: there is no unit %s\n", argv[at]);
            return BATCH_LIBRARY;
        }
        printf("ares-batch begin\n");
        fprintf(stderr, "ares-batch begin\n");
        fflush(stdout);
        alarm(seconds);
        const int code = run(WORDS, argv + at);
        alarm(0);
        printf("ares-batch end %d\n", code);
        fflush(stdout);
    }
    return BATCH_OK;
}
