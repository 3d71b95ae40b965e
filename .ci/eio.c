// Has reading or writing fail with EIO after so many calls on files below a path: a disk that dies. `.ci/faults` preloads it.
// EIO_PATH: the path; EIO_AFTER: calls that still work; EIO_WRITES: set for writes, else reads.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;

static int fails(int fd, int writes) {
    const char *path = getenv("EIO_PATH");
    const char *after = getenv("EIO_AFTER");
    char link[64], name[4096];
    if (!path || !after || !!getenv("EIO_WRITES") != writes) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, name, sizeof name - 1);
    if (size < 0) return 0;
    name[size] = 0;
    if (strncmp(name, path, strlen(path)) != 0) return 0;
    if (atomic_fetch_add(&calls, 1) < atol(after)) return 0;
    errno = EIO;
    return 1;
}

#define WRAP(name, writes, declared, passed)                                                                                                          \
    ssize_t name declared {                                                                                                                           \
        static ssize_t(*real) declared;                                                                                                               \
        if (!real) real = (ssize_t(*) declared)dlsym(RTLD_NEXT, #name);                                                                               \
        return fails(fd, writes) ? -1 : real passed;                                                                                                  \
    }

WRAP(read, 0, (int fd, void *to, size_t size), (fd, to, size))
WRAP(pread, 0, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
WRAP(pread64, 0, (int fd, void *to, size_t size, off64_t at), (fd, to, size, at))
WRAP(readv, 0, (int fd, const struct iovec *to, int count), (fd, to, count))
WRAP(write, 1, (int fd, const void *from, size_t size), (fd, from, size))
WRAP(pwrite, 1, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at))
WRAP(pwrite64, 1, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at))
WRAP(writev, 1, (int fd, const struct iovec *from, int count), (fd, from, count))
