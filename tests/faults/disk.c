/* A disk that can fail at any call, and one that loses power (FT-03, FT-05). To be loaded before the C library, by
   LD_PRELOAD; it looks at what happens below the folder DISK_ROOT.

   DISK_STABLE  a folder that keeps what would be there after the power was lost: of each file what it held when it was last
                synchronised (i/INODE-BIRTH), of each folder the names that it had then, with the files' modes (d/PATH, with
                % for /). A file whose name is kept and whose content never was is empty; one whose name is not kept is gone.
   DISK_LIES    if set, nothing is kept for DISK_STABLE, as by a disk that says that it has written what it has not.
   DISK_ARMED   calls count only while this file exists; if not set, all do.
   DISK_CALLS   a file to which each call that counts is added, a line each.
   DISK_FAIL_AT the number of the call, from 1, that fails with the error number DISK_ERRNO. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;

/* The path below the root, or NULL. */
static const char *below(const char *path)
{
    const char *root = getenv("DISK_ROOT");
    size_t length = root ? strlen(root) : 0;
    if (length == 0 || strncmp(path, root, length) != 0 || (path[length] != '/' && path[length] != '\0'))
        return NULL;
    return path[length] == '/' ? path + length + 1 : path + length;
}

static const char *path_of(int file, char path[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return NULL;
    path[length] = '\0';
    return below(path);
}

/* Whether this call is the one that fails; then errno is set. */
static int fails(const char *call, const char *path)
{
    const char *armed = getenv("DISK_ARMED"), *at = getenv("DISK_FAIL_AT"), *log = getenv("DISK_CALLS");
    if (path == NULL || (armed && access(armed, F_OK) != 0) || (!at && !log))
        return 0;
    long number = atomic_fetch_add(&calls, 1) + 1;
    if (log) {
        char line[PATH_MAX + 64];
        int length = snprintf(line, sizeof line, "%ld %s %s\n", number, call, path);
        int file = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (file < 0 || syscall(SYS_write, file, line, (size_t)length) != length)
            abort();
        syscall(SYS_close, file);
    }
    if (!at || number != atol(at))
        return 0;
    errno = atoi(getenv("DISK_ERRNO"));
    return 1;
}

static int fails_for(const char *call, int file)
{
    char path[PATH_MAX];
    return fails(call, path_of(file, path));
}

/* What a file is known by, also under another name. */
static int name_of(int file, char name[128], unsigned *mode)
{
    struct statx found;
    if (statx(file, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME | STATX_TYPE | STATX_MODE, &found) != 0)
        return -1;
    *mode = found.stx_mode & 07777;
    snprintf(name, 128, "%llu-%lld%09u", (unsigned long long)found.stx_ino, (long long)found.stx_btime.tv_sec,
             found.stx_btime.tv_nsec);
    return S_ISDIR(found.stx_mode) ? 1 : 0;
}

static void must(int holds)
{
    if (!holds)
        abort();
}

/* Keeps what is in `file` now; whoever is killed meanwhile has kept what was there before. */
static void keep_content(int file, const char *stable, const char *name)
{
    char target[PATH_MAX], half[PATH_MAX], link[64], bytes[65536];
    snprintf(target, sizeof target, "%s/i/%s", stable, name);
    snprintf(half, sizeof half, "%s/half-%d", stable, (int)gettid());
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    int from = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    int to = (int)syscall(SYS_openat, AT_FDCWD, half, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(from >= 0 && to >= 0);
    ssize_t count;
    while ((count = syscall(SYS_read, from, bytes, sizeof bytes)) > 0)
        must(syscall(SYS_write, to, bytes, (size_t)count) == count);
    must(count == 0);
    syscall(SYS_close, from);
    syscall(SYS_close, to);
    must(syscall(SYS_rename, half, target) == 0);
}

/* Keeps the names that a folder has now. */
static void keep_names(const char *folder, const char *path, const char *stable)
{
    char target[PATH_MAX], half[PATH_MAX], flat[PATH_MAX];
    snprintf(flat, sizeof flat, "%s", path);
    for (char *at = flat; *at; at++)
        if (*at == '/')
            *at = '%';
    snprintf(target, sizeof target, "%s/d/%s", stable, *flat ? flat : "%");
    snprintf(half, sizeof half, "%s/half-%d", stable, (int)gettid());
    int to = (int)syscall(SYS_openat, AT_FDCWD, half, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    DIR *names = opendir(folder);
    must(to >= 0 && names != NULL);
    struct dirent *entry;
    while ((entry = readdir(names)) != NULL) {
        char name[128], line[PATH_MAX];
        unsigned mode;
        int file = openat(dirfd(names), entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (file < 0)
            continue;
        if (name_of(file, name, &mode) == 0) {
            int length = snprintf(line, sizeof line, "%s %o %s\n", name, mode, entry->d_name);
            must(syscall(SYS_write, to, line, (size_t)length) == length);
        }
        syscall(SYS_close, file);
    }
    closedir(names);
    syscall(SYS_close, to);
    must(syscall(SYS_rename, half, target) == 0);
}

static int synchronise(const char *call, int file, long number)
{
    char path[PATH_MAX], name[128];
    unsigned mode;
    const char *inside = path_of(file, path), *stable = getenv("DISK_STABLE");
    if (fails(call, inside))
        return -1;
    /* What another thread writes from now on may be kept or not, as on a disk. */
    if (inside && stable && !getenv("DISK_LIES")) {
        int kind = name_of(file, name, &mode);
        must(kind >= 0);
        if (kind == 1)
            keep_names(path, inside, stable);
        else
            keep_content(file, stable, name);
    }
    return (int)syscall(number, file);
}

int fsync(int file) { return synchronise("fsync", file, SYS_fsync); }
int fdatasync(int file) { return synchronise("fdatasync", file, SYS_fdatasync); }

ssize_t write(int file, const void *bytes, size_t count)
{
    return file > 2 && fails_for("write", file) ? -1 : syscall(SYS_write, file, bytes, count);
}

ssize_t writev(int file, const struct iovec *pieces, int count)
{
    return file > 2 && fails_for("writev", file) ? -1 : syscall(SYS_writev, file, pieces, count);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at)
{
    return fails_for("pwrite", file) ? -1 : syscall(SYS_pwrite64, file, bytes, count, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) { return pwrite(file, bytes, count, at); }

int ftruncate(int file, off_t length)
{
    return fails_for("ftruncate", file) ? -1 : (int)syscall(SYS_ftruncate, file, length);
}

int ftruncate64(int file, off64_t length) { return ftruncate(file, length); }

static int open_or_fail(int folder, const char *path, int flags, mode_t mode)
{
    /* Whoever only reads needs nothing of the disk that could fail to be kept. */
    if ((flags & (O_ACCMODE | O_CREAT | O_TRUNC)) != O_RDONLY && fails("open", below(path)))
        return -1;
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

static mode_t mode_of(int flags, va_list rest)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name)                                                                                                          \
    int name(const char *path, int flags, ...)                                                                             \
    {                                                                                                                       \
        va_list rest;                                                                                                       \
        va_start(rest, flags);                                                                                              \
        mode_t mode = mode_of(flags, rest);                                                                                 \
        va_end(rest);                                                                                                       \
        return open_or_fail(AT_FDCWD, path, flags, mode);                                                                  \
    }
OPEN(open)
OPEN(open64)

int rename(const char *from, const char *to)
{
    return fails("rename", below(to)) ? -1 : (int)syscall(SYS_rename, from, to);
}

int unlink(const char *path)
{
    return fails("unlink", below(path)) ? -1 : (int)syscall(SYS_unlink, path);
}

int mkdir(const char *path, mode_t mode)
{
    return fails("mkdir", below(path)) ? -1 : (int)syscall(SYS_mkdir, path, mode);
}
