/*
 * What a run answers, the same in every version of ARES: a file of C that includes the headers of networks of two versions
 * has one ares_status for both. So these names get no hash (symbols.h), no value ever changes, and new ones come last.
 */
#ifndef ARES_STATUS_H
#define ARES_STATUS_H

/* What a run, a kernel or an observer answers. Anything but ARES_OK leaves outputs without meaning. */
typedef enum ares_status {
    ARES_OK = 0,
    ARES_ERROR_INPUT = 1, /* an input value that the network does not define */
    ARES_STOPPED = 2,     /* the observer has seen what it wanted; kernels never answer this */
    ARES_ERROR_ARENA = 3, /* the arena is NULL or not aligned to 16; nothing has run */
} ares_status;

#endif
