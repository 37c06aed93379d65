/* A layer between a program and its files, loaded with LD_PRELOAD. It notes every change below one directory in a log, in the
 * order in which it happened, and makes one call fail when it is told to. disk.rs reads the log, and knows from it what a
 * disk may have lost.
 *
 *   FILE_LAYER_ROOT   the directory, as the kernel names it
 *   FILE_LAYER_LOG    the log; appended to
 *   FILE_LAYER_FAULT  "17 full": the 17th call fails for lack of space; "17 io": with an I/O error;
 *                     "17 short": a write takes half of its bytes, and the next call finds the disk full
 *
 * Calls that change something are counted from 1. All are made one at a time, so that the log has their order. A change that
 * is made in a way that the layer does not know would be missing in the log: a test compares both after a clean end. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define DESCRIPTORS 65536
#define REAL(name) ((__typeof__(&name))real(#name))

/* As disk.rs reads it; `length` bytes follow. */
struct record {
    uint32_t op;
    int32_t fd;
    uint64_t count;
    int64_t offset;
    uint64_t length;
};

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static char root[4096];
static size_t root_length;
static int log_fd = -1;
static uint64_t count, fault_at;
static char fault_kind[16];
static int full; /* The next call finds the disk full. */
static char known[DESCRIPTORS]; /* Descriptors of files below the root. */

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

static void give_up(const char *why) {
    dprintf(2, "file_layer: %s\n", why);
    abort();
}

__attribute__((constructor)) static void begin(void) {
    const char *dir = getenv("FILE_LAYER_ROOT"), *log = getenv("FILE_LAYER_LOG"), *fault = getenv("FILE_LAYER_FAULT");
    if (!dir || !log) return;
    root_length = strlen(dir);
    if (root_length >= sizeof root) give_up("the root's name is too long");
    memcpy(root, dir, root_length + 1);
    if (fault && sscanf(fault, "%lu %15s", &fault_at, fault_kind) != 2) give_up("FILE_LAYER_FAULT is a number and a word");
    log_fd = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) give_up("cannot open the log");
}

static int below(const char *path) {
    return log_fd >= 0 && path && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static int is_known(int fd) { return fd >= 0 && fd < DESCRIPTORS && known[fd]; }

static void note(char op, int fd, int64_t offset, const void *bytes, size_t length, const void *more, size_t more_length) {
    struct record head = {(uint32_t)op, fd, count, offset, length + more_length};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)bytes, length}, {(void *)more, more_length}};
    ssize_t whole = (ssize_t)(sizeof head + length + more_length);
    if (REAL(writev)(log_fd, parts, 3) != whole) give_up("cannot write the log");
}

static void note_path(char op, int fd, int64_t offset, const char *path) {
    note(op, fd, offset, path + root_length, strlen(path) - root_length, NULL, 0);
}

/* Counts a call, and says whether it is to fail: 0, an errno, or -1 for half of a write. */
static int fault(int is_write, int is_sync) {
    count++;
    if (full) {
        full = 0;
        return ENOSPC;
    }
    if (count != fault_at) return 0;
    note('F', -1, is_sync ? 'S' : 'C', NULL, 0, NULL, 0);
    if (is_sync || !strcmp(fault_kind, "io")) return EIO;
    if (strcmp(fault_kind, "short") || !is_write) return ENOSPC;
    full = 1;
    return -1;
}

static int lock(void) { return pthread_mutex_lock(&one_at_a_time); }
static void unlock(void) {
    int error = errno;
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
}

static int fails(int error) {
    unlock();
    errno = error;
    return -1;
}

