#include "board.h"
#include "trace_io.h"

#include <string.h>

/* The numbers of newlib, which emulators answer with whatever the host's are. */
#define NO_SPACE 28

#define READ_BINARY 1
#define WRITE_BINARY 5
#define APPEND_TEXT 8 /* of the console ":tt": standard error */
#define CHUNK 4096

static uintptr_t input;
static uintptr_t output;
static int input_is_open;
static int output_is_open;

/* A call of semihosting leaves the emulator, so that small pieces are collected first. */
static uint8_t pending[CHUNK];
static size_t num_pending;
static char line[512];
static size_t line_length;

static ares_io_status fault(void)
{
    return ares_semihost(SEMIHOST_ERRNO, NULL) == NO_SPACE ? ARES_IO_FULL : ARES_IO_ERROR;
}

static ares_io_status open_file(const char *path, uintptr_t mode, uintptr_t *handle)
{
    const uintptr_t block[3] = {(uintptr_t)path, mode, strlen(path)};
    const intptr_t answer = ares_semihost(SEMIHOST_OPEN, block);

    *handle = (uintptr_t)answer;
    return answer == -1 ? fault() : ARES_IO_OK;
}

static ares_io_status close_file(uintptr_t handle)
{
    const uintptr_t block[1] = {handle};
    return ares_semihost(SEMIHOST_CLOSE, block) == 0 ? ARES_IO_OK : fault();
}

static ares_io_status write_through(uintptr_t handle, const void *from, size_t bytes)
{
    const uintptr_t block[3] = {handle, (uintptr_t)from, bytes};

    if (bytes == 0) {
        return ARES_IO_OK;
    }
    return ares_semihost(SEMIHOST_WRITE, block) == 0 ? ARES_IO_OK : fault();
}

static ares_io_status write_pending(void)
{
    const size_t bytes = num_pending;
    num_pending = 0;
    return write_through(output, pending, bytes);
}

ares_io_status ares_io_open_input(const char *path)
{
    const ares_io_status status = open_file(path, READ_BINARY, &input);
    input_is_open = status == ARES_IO_OK;
    return status;
}

ares_io_status ares_io_open_output(const char *path)
{
    const ares_io_status status = open_file(path, WRITE_BINARY, &output);
    output_is_open = status == ARES_IO_OK;
    return status;
}

ares_io_status ares_io_read(void *to, size_t bytes, size_t *got)
{
    *got = 0;
    while (*got < bytes) {
        const size_t rest = bytes - *got;
        const uintptr_t block[3] = {input, (uintptr_t)to + *got, rest};
        const intptr_t missing = ares_semihost(SEMIHOST_READ, block);
        if (missing < 0 || (size_t)missing > rest) {
            return fault();
        }
        if ((size_t)missing == rest) {
            return ARES_IO_OK; /* the end of the file */
        }
        *got += rest - (size_t)missing;
    }
    return ARES_IO_OK;
}

ares_io_status ares_io_write(const void *from, size_t bytes)
{
    if (num_pending + bytes > CHUNK) {
        const ares_io_status status = write_pending();
        if (status != ARES_IO_OK) {
            return status;
        }
    }
    if (bytes > CHUNK) {
        return write_through(output, from, bytes);
    }
    memcpy(pending + num_pending, from, bytes);
    num_pending += bytes;
    return ARES_IO_OK;
}

ares_io_status ares_io_close(void)
{
    ares_io_status status = ARES_IO_OK;

    if (input_is_open) {
        (void)close_file(input);
        input_is_open = 0;
    }
    if (output_is_open) {
        status = write_pending();
        const ares_io_status closed = close_file(output);
        status = status == ARES_IO_OK ? closed : status;
        output_is_open = 0;
    }
    return status;
}

static void hand_over_line(void)
{
    line[line_length] = '\0';
    ares_semihost(SEMIHOST_WRITE0, line);
    line_length = 0;
}

void ares_io_print(const char *text)
{
    for (; *text != '\0'; ++text) {
        line[line_length++] = *text;
        if (*text == '\n' || line_length == sizeof line - 1) {
            hand_over_line();
        }
    }
}

/* The console answers nothing; the host misses the lines that did not arrive. */
ares_io_status ares_io_printed(void)
{
    return ARES_IO_OK;
}

void ares_io_complain(const char *text)
{
    static uintptr_t console;
    static int is_open;

    if (!is_open) {
        is_open = open_file(":tt", APPEND_TEXT, &console) == ARES_IO_OK;
    }
    if (is_open) {
        (void)write_through(console, text, strlen(text));
    }
}
