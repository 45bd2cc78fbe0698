/* A disk that hangs or fails, for one directory of one process (LD_PRELOAD).
 *
 * NBU_DISK_DIRECTORY names the directory. While the file NBU_DISK_CONTROL exists, each of its lines says
 * what happens to an operation on a path below the directory: `sync` hangs, `read=5` fails with errno 5,
 * `open@.state=13` fails where the path has that text. An empty file makes all operations hang. A call hangs
 * until the line is gone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(type, name, ...)                                   \
    static type (*real)(__VA_ARGS__);                           \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

/* What the control file says of an operation: 0 nothing, -1 hang, else an errno. */
static int verdict(const char *operation, const char *path) {
    const char *control = getenv("NBU_DISK_CONTROL");
    if (!control) return 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return 0;
    char text[1024];
    long length = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    if (length <= 0) return length == 0 ? -1 : 0;
    text[length] = 0;
    size_t size = strlen(operation);
    for (char *line = text; line; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        if (strncmp(line, operation, size)) continue;
        const char *rest = line + size;
        if (*rest == '@') {
            char part[256];
            size_t length = strcspn(++rest, "=\n");
            if (length >= sizeof part) continue;
            memcpy(part, rest, length);
            part[length] = 0;
            if (!strstr(path, part)) continue;
            rest += length;
        }
        if (*rest == '=') return atoi(rest + 1);
        if (*rest == '\n' || *rest == 0) return -1;
    }
    return 0;
}

static int below(const char *path) {
    const char *directory = getenv("NBU_DISK_DIRECTORY");
    if (!directory || !path) return 0;
    size_t size = strlen(directory);
    return !strncmp(path, directory, size) && (path[size] == '/' || path[size] == 0);
}

/* Whether the operation fails; hangs as long as it is to. */
static int fails(const char *operation, const char *path) {
    if (!below(path)) return 0;
    for (;;) {
        int found = verdict(operation, path);
        if (found == 0) return 0;
        if (found > 0) {
            errno = found;
            return 1;
        }
        struct timespec pause = {0, 5000000};
        syscall(SYS_nanosleep, &pause, 0);
    }
}

static int fails_fd(const char *operation, int fd) {
    char name[64], path[4096];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlinkat, AT_FDCWD, name, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return fails(operation, path);
}

#define OPEN(symbol)                                            \
    int symbol(const char *path, int flags, ...) {              \
        va_list rest;                                           \
        va_start(rest, flags);                                  \
        mode_t mode = va_arg(rest, mode_t);                     \
        va_end(rest);                                           \
        REAL(int, #symbol, const char *, int, mode_t);          \
        return fails("open", path) ? -1 : real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

ssize_t read(int fd, void *bytes, size_t size) {
    REAL(ssize_t, "read", int, void *, size_t);
    return fails_fd("read", fd) ? -1 : real(fd, bytes, size);
}

ssize_t write(int fd, const void *bytes, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return fails_fd("write", fd) ? -1 : real(fd, bytes, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    return fails_fd("write", fd) ? -1 : real(fd, parts, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    return fails_fd("write", fd) ? -1 : real(fd, bytes, size, at);
}

int fsync(int fd) {
    REAL(int, "fsync", int);
    return fails_fd("sync", fd) ? -1 : real(fd);
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    return fails_fd("sync", fd) ? -1 : real(fd);
}

int ftruncate64(int fd, off64_t size) {
    REAL(int, "ftruncate64", int, off64_t);
    return fails_fd("truncate", fd) ? -1 : real(fd, size);
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    return fails("rename", to) ? -1 : real(from, to);
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    return fails("remove", path) ? -1 : real(path);
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    return fails("mkdir", path) ? -1 : real(path, mode);
}

int flock(int fd, int operation) {
    REAL(int, "flock", int, int);
    return fails_fd("lock", fd) ? -1 : real(fd, operation);
}

int statx(int at, const char *path, int flags, unsigned mask, struct statx *out) {
    REAL(int, "statx", int, const char *, int, unsigned, struct statx *);
    int failed = *path ? fails("stat", path) : fails_fd("stat", at);
    return failed ? -1 : real(at, path, flags, mask, out);
}