static int open_any(const char *path, int flags, mode_t mode) {
    if (!below(path)) return REAL(open)(path, flags, mode);
    lock();
    int error = flags & (O_CREAT | O_TRUNC) ? fault(0, 0) : 0;
    if (error) return fails(error);
    int fd = REAL(open)(path, flags, mode);
    if (fd >= DESCRIPTORS) give_up("too many descriptors");
    if (fd >= 0) {
        known[fd] = 1;
        note_path('O', fd, flags & O_TRUNC ? 1 : 0, path);
    }
    unlock();
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list list; \
        va_start(list, flags); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return open_any(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return open_any(path, flags, mode);
}

int close(int fd) {
    if (!is_known(fd)) return REAL(close)(fd);
    lock();
    known[fd] = 0;
    int result = REAL(close)(fd);
    unlock();
    return result;
}

/* Where a write goes that does not say so. */
static int64_t position(int fd) {
    if (fcntl(fd, F_GETFL) & O_APPEND) {
        struct stat stat;
        return fstat(fd, &stat) ? -1 : stat.st_size;
    }
    return lseek(fd, 0, SEEK_CUR);
}

/* `at` is -1 for the position of the descriptor. */
static ssize_t write_any(int fd, const void *bytes, size_t length, int64_t at) {
    lock();
    int error = fault(1, 0);
    if (error > 0) return fails(error);
    if (error < 0 && length > 1) length /= 2;
    int64_t offset = at < 0 ? position(fd) : at;
    ssize_t result = at < 0 ? REAL(write)(fd, bytes, length) : REAL(pwrite64)(fd, bytes, length, at);
    if (result > 0) note('W', fd, offset, bytes, (size_t)result, NULL, 0);
    unlock();
    return result;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    return is_known(fd) ? write_any(fd, bytes, length, -1) : REAL(write)(fd, bytes, length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    return is_known(fd) ? write_any(fd, bytes, length, offset) : REAL(pwrite64)(fd, bytes, length, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }

/* The first piece is enough: a write may be short. */
ssize_t writev(int fd, const struct iovec *parts, int number) {
    if (!is_known(fd)) return REAL(writev)(fd, parts, number);
    for (; number > 1 && !parts->iov_len; number--) parts++;
    return number ? write(fd, parts->iov_base, parts->iov_len) : 0;
}

int ftruncate64(int fd, off64_t length) {
    if (!is_known(fd)) return REAL(ftruncate64)(fd, length);
    lock();
    int error = fault(0, 0);
    if (error) return fails(error);
    int result = REAL(ftruncate64)(fd, length);
    if (!result) note('T', fd, length, NULL, 0, NULL, 0);
    unlock();
    return result;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int sync_any(int fd) {
    lock();
    int error = fault(0, 1);
    if (error) {
        note('E', fd, 0, NULL, 0, NULL, 0);
        return fails(error);
    }
    int result = REAL(fsync)(fd);
    note(result ? 'E' : 'S', fd, 0, NULL, 0, NULL, 0);
    unlock();
    return result;
}

int fsync(int fd) { return is_known(fd) ? sync_any(fd) : REAL(fsync)(fd); }
int fdatasync(int fd) { return is_known(fd) ? sync_any(fd) : REAL(fdatasync)(fd); }

int rename(const char *from, const char *to) {
    if (!below(from) && !below(to)) return REAL(rename)(from, to);
    if (!below(from) || !below(to)) give_up("a file is moved across the root");
    lock();
    int error = fault(0, 0);
    if (error) return fails(error);
    int result = REAL(rename)(from, to);
    if (!result) note('R', -1, 0, from + root_length, strlen(from) - root_length + 1, to + root_length, strlen(to) - root_length);
    unlock();
    return result;
}

#define NAMES(call, op, path, ...) \
    if (!below(path)) return REAL(call)(__VA_ARGS__); \
    lock(); \
    int error = fault(0, 0); \
    if (error) return fails(error); \
    int result = REAL(call)(__VA_ARGS__); \
    if (!result) note_path(op, -1, 0, path); \
    unlock(); \
    return result;

int unlink(const char *path) { NAMES(unlink, 'U', path, path) }
int rmdir(const char *path) { NAMES(rmdir, 'U', path, path) }
int mkdir(const char *path, mode_t mode) { NAMES(mkdir, 'M', path, path, mode) }

/* SQLite's index of its log is mapped, and is made anew after a crash. Nothing else may be written so: it would not be seen. */
void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
    if (is_known(fd) && protection & PROT_WRITE && flags & MAP_SHARED) {
        char link[64], path[4096] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(link, path, sizeof path - 1);
        if (size < 4 || strcmp(path + size - 4, "-shm")) give_up("a file is written through memory");
    }
    return REAL(mmap64)(address, length, protection, flags, fd, offset);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    return mmap64(address, length, protection, flags, fd, offset);
}

static int duplicated(int fd) {
    if (is_known(fd)) give_up("a descriptor is duplicated");
    return fd;
}

int dup(int fd) { return REAL(dup)(duplicated(fd)); }

static int control(const char *name, int fd, int command, void *argument) {
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) duplicated(fd);
    return ((__typeof__(&fcntl))real(name))(fd, command, argument);
}

int fcntl(int fd, int command, ...) {
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    return control("fcntl", fd, command, argument);
}

int fcntl64(int fd, int command, ...) {
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    return control("fcntl64", fd, command, argument);
}
