#include "trace_io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static FILE *input;
static FILE *output;
static ares_io_status printed = ARES_IO_OK;

/* What errno says of the call that has just failed. */
static ares_io_status fault(void)
{
#ifdef ENOSPC
    if (errno == ENOSPC) {
        return ARES_IO_FULL;
    }
#endif
#ifdef EDQUOT
    if (errno == EDQUOT) {
        return ARES_IO_FULL;
    }
#endif
    return ARES_IO_ERROR;
}

ares_io_status ares_io_open_input(const char *path)
{
    input = fopen(path, "rb");
    return input == NULL ? fault() : ARES_IO_OK;
}

ares_io_status ares_io_open_output(const char *path)
{
    output = fopen(path, "wb");
    return output == NULL ? fault() : ARES_IO_OK;
}

ares_io_status ares_io_read(void *to, size_t bytes, size_t *got)
{
    *got = fread(to, 1, bytes, input);
    return *got != bytes && ferror(input) ? fault() : ARES_IO_OK;
}

ares_io_status ares_io_write(const void *from, size_t bytes)
{
    return fwrite(from, 1, bytes, output) == bytes ? ARES_IO_OK : fault();
}

ares_io_status ares_io_close(void)
{
    ares_io_status status = ARES_IO_OK;
    if (input != NULL) {
        fclose(input);
        input = NULL;
    }
    if (output != NULL) {
        status = fclose(output) == 0 ? ARES_IO_OK : fault();
        output = NULL;
    }
    return status;
}

void ares_io_print(const char *text)
{
    const size_t length = strlen(text);
    const int ends = length > 0 && text[length - 1] == '\n';
    if ((fputs(text, stdout) == EOF || (ends && fflush(stdout) != 0)) && printed == ARES_IO_OK) {
        printed = fault();
    }
}

ares_io_status ares_io_printed(void)
{
    return printed;
}

void ares_io_complain(const char *text)
{
    fputs(text, stderr);
}
